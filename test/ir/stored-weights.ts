/** Graphs whose linears have their weights stored as integers, by plain rounding. */
import { allocate, dtypes } from '../../toolchain/ir/dtypes.ts';
import { type Graph, realValues, type Tensor } from '../../toolchain/ir/graph.ts';

/** How a constant of a float graph may be stored. */
export interface Storage {
  readonly dtype: 'float32' | 'int8' | 'int4';
  readonly scales: 'per-row' | 'affine';
}

export const storedAs = {
  float32: { dtype: 'float32', scales: 'affine' },
  int4: { dtype: 'int4', scales: 'per-row' },
  int8: { dtype: 'int8', scales: 'per-row' },
} as const satisfies Record<string, Storage>;

/** The weights of linears, by their number, rounded to integers. */
export function withStoredWeights(
  graph: Graph<'float'>,
  storageOf: (index: number, name: string) => Storage,
): Graph<'float'> {
  const weights = graph.nodes.flatMap(({ op, inputs }) => (op === 'linear' ? [inputs[1]!] : []));
  const tensors = { ...graph.tensors };
  for (const [index, name] of [...new Set(weights)].entries()) {
    tensors[name] = roundedTo(storageOf(index, name), tensors[name]!);
  }
  return { ...graph, tensors };
}

function roundedTo({ dtype, scales: kind }: Storage, tensor: Tensor): Tensor {
  if (dtype === 'float32') return tensor;
  const reals = realValues(tensor);
  const [rows, columns] = tensor.shape as readonly [number, number];
  const rowsAScale = kind === 'per-row' ? 1 : rows;
  const scales = new Float64Array(rows / rowsAScale);
  for (const [index, real] of reals.entries()) {
    const at = Math.floor(index / columns / rowsAScale);
    scales[at] = Math.max(scales[at]!, Math.abs(real) / dtypes[dtype].max);
  }
  for (const [at, scale] of scales.entries()) scales[at] = scale || 1;
  const data = allocate(dtype, reals.length);
  for (const [index, real] of reals.entries()) {
    data[index] = Math.round(real / scales[Math.floor(index / columns / rowsAScale)]!);
  }
  const quant =
    kind === 'per-row'
      ? ({ kind, scales } as const)
      : ({ kind, scale: scales[0]!, zeroPoint: 0 } as const);
  return { ...tensor, dtype, data, quant };
}
