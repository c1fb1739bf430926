/**
 * The compiler's one graph: plain readonly data, the same shape in every stage.
 *
 * Every activation is a matrix of rows × columns; a row is a token, or the one row that is left once
 * only [CLS] (or a pooled sum) is demanded. Heads are column ranges. A node has one output. Nodes
 * stand in an order in which each tensor is made before it is read.
 *
 * Stages: `float` (what was imported; float32, and constants that may
 * be stored as integers), `quantized` (every node carries its integer meaning
 * in `integer`), `legal` (only ops with a kernel are left, epilogues fused). Which op may stand in
 * which stage is checked by `verify.ts`.
 */
import type { AttrsOf, IntegerOf, OpName } from '../ops/index.ts';
import { allocate, type DType, type TypedArray, type TypedArrayOf } from './dtypes.ts';

export type Stage = 'float' | 'quantized' | 'legal';

/** `'tokens'` is the real number of tokens of one inference, known on the chip only. */
export type Dim = number | 'tokens';

export type Shape = readonly [rows: Dim, columns: number];

/** Of one inference: sums over all of them stay in int32 (kernels/c/kernels.h). */
export const mostTokens = 2 ** 15;

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

export type TensorRole = 'input' | 'constant' | 'activation';

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

export function at(matrix: Matrix, row: number, column: number): number {
  return matrix.data[matrix.offset + row * matrix.stride + column]!;
}

export function rowsOf(dim: Dim, tokens: number): number {
  return dim === 'tokens' ? tokens : dim;
}

export function isConstant(tensor: Tensor): tensor is Tensor & { readonly data: TypedArray } {
  return tensor.role === 'constant' && tensor.data !== undefined;
}

const knownReals = new WeakMap<Tensor, TypedArrayOf<'float32'>>();

/** What the elements of a constant mean, however they are stored; codes without a scale themselves. */
export function realValues(tensor: Tensor): TypedArrayOf<'float32'> {
  const { data, quant, shape } = tensor;
  if (data instanceof Float32Array) return data;
  const known = knownReals.get(tensor);
  if (known !== undefined) return known;
  if (data === undefined) throw new Error(`tensor '${tensor.name}' has no real values`);
  if (quant === undefined) return remember(tensor, Float32Array.from(data));
  const reals = new Float32Array(data.length);
  for (let index = 0; index < data.length; index++) {
    reals[index] =
      quant.kind === 'per-row'
        ? quant.scales[Math.floor(index / shape[1])]! * data[index]!
        : quant.scale * (data[index]! - quant.zeroPoint);
  }
  return remember(tensor, reals);
}

function remember(tensor: Tensor, reals: TypedArrayOf<'float32'>): TypedArrayOf<'float32'> {
  knownReals.set(tensor, reals);
  return reals;
}

/** Rows `indexes` of a constant, in that order, with their scales. */
export function takeRows(
  tensor: Tensor & { readonly data: TypedArray },
  indexes: ArrayLike<number>,
): Pick<Tensor, 'shape' | 'data' | 'quant'> {
  const { shape, quant } = tensor;
  const width = shape[1];
  const data = allocate(tensor.dtype, indexes.length * width);
  for (let to = 0; to < indexes.length; to++) {
    const from = indexes[to]! * width;
    data.set(tensor.data.subarray(from, from + width), to * width);
  }
  const taken = { shape: [indexes.length, width], data } as const;
  if (quant?.kind !== 'per-row') return taken;
  const scales = Float64Array.from(indexes, (row) => quant.scales[row]!);
  return { ...taken, quant: { kind: 'per-row', scales } };
}

/** The tensor of that name; a missing one is a broken graph. */
export function tensorOf(graph: Pick<Graph<Stage>, 'tensors'>, name: string): Tensor {
  const tensor = graph.tensors[name];
  if (tensor === undefined) throw new Error(`graph has no tensor '${name}'`);
  return tensor;
}

/** What the graph computes. */
export function outputOf(graph: Graph<Stage>): Tensor {
  return tensorOf(graph, graph.outputs[0]!);
}

/** real = scale · integer of what the graph computes; 1 before the graph is quantized. */
export function outputScale(graph: Graph<Stage>): number {
  const { quant } = outputOf(graph);
  return quant?.kind === 'affine' ? quant.scale : 1;
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
