/**
 * The program: what runs on the chip, in order, with every byte of memory it uses.
 *
 * Plain data. Segments run one after the other; a segment over all tokens is a loop over tiles of
 * `tileRows` rows, and its calls run once a tile. Buffers have fixed offsets in one arena.
 */
import type { DType } from '../ir/dtypes.ts';
import type { Dim, Graph, Node } from '../ir/graph.ts';

/** Which rows of a buffer a call touches: those of its tile, all tokens, or one. */
export type SlotRows = 'tile' | 'all' | 'first' | 'last';

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
}

export interface ProgramSegment {
  readonly name: string;
  readonly rows: Dim;
  /** Rows a tile; 1 where rows is 1. */
  readonly tileRows: number;
  readonly calls: readonly Call[];
}

/** `input`: written before the run; `whole`: all rows; `tile`: one tile's rows; `scratch`: raw bytes. */
export type BufferKind = 'input' | 'output' | 'whole' | 'tile' | 'scratch';

export interface Buffer {
  readonly name: string;
  readonly kind: BufferKind;
  readonly dtype: DType;
  /** The most rows it holds. */
  readonly rows: number;
  readonly columns: number;
  readonly sizeBytes: number;
  /** In the arena; a multiple of 8, but for what shares the bytes of another. */
  readonly offset: number;
  /** First and last call, counted through the program, between which its bytes are in use. */
  readonly firstCall: number;
  readonly lastCall: number;
  /** The buffer in whose bytes this one lies, because it is overwritten by it row by row. */
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
