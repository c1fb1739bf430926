/**
 * Runs a graph of any stage: the float reference, and the definition of the bits of every backend.
 */
import { allocate, type TypedArray } from '../ir/dtypes.ts';
import {
  denseMatrix,
  type Graph,
  isConstant,
  type Matrix,
  type Node,
  realValues,
  rowsOf,
  type Stage,
  type Tensor,
  tensorOf,
} from '../ir/graph.ts';
import { opOf } from '../ops/index.ts';

/** One inference's input: token ids as the graph's tables number them, [CLS] and [SEP] included. */
export interface Tokens {
  readonly ids: ArrayLike<number>;
  /** Index of the first token of the second text; the number of tokens if there is none. */
  readonly segmentStart: number;
}

/** Sees every tensor as soon as it has its value, while the operands are still there. */
export type Observer = (node: Node, inputs: readonly Matrix[], out: Matrix) => void;

/** The graph's outputs, row-major, in the order of `graph.outputs`. */
export function interpret(
  graph: Graph<Stage>,
  tokens: Tokens,
  observe?: Observer,
): readonly Matrix[] {
  const count = tokens.ids.length;
  const values = new Map<string, Matrix>();
  const lastReader = lastReaders(graph);
  for (const name of graph.inputs) values.set(name, inputMatrix(tensorOf(graph, name), tokens));
  const context = { tokens: count, rowStart: 0 };
  for (const [index, node] of graph.nodes.entries()) {
    const inputs = node.inputs.map((name) => values.get(name) ?? constantMatrix(graph, name));
    const tensor = tensorOf(graph, node.output);
    const rows = rowsOf(tensor.shape[0], count);
    const out = denseMatrix(allocate(tensor.dtype, rows * tensor.shape[1]), rows, tensor.shape[1]);
    const op = opOf(node.op);
    if (node.integer === null) op.evalFloat(inputs, node.attrs, out, context);
    else op.evalInteger(inputs, node.attrs, node.integer, out, context);
    observe?.(node, inputs, out);
    values.set(node.output, out);
    for (const name of node.inputs) if (lastReader.get(name) === index) values.delete(name);
  }
  return graph.outputs.map((name) => values.get(name)!);
}

/** The inference inputs, as the graph's input tensors hold them. */
export function inputMatrix(tensor: Tensor, { ids, segmentStart }: Tokens): Matrix {
  if (tensor.shape[0] === 'tokens') {
    const data = allocate(tensor.dtype, ids.length) as TypedArray;
    for (let index = 0; index < ids.length; index++) data[index] = ids[index]!;
    return denseMatrix(data, ids.length, 1);
  }
  return denseMatrix(Int32Array.of(segmentStart), 1, 1);
}

/** As the ops of the graph's stage read it: reals in a float graph, else what is stored. */
export function constantMatrix(graph: Graph<Stage>, name: string): Matrix {
  const tensor = tensorOf(graph, name);
  if (!isConstant(tensor)) throw new Error(`tensor '${name}' is read before it is made`);
  const [rows, columns] = tensor.shape as readonly [number, number];
  return denseMatrix(graph.stage === 'float' ? realValues(tensor) : tensor.data, rows, columns);
}

function lastReaders(graph: Graph<Stage>): ReadonlyMap<string, number> {
  const last = new Map<string, number>();
  for (const [index, node] of graph.nodes.entries()) {
    for (const name of node.inputs) last.set(name, index);
  }
  for (const name of graph.outputs) last.delete(name);
  return last;
}
