/** Graphs of every stage for tests: the fixtures, taken through the passes. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { importModel } from '../../toolchain/importers/index.ts';
import { allocate, dtypes } from '../../toolchain/ir/dtypes.ts';
import { type Graph, realValues, type Stage, type Tensor } from '../../toolchain/ir/graph.ts';
import { packageRoot } from '../../toolchain/package-root.ts';
import { attentionForms } from '../../toolchain/passes/attention-forms.ts';
import { fuseLayerNorm } from '../../toolchain/passes/fuse-layer-norm.ts';
import { fuseTable } from '../../toolchain/passes/fuse-table.ts';
import { rowDemand } from '../../toolchain/passes/row-demand.ts';
import { calibrate } from '../../toolchain/quantize/calibrate.ts';
import { quantize } from '../../toolchain/quantize/quantize.ts';

export const fixtures = ['seqcls-gelu', 'tokcls-relu', 'embed-tanh-bf16', 'seqcls-odd-f32'];

export function fixturePath(name: string): string {
  return join(packageRoot, 'test/fixtures/hf', name);
}

/** By a readable name, in the order of the pipeline. */
export function stagesOf(fixture: string): Readonly<Record<string, Graph<Stage>>> {
  const path = fixturePath(fixture);
  const { graph: imported } = importModel(path);
  const graph = withStoredWeights(imported, (index) => storages[index % storages.length]!);
  const golden: { cases: { ids: number[] }[] } = JSON.parse(
    readFileSync(join(path, 'golden.json'), 'utf8'),
  );
  const examples = golden.cases.slice(0, 4).map(({ ids }) => ({ ids, segmentStart: ids.length }));
  const fused = fuseLayerNorm.run(graph);
  const demanded = rowDemand.run(fused);
  const split = attentionForms(demanded, ({ attrs }) => ({
    storedGroups: attrs.heads,
    absorbedHeads: 0,
  }));
  const quantized = quantize(split, calibrate(split, examples));
  const legal: Graph<'legal'> = { ...fuseTable(quantized), stage: 'legal' };
  return { imported, stored: graph, fused, demanded, split, quantized, legal };
}

/** How a constant of a float graph may be stored. */
export interface Storage {
  readonly dtype: 'float32' | 'int8' | 'int4';
  readonly scales: 'per-row' | 'affine';
}

const storages: readonly Storage[] = [
  { dtype: 'int4', scales: 'per-row' },
  { dtype: 'int8', scales: 'per-row' },
  { dtype: 'int4', scales: 'affine' },
  { dtype: 'float32', scales: 'affine' },
  { dtype: 'int8', scales: 'affine' },
];

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

/** Stored forms have one zero only; an integer −0 means the same. */
export function withoutNegativeZero(value: unknown): unknown {
  if (typeof value === 'number') return value + 0;
  if (Array.isArray(value)) return value.map(withoutNegativeZero);
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, withoutNegativeZero(item)]),
  );
}
