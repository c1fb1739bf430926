/**
 * A float graph as a tensor expression over many texts at once, with gradients.
 *
 * The rows of all texts stand below one another, so that nothing is padded; only attention and
 * pooling look at where a text begins. The expression starts behind the embedding sum (word +
 * position + segment), which the caller makes: its gradient is that of each addend.
 */
import { internalError } from '../errors.ts';
import type { Graph, Node } from '../ir/graph.ts';
import { tensorOf } from '../ir/graph.ts';
import { opOf } from '../ops/index.ts';
import type { ActivationKind } from '../ops/linear.ts';
import {
  type ConstantWeight,
  product,
  productWithConstant,
  type Tensor2D,
  type TensorLibrary,
} from './tensors.ts';
import { textAttention } from './text-attention.ts';

/** Rows of the texts, one text after the other. */
export interface Layout {
  /** Rows of each text. */
  readonly lengths: readonly number[];
}

/** A constant of the graph as tensors. */
export type Constants = (name: string) => ConstantWeight;

/**
 * The tensors called `wanted`, from the rows of the embedding sum (all rows, width): with a row a
 * token, or a text.
 */
export function evaluateNetwork(
  tf: TensorLibrary,
  graph: Graph<'float'>,
  embeddingSum: Tensor2D,
  layout: Layout,
  constants: Constants,
  wanted: readonly string[],
): readonly Tensor2D[] {
  const values = new Map<string, Tensor2D>();
  for (const node of graph.nodes) {
    if (opOf(node.op).table !== undefined) continue; // rows of the embedding sum
    if (node.op === 'embed') {
      values.set(node.output, embeddingSum);
      continue;
    }
    const operand = (index: number): Tensor2D => {
      const name = node.inputs[index]!;
      return values.get(name) ?? constants(name).weight;
    };
    values.set(node.output, expressionOf(tf, node, operand, layout, constants));
  }
  return wanted.map((name) => values.get(name)!);
}

function expressionOf(
  tf: TensorLibrary,
  node: Node<'float'>,
  operand: (index: number) => Tensor2D,
  layout: Layout,
  constants: Constants,
): Tensor2D {
  switch (node.op) {
    case 'linear': {
      const mixed = productWithConstant(tf, operand(0), constants(node.inputs[1]!));
      return tf.add(mixed, operand(2));
    }
    case 'activation':
      return activations[node.attrs.kind](tf, operand(0));
    case 'attention':
      return textAttention(tf, operand(0), operand(1), operand(2), node.attrs, layout.lengths);
    case 'add':
      return tf.add(operand(0), operand(1));
    case 'layerNorm':
      return layerNorm(tf, operand(0), operand(1), operand(2), node.attrs.epsilon);
    case 'selectRow':
      return mixRows(tf, operand(0), layout, (row, length) =>
        row === (node.attrs.which === 'first' ? 0 : length - 1) ? 1 : 0,
      );
    case 'meanRows':
      return mixRows(tf, operand(0), layout, (_row, length) => 1 / length);
    default:
      throw internalError(`op '${node.op}' has no tensor expression`, node.name);
  }
}

const activations: Readonly<Record<ActivationKind, (tf: TensorLibrary, x: Tensor2D) => Tensor2D>> =
  {
    gelu: (tf, x) => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1)),
    geluTanh: (tf, x) => {
      const inner = tf.mul(tf.add(x, tf.mul(tf.mul(tf.square(x), x), 0.044715)), gaussianSlope);
      return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1));
    },
    relu: (tf, x) => tf.relu(x),
    silu: (tf, x) => tf.mul(x, tf.sigmoid(x)),
    tanh: (tf, x) => tf.tanh(x),
  };

const gaussianSlope = Math.sqrt(2 / Math.PI);

function layerNorm(
  tf: TensorLibrary,
  x: Tensor2D,
  gamma: Tensor2D,
  beta: Tensor2D,
  epsilon: number,
): Tensor2D {
  const centered = tf.sub(x, tf.mean(x, 1, true));
  const variance = tf.mean(tf.square(centered), 1, true);
  const normal = tf.mul(centered, tf.rsqrt(tf.add(variance, epsilon)));
  return tf.add(tf.mul(normal, gamma), beta);
}

/** One row a text: Σ share(row, length)·x_row, as a product with a constant matrix. */
function mixRows(
  tf: TensorLibrary,
  x: Tensor2D,
  { lengths }: Layout,
  share: (row: number, length: number) => number,
): Tensor2D {
  const rows = lengths.reduce((sum, length) => sum + length, 0);
  const shares = new Float32Array(lengths.length * rows);
  let start = 0;
  for (const [text, length] of lengths.entries()) {
    for (let row = 0; row < length; row++) shares[text * rows + start + row] = share(row, length);
    start += length;
  }
  return product(tf, tf.tensor2d(shares, [lengths.length, rows]), x);
}

/** Constants of a graph, each made a tensor on first use; `replaced` has others instead of some. */
export function graphConstants(
  tf: TensorLibrary,
  graph: Graph<'float'>,
  replaced: ReadonlyMap<string, Float32Array> = new Map(),
): { readonly constants: Constants; readonly dispose: () => void } {
  const made = new Map<string, ConstantWeight>();
  const constants = (name: string): ConstantWeight => {
    const known = made.get(name);
    if (known !== undefined) return known;
    const { data, shape } = tensorOf(graph, name);
    const values = replaced.get(name) ?? data;
    if (values === undefined) throw internalError('not a constant', name);
    const weight = tf.keep(
      tf.tensor2d(values as Float32Array, [shape[0] as number, shape[1]], 'float32'),
    );
    const pair = { weight, transposed: tf.keep(tf.transpose(weight)) };
    made.set(name, pair);
    return pair;
  };
  const dispose = (): void => {
    for (const { weight, transposed } of made.values()) tf.dispose([weight, transposed]);
  };
  return { constants, dispose };
}
