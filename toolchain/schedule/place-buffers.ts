/** Gives every buffer of a schedule its place in the arena, those that overwrite each other together. */

import type { Tensor } from '../ir/graph.ts';
import { type Block, type BlockPart, planArena } from './arena.ts';
import type { Buffer, BufferKind, Program } from './program.ts';

/** Room for text (a token of English is some 5 bytes), or for token ids as int32. */
const textBytesPerToken = 8;

export interface OpenBuffer {
  readonly kind: BufferKind;
  readonly dtype: Tensor['dtype'];
  readonly rows: number;
  readonly columns: number;
  readonly sizeBytes: number;
  firstCall: number;
  lastCall: number;
  /** The tensors in it, side by side. */
  readonly tensors: string[];
  /** The result that overwrites it row by row, at this many bytes behind the result's begin. */
  overwrittenBy: { readonly name: string; readonly offsetBytes: number } | null;
}

/** By name. */
export type OpenBuffers = ReadonlyMap<string, OpenBuffer>;

export type PlacedBuffers = Pick<
  Program,
  'buffers' | 'arenaBytes' | 'textOffset' | 'lowerBoundBytes'
>;

export function placeBuffers(
  open: OpenBuffers,
  lastCall: number,
  maxTokens: number,
): PlacedBuffers {
  for (const buffer of open.values()) {
    if (buffer.kind === 'input') buffer.firstCall = 0;
    if (buffer.kind === 'output') buffer.lastCall = lastCall;
  }
  const roots = [...open].filter(([, { overwrittenBy }]) => overwrittenBy === null);
  const blocks = roots.map(([name]) => blockOf(open, name));
  const { offsets, arenaBytes, textOffset, lowerBoundBytes } = bestPlaces(roots, blocks, maxTokens);
  const offsetOf = new Map(roots.map(([name], index) => [name, offsets[index]!]));
  const buffers: Record<string, Buffer> = {};
  for (const [name, buffer] of open) {
    const { root, offsetBytes } = rootOf(open, name);
    const { kind, dtype, rows, columns, sizeBytes } = buffer;
    buffers[name] = {
      ...{ name, kind, dtype, rows, columns, sizeBytes },
      offset: offsetOf.get(root)! + offsetBytes,
      ...{ firstCall: buffer.firstCall, lastCall: buffer.lastCall },
      sharesWith: root === name ? null : root,
    };
  }
  return { buffers, arenaBytes, textOffset, lowerBoundBytes };
}

/** The buffer at the end of whose bytes `name` lies in the end, and how far behind its begin. */
function rootOf(
  open: OpenBuffers,
  name: string,
): { readonly root: string; readonly offsetBytes: number } {
  const { overwrittenBy } = open.get(name)!;
  if (overwrittenBy === null) return { root: name, offsetBytes: 0 };
  const { root, offsetBytes } = rootOf(open, overwrittenBy.name);
  return { root, offsetBytes: offsetBytes + overwrittenBy.offsetBytes };
}

/** The bytes of a buffer and of those that it overwrites, of which the first were last in use. */
function blockOf(open: OpenBuffers, root: string): Block {
  const members = [...open.keys()]
    .map((name) => ({ ...rootOf(open, name), buffer: open.get(name)! }))
    .filter((member) => member.root === root)
    .sort((a, b) => a.offsetBytes - b.offsetBytes || b.buffer.firstCall - a.buffer.firstCall);
  const { sizeBytes } = open.get(root)!;
  const parts: BlockPart[] = members.map(({ offsetBytes, buffer }, index) => ({
    sizeBytes: (members[index + 1]?.offsetBytes ?? sizeBytes) - offsetBytes,
    first: buffer.firstCall,
  }));
  const calls = members.map(({ buffer }) => buffer);
  return {
    sizeBytes,
    first: Math.min(...calls.map(({ firstCall }) => firstCall)),
    last: Math.max(...calls.map(({ lastCall }) => lastCall)),
    parts: parts.filter((part) => part.sizeBytes > 0),
  };
}

/** Text lies behind the inputs; putting those lowest makes room for it, or costs a little. */
function bestPlaces(
  roots: readonly [string, OpenBuffer][],
  blocks: readonly Block[],
  maxTokens: number,
) {
  const inputs = [...roots.keys()].filter((index) => roots[index]![1].kind === 'input');
  const place = (lowest: readonly number[]) => {
    const { offsets, sizeBytes, lowerBoundBytes } = planArena(blocks, lowest);
    const inputEnds = inputs.map((index) => offsets[index]! + blocks[index]!.sizeBytes);
    const textOffset = Math.ceil(Math.max(0, ...inputEnds) / 4) * 4;
    const withText = textOffset + textBytesPerToken * maxTokens;
    return { offsets, arenaBytes: Math.max(sizeBytes, withText), textOffset, lowerBoundBytes };
  };
  const inputsLowest = place(inputs);
  if (inputsLowest.arenaBytes <= inputsLowest.lowerBoundBytes) return inputsLowest;
  const anywhere = place([]);
  return inputsLowest.arenaBytes < anywhere.arenaBytes ? inputsLowest : anywhere;
}
