/** Gives every buffer of a schedule its place in the arena, those that overwrite each other together. */

import type { Tensor } from '../ir/graph.ts';
import type { Ring } from '../ops/cache.ts';
import { type Block, type BlockPart, largestLiveSum, planArena } from './arena.ts';
import type { Buffer, BufferKind, Program } from './program.ts';

/** Room for text (a token of English is some 5 bytes), or for token ids as int32. */
const textBytesPerToken = 8;

export interface OpenBuffer {
  readonly kind: BufferKind;
  readonly turned: boolean;
  readonly dtype: Tensor['dtype'];
  readonly rows: number;
  readonly ring: Ring | null;
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

/** Buffers that overwrite each other are one block. */
export interface Blocks {
  /** By block, the buffer that overwrites the others. */
  readonly roots: readonly (readonly [name: string, buffer: OpenBuffer])[];
  readonly blocks: readonly Block[];
  readonly lowerBoundBytes: number;
}

/**
 * Inputs are in use from the first call on, outputs to the last one, and state all the time; where
 * there is state, so are inputs.
 */
export function blocksOf(open: OpenBuffers, lastCall: number): Blocks {
  const keepsState = [...open.values()].some(({ kind }) => kind === 'state');
  for (const buffer of open.values()) {
    const isKept = buffer.kind === 'state' || (keepsState && buffer.kind === 'input');
    if (buffer.kind === 'input' || isKept) buffer.firstCall = 0;
    if (buffer.kind === 'output' || isKept) buffer.lastCall = lastCall;
  }
  const members = new Map<string, Member[]>();
  for (const [name, buffer] of open) {
    const { root, offsetBytes } = rootOf(open, name);
    if (!members.has(root)) members.set(root, []);
    members.get(root)!.push({ offsetBytes, buffer });
  }
  const roots = [...open].filter(([, { overwrittenBy }]) => overwrittenBy === null);
  const blocks = roots.map(([name, { sizeBytes }]) => blockOf(members.get(name)!, sizeBytes));
  return { roots, blocks, lowerBoundBytes: largestLiveSum(blocks) };
}

export function placeBuffers(
  open: OpenBuffers,
  { roots, blocks, lowerBoundBytes }: Blocks,
  maxTokens: number,
): PlacedBuffers {
  const { offsets, arenaBytes, textOffset } = bestPlaces(roots, blocks, lowerBoundBytes, maxTokens);
  const offsetOf = new Map(roots.map(([name], index) => [name, offsets[index]!]));
  const buffers: Record<string, Buffer> = {};
  for (const [name, buffer] of open) {
    const { root, offsetBytes } = rootOf(open, name);
    const { kind, turned, dtype, rows, ring, columns, sizeBytes } = buffer;
    buffers[name] = {
      ...{ name, kind, turned, dtype, rows, ring, columns, sizeBytes },
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

interface Member {
  /** Behind the begin of the block. */
  readonly offsetBytes: number;
  readonly buffer: OpenBuffer;
}

/** The bytes of a buffer and of those that it overwrites, of which the first were last in use. */
function blockOf(members: readonly Member[], sizeBytes: number): Block {
  const sorted = members.toSorted(
    (a, b) => a.offsetBytes - b.offsetBytes || b.buffer.firstCall - a.buffer.firstCall,
  );
  const parts: BlockPart[] = sorted.map(({ offsetBytes, buffer }, index) => ({
    sizeBytes: (sorted[index + 1]?.offsetBytes ?? sizeBytes) - offsetBytes,
    first: buffer.firstCall,
  }));
  return {
    sizeBytes,
    first: Math.min(...members.map(({ buffer }) => buffer.firstCall)),
    last: Math.max(...members.map(({ buffer }) => buffer.lastCall)),
    parts: parts.filter((part) => part.sizeBytes > 0),
  };
}

/** Text lies behind the inputs; putting those lowest makes room for it, or costs a little. */
function bestPlaces(
  roots: Blocks['roots'],
  blocks: readonly Block[],
  lowerBoundBytes: number,
  maxTokens: number,
) {
  const inputs = [...roots.keys()].filter((index) => roots[index]![1].kind === 'input');
  const place = (lowest: readonly number[]) => {
    const { offsets, sizeBytes } = planArena(blocks, lowerBoundBytes, lowest);
    const inputEnds = inputs.map((index) => offsets[index]! + blocks[index]!.sizeBytes);
    const textOffset = Math.ceil(Math.max(0, ...inputEnds) / 4) * 4;
    const withText = textOffset + textBytesPerToken * maxTokens;
    return { offsets, arenaBytes: Math.max(sizeBytes, withText), textOffset };
  };
  const inputsLowest = place(inputs);
  if (inputsLowest.arenaBytes <= lowerBoundBytes) return inputsLowest;
  const anywhere = place([]);
  return inputsLowest.arenaBytes < anywhere.arenaBytes ? inputsLowest : anywhere;
}
