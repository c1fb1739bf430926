/**
 * The compiler's one graph: plain readonly data, the same shape in every stage.
 *
 * Every activation is a matrix of rows × columns; a row is a token, or the one row that is left once
 * only [CLS] (or a pooled sum) is demanded. Heads are column ranges. A node has one output. Nodes
 * stand in an order in which each tensor is made before it is read.
 *
 * Stages: `float` (what was imported; float32), `quantized` (every node carries its integer meaning
 * in `integer`), `legal` (only ops with a kernel are left, epilogues fused). Which op may stand in
 * which stage is checked by `verify.ts`.
 */
import type { AttrsOf, IntegerOf, OpName } from '../ops/index.ts';
import type { DType, TypedArray, TypedArrayOf } from './dtypes.ts';

export type Stage = 'float' | 'quantized' | 'legal';

/** `'tokens'` is the real number of tokens of one inference, known on the chip only. */
export type Dim = number | 'tokens';

export type Shape = readonly [rows: Dim, columns: number];

/** real = scale · (stored − zeroPoint). */
export interface Affine {
  readonly kind: 'affine';
  readonly scale: number;
  readonly zeroPoint: number;
}

/** Symmetric, one scale a row (output channel) of a constant. */
export interface PerRow {
  readonly kind: 'per-row';
  readonly scales: Float64Array;
}

/** `state` outlives an inference: a decoder's KV cache. */
export type TensorRole = 'input' | 'constant' | 'activation' | 'state';

export interface Tensor {
  readonly name: string;
  readonly role: TensorRole;
  readonly dtype: DType;
  readonly shape: Shape;
  /** Row-major; constants only. */
  readonly data?: TypedArray;
  readonly quant?: Affine | PerRow;
}

export type Node<S extends Stage = Stage> = {
  [N in OpName]: {
    readonly op: N;
    /** The layer as the user knows it, e.g. `encoder.layer.0.attention.query`. */
    readonly name: string;
    readonly inputs: readonly string[];
    readonly output: string;
    readonly attrs: AttrsOf<N>;
    readonly integer: S extends 'float' ? null : IntegerOf<N>;
  };
}[OpName];

export interface Graph<S extends Stage> {
  readonly stage: S;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly nodes: readonly Node<S>[];
}

/** A matrix of elements inside an array: element (r, c) is `data[offset + r · stride + c]`. */
export interface Matrix {
  readonly data: TypedArray;
  readonly offset: number;
  readonly rows: number;
  readonly columns: number;
  readonly stride: number;
}

export function denseMatrix(data: TypedArray, rows: number, columns: number): Matrix {
  return { data, offset: 0, rows, columns, stride: columns };
}

export function rowsOf(dim: Dim, tokens: number): number {
  return dim === 'tokens' ? tokens : dim;
}

export function isConstant(tensor: Tensor): tensor is Tensor & { readonly data: TypedArray } {
  return tensor.role === 'constant' && tensor.data !== undefined;
}

const knownReals = new WeakMap<TypedArray, Float32Array<ArrayBuffer>>();

/** The numbers that a constant stands for: its elements, times their scales where it has any. */
export function realValues(
  tensor: Tensor & { readonly data: TypedArray },
): TypedArrayOf<'float32'> {
  const { data, quant, shape } = tensor;
  if (data instanceof Float32Array) return data as TypedArrayOf<'float32'>;
  const known = knownReals.get(data);
  if (known !== undefined) return known;
  const zeroPoint = quant?.kind === 'affine' ? quant.zeroPoint : 0;
  const scaleOf = (row: number): number => {
    if (quant === undefined) return 1;
    return quant.kind === 'affine' ? quant.scale : quant.scales[row]!;
  };
  const [, columns] = shape;
  const reals = new Float32Array(data.length);
  for (let row = 0; row * columns < data.length; row++) {
    const scale = scaleOf(row);
    for (let at = row * columns; at < (row + 1) * columns; at++) {
      reals[at] = (data[at]! - zeroPoint) * scale;
    }
  }
  knownReals.set(data, reals);
  return reals;
}

/** The tensor of that name; a missing one is a broken graph. */
export function tensorOf(graph: Pick<Graph<Stage>, 'tensors'>, name: string): Tensor {
  const tensor = graph.tensors[name];
  if (tensor === undefined) throw new Error(`graph has no tensor '${name}'`);
  return tensor;
}

const knownReaders = new WeakMap<Graph<Stage>, ReadonlyMap<string, readonly number[]>>();

/** For each tensor the indexes of the nodes that read it; found once, since graphs never change. */
export function readersOf(graph: Graph<Stage>): ReadonlyMap<string, readonly number[]> {
  const known = knownReaders.get(graph);
  if (known !== undefined) return known;
  const readers = new Map<string, number[]>();
  for (const [index, node] of graph.nodes.entries()) {
    for (const name of node.inputs) {
      const list = readers.get(name);
      if (list === undefined) readers.set(name, [index]);
      else list.push(index);
    }
  }
  knownReaders.set(graph, readers);
  return readers;
}
