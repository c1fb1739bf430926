/**
 * The program: what runs on the chip, in order, with every byte of memory it uses.
 *
 * Plain data. Segments run one after the other; a segment over all tokens is a loop over tiles of
 * `tileRows` rows, and its calls run once a tile. Where a call reads rows of all tokens that no buffer
 * keeps, a loop inside the tile makes them again, block by block. Buffers have fixed offsets in one
 * arena.
 *
 * A run may begin behind the first token: where all that a row reads of others is in `state` buffers,
 * the rows of earlier runs are still there. A prompt is a run from token 0 on, each token that is
 * generated is a run of one row, and both are the same program.
 */
import type { DType } from '../ir/dtypes.ts';
import type { Dim, Graph, Node } from '../ir/graph.ts';

/**
 * Which rows of a buffer a call touches: those of the tile of the loop it stands in, those of the
 * segment's tile from a loop inside it (`outer`), those of all tokens, those up to the tile's end
 * (`past`), or one. The last row of a buffer of a tile is that of the last tile.
 */
export type SlotRows = 'tile' | 'outer' | 'all' | 'past' | 'first' | 'last';

/** A call's operand: a column range of some rows of a buffer. */
export interface Slot {
  readonly buffer: string;
  readonly rows: SlotRows;
  readonly firstColumn: number;
  readonly columns: number;
}

export interface Call {
  /** What the call computes, with its parameters; null copies rows (input 0 to the output). */
  readonly node: Node<'legal'> | null;
  /** By operand; null where the operand is a constant or a scalar. */
  readonly inputs: readonly (Slot | null)[];
  readonly output: Slot;
  readonly scratch: string | null;
  /** int32 rows that a streaming op carries from block to block. */
  readonly carry: string | null;
  /** The loop inside the segment's tile that it stands in. */
  readonly inner: InnerLoop | null;
  /** Runs in the segment's first tile only: it makes one row that later tiles need. */
  readonly onlyFirst: boolean;
}

/** A loop over all tokens, run once a tile of its segment; its calls stand next to each other. */
export interface InnerLoop {
  /** The same for all calls of the loop, and for no other loop of the segment. */
  readonly index: number;
  readonly tileRows: number;
}

export interface ProgramSegment {
  readonly name: string;
  readonly rows: Dim;
  /** Rows a tile; 1 where rows is 1. */
  readonly tileRows: number;
  readonly calls: readonly Call[];
}

/**
 * `input`: written before the run; `whole`: all rows; `state`: all rows, and kept until the next run;
 * `tile`: one tile's rows; `scratch`: raw bytes.
 */
export type BufferKind = 'input' | 'output' | 'whole' | 'state' | 'tile' | 'scratch';

export interface Buffer {
  readonly name: string;
  readonly kind: BufferKind;
  /** Its columns lie one after the other, each with all its rows; only copies write it. */
  readonly turned: boolean;
  readonly dtype: DType;
  /** The most rows it holds. */
  readonly rows: number;
  readonly columns: number;
  readonly sizeBytes: number;
  /** In the arena; a multiple of 8, but for what shares the bytes of another. */
  readonly offset: number;
  /**
   * First and last call, counted through the program, between which it holds something; a loop uses
   * what holds more than a tile all through it.
   */
  readonly firstCall: number;
  readonly lastCall: number;
  /** The buffer at the end of whose bytes this one lies, because it is overwritten by it row by row. */
  readonly sharesWith: string | null;
}

export interface Program {
  readonly graph: Graph<'legal'>;
  readonly maxTokens: number;
  readonly segments: readonly ProgramSegment[];
  readonly buffers: Readonly<Record<string, Buffer>>;
  readonly arenaBytes: number;
  /** From here to the arena's end text may lie until the run begins; 8 bytes a token at least. */
  readonly textOffset: number;
  /** The most bytes in use during any call: no placement needs less. */
  readonly lowerBoundBytes: number;
}

/** Whether a run may begin behind the first token. */
export function keepsState({ buffers }: Pick<Program, 'buffers'>): boolean {
  return Object.values(buffers).some(({ kind }) => kind === 'state');
}

/**
 * The calls of a segment's tile in the runs that stand under one head: those of an inner loop, those
 * of the first tile only, and those of every tile.
 */
export function loopsOf(calls: readonly Call[]): readonly (readonly Call[])[] {
  const runs: Call[][] = [];
  for (const call of calls) {
    const before = runs.at(-1)?.[0];
    const joins =
      before?.inner?.index === call.inner?.index && before?.onlyFirst === call.onlyFirst;
    if (before !== undefined && joins) runs.at(-1)!.push(call);
    else runs.push([call]);
  }
  return runs;
}

/** Bytes of the arena that hold something during a call; those that are being overwritten once. */
export function liveBytes({ buffers }: Pick<Program, 'buffers'>, call: number): number {
  const live = Object.values(buffers)
    .filter(({ firstCall, lastCall }) => firstCall <= call && call <= lastCall)
    .sort((a, b) => a.offset - b.offset);
  let sum = 0;
  let end = 0;
  for (const { offset, sizeBytes } of live) {
    sum += Math.max(0, offset + sizeBytes - Math.max(offset, end));
    end = Math.max(end, offset + sizeBytes);
  }
  return sum;
}
