/**
 * The program: what runs on the chip, in order, with every byte of memory it uses.
 *
 * Plain data. Segments run one after the other; a segment over all tokens is a loop over tiles of
 * `tileRows` rows, and its calls run once a tile. Where a call reads rows of all tokens that no buffer
 * keeps, a loop inside the tile makes them again, block by block. Buffers have fixed offsets in one
 * arena. Calls that an NPU makes stand next to each other in jobs.
 *
 * A run may begin behind the first token: where all that a row reads of others is in `state` buffers,
 * the rows of earlier runs are still there. A prompt is a run from token 0 on, each token that is
 * generated is a run of one row, and both are the same program.
 */
import type { AcceleratorName } from '../ethosu/accelerators.ts';
import type { AttentionPlan } from '../ethosu/attention-plan.ts';
import type { LinearPlan } from '../ethosu/linear-plan.ts';
import type { DType } from '../ir/dtypes.ts';
import type { Dim, Graph, Node } from '../ir/graph.ts';
import type { Ring } from '../ops/cache.ts';

/**
 * Which rows of a buffer a call touches: those of the tile of the loop it stands in, those of the
 * segment's tile from a loop inside it (`outer`), those of all tokens, those up to the tile's end
 * (`past`; of a ring those that it holds), the one of a ring that the tile's token takes (`ring`), or
 * one. The last row of a buffer of a tile is that of the last tile.
 */
export type SlotRows = 'tile' | 'outer' | 'all' | 'past' | 'ring' | 'first' | 'last';

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
  /** int32 values that a streaming op carries from block to block, or that an op has of its cache. */
  readonly carry: string | null;
  /** The loop inside the segment's tile that it stands in. */
  readonly inner: InnerLoop | null;
  /** Runs in the segment's first tile only: it makes one row that later tiles need. */
  readonly onlyFirst: boolean;
  /** Index into the program's jobs; null: the core makes it. */
  readonly job: number | null;
  /** Index into the attentions of the NPU: the core makes the call, but not its products. */
  readonly attention: number | null;
}

/**
 * What an NPU does at one go: calls that stand next to each other under one head. Its command stream
 * works on regions of memory that are given when it runs, so that a loop runs one job on tile after
 * tile.
 */
export interface NpuJob {
  /**
   * Rows that each run computes, also where fewer are left: buffers have room for them, and what
   * lies behind the last token is read and written, but means nothing.
   */
  readonly rows: number;
  /**
   * The stream's regions from 1 on (region 0 holds constants): each begins where the slot's rows do
   * and has all columns of its buffer. The last may be scratch for weights on their way.
   */
  readonly regions: readonly Slot[];
  /** By call. */
  readonly layers: readonly LinearPlan[];
  /** Weights come through the last region, in two places of so many bytes; 0: they stay where they are. */
  readonly stagedPlaceBytes: number;
  /** Of one run, in cycles of the NPU; an estimate. */
  readonly cycles: number;
}

/** The products of an attention, from weights that the core packs in each run. */
export interface NpuAttention {
  readonly plan: AttentionPlan;
  /** Of one run, the core's own work and the jobs together, in cycles of the core; an estimate. */
  readonly coreCycles: number;
}

/** The part of a program that runs on an NPU. */
export interface NpuPart {
  readonly accelerator: AcceleratorName;
  /** Those of the first call first. */
  readonly jobs: readonly NpuJob[];
  readonly attentions: readonly NpuAttention[];
}

/** A loop run once a tile of its segment; its calls stand next to each other. */
export interface InnerLoop {
  /** The same for all calls of the loop, and for no other loop of the segment. */
  readonly index: number;
  /** Over all tokens, or once more over the tile's own rows. */
  readonly over: 'tokens' | 'tile';
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
  /** Of state that does not keep all tokens. */
  readonly ring: Ring | null;
  readonly columns: number;
  readonly sizeBytes: number;
  /** In the arena; a multiple of 8, but for what shares the bytes of another; with an NPU of 16. */
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
  /** Null: the target has none. */
  readonly npu: NpuPart | null;
  readonly buffers: Readonly<Record<string, Buffer>>;
  readonly arenaBytes: number;
  /** From here to the arena's end text may lie until the run begins; 8 bytes a token at least. */
  readonly textOffset: number;
  /** The most bytes in use during any call: no placement needs less. */
  readonly lowerBoundBytes: number;
}

export interface StateWord {
  readonly name: string;
  readonly ctype: 'int32_t' | 'uint32_t';
  readonly comment?: string;
}

/** What tokenizing leaves for a run beside the ids, of 32 bits each; `readsOn`: as `keepsState`. */
export function stateWords(readsOn: boolean): readonly StateWord[] {
  const words: readonly StateWord[] = [
    { name: 'segment_start', ctype: 'int32_t' },
    { name: 'tokens', ctype: 'int32_t' },
    { name: 'check', ctype: 'uint32_t', comment: 'tells it from any other bytes' },
  ];
  const start = {
    name: 'start',
    ctype: 'int32_t',
    comment: 'the first token that is new',
  } as const;
  return readsOn ? [...words, start] : words;
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
