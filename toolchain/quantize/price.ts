/**
 * What integer arithmetic costs, layer kind by layer kind: the float graph with only the nodes of one
 * kind computed as integers, compared with the float graph itself.
 */
import { constantMatrix, inputMatrix, type Tokens } from '../emulate/interpreter.ts';
import { allocate, dtypes } from '../ir/dtypes.ts';
import {
  type Affine,
  denseMatrix,
  type Graph,
  type Matrix,
  type Node,
  readersOf,
  rowsOf,
  type Tensor,
  tensorOf,
} from '../ir/graph.ts';
import { opOf } from '../ops/index.ts';
import { isAttention } from '../passes/attention-forms.ts';
import { sourceNodes } from '../passes/source-rows.ts';

export interface KindPrice {
  readonly kind: string;
  readonly nodes: number;
  /** Root mean square of the logits' change, in real units. */
  readonly logitRmse: number;
  /** Share of rows whose largest logit stays the same. */
  readonly agreement: number;
}

/** A price for each kind that occurs, in graph order, and for all together. */
export function priceByKind(
  float: Graph<'float'>,
  legal: Graph<'legal'>,
  examples: readonly Tokens[],
): readonly KindPrice[] {
  const kinds = new Map<string, Node<'legal'>[]>();
  for (const node of legal.nodes) {
    if (opOf(node.op).isView) continue;
    const kind = kindOf(legal, node);
    const list = kinds.get(kind);
    if (list === undefined) kinds.set(kind, [node]);
    else list.push(node);
  }
  kinds.set(allKinds, [...kinds.values()].flat());
  const reference = examples.map((tokens) => mixed(float, legal, new Set(), tokens));
  return [...kinds].map(([kind, nodes]) => {
    const chosen = new Set(nodes.map(({ output }) => output));
    const results = examples.map((tokens) => mixed(float, legal, chosen, tokens));
    return { kind, nodes: nodes.length, ...compare(reference, results) };
  });
}

export const allKinds = 'all';

function kindOf(graph: Graph<'legal'>, node: Node<'legal'>): string {
  if (node.op !== 'linear') return node.op;
  if (sourceNodes(graph).has(node)) return 'linear: embedding';
  if (graph.outputs.includes(node.output)) return 'linear: head';
  if (node.integer.table !== null) return 'linear + activation';
  const readers = (readersOf(graph).get(node.output) ?? []).map((index) => graph.nodes[index]!);
  return readers.some(isAttention) ? 'linear: q, k, v' : 'linear';
}

/** The outputs in real units, nodes in `chosen` (by output) computed as integers. */
function mixed(
  float: Graph<'float'>,
  legal: Graph<'legal'>,
  chosen: ReadonlySet<string>,
  tokens: Tokens,
): readonly Matrix[] {
  const values = new Map<string, Matrix>();
  const integers = new Map(legal.nodes.map((node) => [node.output, node]));
  const context = { tokens: tokens.ids.length, rowStart: 0 };
  for (const name of float.inputs) values.set(name, inputMatrix(tensorOf(legal, name), tokens));
  for (const node of float.nodes) {
    const { shape } = tensorOf(float, node.output);
    const rows = rowsOf(shape[0], tokens.ids.length);
    const out = denseMatrix(new Float32Array(rows * shape[1]), rows, shape[1]);
    values.set(node.output, out);
    const integer = integers.get(node.output);
    if (integer === undefined || !chosen.has(node.output)) {
      const inputs = node.inputs.map((name) => values.get(name) ?? constantMatrix(float, name));
      opOf(node.op).evalFloat(inputs, node.attrs, out, context);
      continue;
    }
    const inputs = integer.inputs.map((name) => {
      const value = values.get(name);
      const tensor = tensorOf(legal, name);
      if (value === undefined) return constantMatrix(legal, name);
      return tensor.role === 'input' ? value : toStored(value, tensor);
    });
    const tensor = tensorOf(legal, node.output);
    const stored = denseMatrix(allocate(tensor.dtype, rows * shape[1]), rows, shape[1]);
    opOf(integer.op).evalInteger(inputs, integer.attrs, integer.integer, stored, context);
    const { scale, zeroPoint } = tensor.quant as Affine;
    for (const [index, value] of stored.data.entries()) {
      out.data[index] = scale * (value - zeroPoint);
    }
  }
  return float.outputs.map((name) => values.get(name)!);
}

function toStored(value: Matrix, { dtype, quant }: Tensor): Matrix {
  const { scale, zeroPoint } = quant as Affine;
  const { min, max } = dtypes[dtype];
  const data = allocate(dtype, value.data.length);
  for (const [index, real] of value.data.entries()) {
    data[index] = Math.min(max, Math.max(min, Math.round(real / scale) + zeroPoint));
  }
  return { ...value, data };
}

function compare(
  reference: readonly (readonly Matrix[])[],
  results: readonly (readonly Matrix[])[],
): Pick<KindPrice, 'logitRmse' | 'agreement'> {
  let squares = 0;
  let elements = 0;
  let same = 0;
  let rows = 0;
  for (const [example, outputs] of reference.entries()) {
    const expected = outputs[0]!;
    const actual = results[example]![0]!;
    for (const [index, value] of expected.data.entries()) {
      squares += (value - actual.data[index]!) ** 2;
    }
    elements += expected.data.length;
    for (let row = 0; row < expected.rows; row++) {
      if (largestColumn(expected, row) === largestColumn(actual, row)) same += 1;
    }
    rows += expected.rows;
  }
  return { logitRmse: Math.sqrt(squares / elements), agreement: same / rows };
}

function largestColumn({ data, offset, stride, columns }: Matrix, row: number): number {
  const start = offset + row * stride;
  let best = 0;
  for (let column = 1; column < columns; column++) {
    if (data[start + column]! > data[start + best]!) best = column;
  }
  return best;
}
