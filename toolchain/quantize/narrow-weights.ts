/**
 * Weights of 7 bits: −63 … 63, a scale a row. Relaxed WebAssembly has a product of int8 by 0 … 127,
 * which such weights fit with 64 added; what it costs in accuracy, `eval` says.
 */
import { allocate } from '../ir/dtypes.ts';
import { type Graph, isConstant, realValues, type Tensor, tensorOf } from '../ir/graph.ts';

const largestCode = 63;

/** All weights of linears as codes of 7 bits; those that have less already stay. */
export function narrowWeights(graph: Graph<'float'>): Graph<'float'> {
  const names = new Set(
    graph.nodes.filter(({ op }) => op === 'linear').map(({ inputs }) => inputs[1]!),
  );
  const tensors: Record<string, Tensor> = { ...graph.tensors };
  for (const name of names) {
    const weight = tensorOf(graph, name);
    if (isConstant(weight) && weight.dtype !== 'int4') tensors[name] = narrowed(weight);
  }
  return { ...graph, tensors };
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
