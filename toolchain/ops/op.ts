/** What the toolchain knows about one operation; a row of the table in `index.ts`. */
import type { z } from 'zod';
import type { DType } from '../ir/dtypes.ts';
import type { Affine, Matrix, Shape, Tensor } from '../ir/graph.ts';
import type { Ring } from './cache.ts';

/**
 * Which rows of an operand one output row needs: the row of the same index (`row`; of a constant too,
 * which then has a row for each token there can be), every row (`all`), the rows up to that of the same
 * index (`past`), or none because it is a constant (`constant`), or a scalar input (`scalar`).
 */
export type Reads = 'row' | 'all' | 'past' | 'constant' | 'scalar';

export interface Operand {
  readonly name: string;
  readonly reads: Reads;
  /** The operand's quantization must have zero point 0. */
  readonly symmetric?: boolean;
  /** The operand's integer type, where it is not int8. */
  readonly dtype?: 'int16';
  /** Kernels read rows of the past column by column: that is how they are kept. */
  readonly turned?: boolean;
}

/** Where an evaluation stands: a row tile of an inference over `tokens` tokens. */
export interface EvalContext {
  readonly tokens: number;
  /** Index, among the tokens, of the first row of the output; causal masks and positions need it. */
  readonly rowStart: number;
}

/** What the quantization rule of an op is given. `quants` has an entry an operand, null if constant. */
export interface QuantizeArgs<A> {
  readonly attrs: A;
  readonly inputs: readonly Tensor[];
  readonly quants: readonly (Affine | null)[];
  /** Integer type of the first operand. */
  readonly inputDtype: DType;
  readonly output: { readonly dtype: DType; readonly quant: Affine; readonly shape: Shape };
  /** What `observe` of the op returned over the calibration data (attention: |score| a head). */
  readonly observed: readonly number[] | null;
}

/** The node's integer meaning and, for each constant operand, the constant that replaces it. */
export interface Quantized<I> {
  readonly integer: I;
  readonly constants: Readonly<Record<number, QuantizedConstant>>;
}

export type QuantizedConstant = Pick<Tensor, 'dtype' | 'shape' | 'data' | 'quant'>;

/** Where a block stands in the operand that comes in blocks. */
export interface StreamBlock {
  /** Index of the block's first row; 0 begins anew. */
  readonly firstRow: number;
  /** Rows of the whole operand: the block that ends with them writes the output. */
  readonly tokens: number;
}

/**
 * For an op that can take the operands it reads whole as blocks of rows, one after the other, so that
 * they need never exist as a whole. Its meaning does not depend on the blocks.
 */
export interface Streaming<A, I> {
  /** A block has a multiple of so many rows, but for the last. */
  readonly blockRows: number;
  /** int32 values that each row of the output carries from block to block. */
  carryColumns(inputs: readonly Shape[], attrs: A): number;
  /** Operands read whole are the block's rows. `carry`: int32, (rows of the output, carryColumns). */
  evalBlock(
    inputs: readonly Matrix[],
    attrs: A,
    integer: I,
    carry: Matrix,
    out: Matrix,
    block: StreamBlock,
  ): void;
}

/** What an op remembers, from token to token, of the rows in its cache. */
export interface CacheScores<A, I> {
  /** int32 values; token 0 begins anew. */
  columns(attrs: A): number;
  /**
   * For a token whose row is in the cache. Operands of the past are the rows that it holds; some of
   * them may be overwritten by the one that the next token will take.
   */
  evalRow(
    inputs: readonly Matrix[],
    attrs: A,
    integer: I,
    carry: Matrix,
    out: Matrix,
    token: number,
  ): void;
}

/** The constants of an op that are a table, of which an index chooses the row. */
export interface Table<A> {
  rows(inputs: readonly Tensor[]): number;
  /** What a step of the rows is worth; null where the range of their real values decides. */
  scale(inputs: readonly Tensor[], attrs: A): number | null;
  /** The operands with only the table's rows of these numbers, in this order. */
  take(inputs: readonly Tensor[], rows: ArrayLike<number>, attrs: A): readonly Tensor[];
}

/** What the attributes, the integer meaning and the operands of a node look like; `verify` asks for it. */
export interface OpForm<A, I> {
  readonly attrs: z.ZodType<A>;
  integer(shapes: readonly Shape[], attrs: A): z.ZodType<I>;
  /** The operands' shapes go together. */
  fits(shapes: readonly Shape[], attrs: A): boolean;
}

/** A node whose work is asked for; `integer` is null on a graph for planning. */
export interface WorkArgs<A, I> {
  readonly attrs: A;
  readonly integer: I | null;
  /** Columns of the output. */
  readonly columns: number;
  readonly tokens: number;
}

/** What the instructions of a kernel grow with, for one of its rows (`schedule/cost.ts`). */
export interface Work {
  /** Outputs, but for a mean its inputs. */
  readonly elements: number;
  readonly macs: number;
  /** Pairs of a query and a key, a head. */
  readonly scores: number;
  /** Elements that go through an activation table. */
  readonly lookups: number;
  /** Not of a row, but of a chunk of rows: what is prepared for all of them. */
  readonly shared: number;
  /** Of a chunk of rows, too: elements of weights, or of keys and values, that it reads. */
  readonly whole: number;
}

export interface OpDef<A, I> {
  readonly doc: string;
  readonly operands: readonly Operand[];
  /** The last operand may be repeated (`concat`). */
  readonly variadic?: boolean;
  /** Another way to look at the operands' elements: no kernel; rows are copied where they lie apart. */
  readonly isView?: boolean;
  /** The output's integer type, where it is not int8 (with int16, the zero point is 0). */
  readonly outputDtype?: 'int16';
  /** The output's quantization must have zero point 0. */
  readonly symmetricOutput?: boolean;
  /** The output has the quantization of its operands. */
  readonly sameQuantAsInputs?: boolean;
  /**
   * The output may take the place of a row operand of the same type, row by row. A streaming op writes
   * a row with the last block, after it has read that row for the last time.
   */
  readonly overwritesRows?: boolean;
  /** A row of the output depends on its own index or token, not on rows of operands alone. */
  readonly readsIndex?: boolean;
  /** For an op whose rows come from a table. */
  readonly table?: Table<A>;
  /** Real values of the operand outside this range change the output by less than a step. */
  usefulRange?(attrs: A): readonly [min: number, max: number];
  readonly form: OpForm<A, I>;
  infer(inputs: readonly Shape[], attrs: A): Shape;
  evalFloat(inputs: readonly Matrix[], attrs: A, out: Matrix, context: EvalContext): void;
  /** Values inside the op that its quantization rule needs: the largest seen of each is kept. */
  observe?(inputs: readonly Matrix[], attrs: A, context: EvalContext): readonly number[];
  quantize(args: QuantizeArgs<A>): Quantized<I>;
  evalInteger(
    inputs: readonly Matrix[],
    attrs: A,
    integer: I,
    out: Matrix,
    context: EvalContext,
  ): void;
  readonly streaming?: Streaming<A, I>;
  /** Of rows of the past only as many are kept, and where; without it all. */
  cache?(attrs: A): Ring;
  /** For an op with a cache that decides by what was looked at. */
  readonly scores?: CacheScores<A, I>;
  /** Multiply-accumulates of one output row. */
  macsPerRow(inputs: readonly Shape[], attrs: A, tokens: number): number;
  /** Rows of the kernel in a row of the output, where it is not one. */
  kernelRows?(attrs: A): number;
  /** Where it differs from an op that makes each element of its output from one of each operand. */
  work?(inputs: readonly Shape[], node: WorkArgs<A, I>): Partial<Work>;
  /** Kernel family in `kernels/kernels.json`; null for views and for what joins its maker (`activation`). */
  readonly kernel: string | null;
}
