/**
 * Weights of 7 bits: −63 … 63, a scale a row. Relaxed WebAssembly has a product of int8 by 0 … 127,
 * which such weights fit with 64 added; what it costs in accuracy, `eval` says.
 */
import { allocate } from '../ir/dtypes.ts';
import {
  type Graph,
  isConstant,
  type Node,
  realValues,
  type Tensor,
  tensorOf,
} from '../ir/graph.ts';
import { opOf } from '../ops/index.ts';

const largestCode = 63;

/** All weights of linears as codes of 7 bits; those that have less already stay, and so do tables. */
export function narrowWeights(graph: Graph<'float'>): Graph<'float'> {
  const tables = new Set(
    graph.nodes.flatMap(({ op, inputs }) => (opOf(op).table === undefined ? [] : inputs)),
  );
  const tensors: Record<string, Tensor> = { ...graph.tensors };
  const nodes = graph.nodes.map((node): Node<'float'> => {
    if (node.op !== 'linear') return node;
    const [x, name, bias] = node.inputs as readonly [string, string, string];
    const weight = tensorOf(graph, name);
    if (!isConstant(weight) || weight.dtype === 'int4') return node;
    const own = tables.has(name) ? `${name}@7bits` : name;
    tensors[own] = { ...narrowed(weight), name: own };
    return { ...node, inputs: [x, own, bias] };
  });
  return { ...graph, nodes, tensors };
}

function narrowed(weight: Tensor): Tensor {
  const [rows, columns] = weight.shape as readonly [number, number];
  const reals = realValues(weight);
  const data = allocate('int8', rows * columns);
  const scales = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    const values = reals.subarray(row * columns, (row + 1) * columns);
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const scale = largest / largestCode || 1;
    scales[row] = scale;
    data.set(
      Array.from(values, (value) => Math.round(value / scale)),
      row * columns,
    );
  }
  return { ...weight, dtype: 'int8', data, quant: { kind: 'per-row', scales } };
}
