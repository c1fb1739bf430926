/** Graphs of every stage for tests: the fixtures, taken through the passes. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { importModel } from '../../toolchain/importers/index.ts';
import type { Graph, Stage } from '../../toolchain/ir/graph.ts';
import { packageRoot } from '../../toolchain/package-root.ts';
import { attentionForms } from '../../toolchain/passes/attention-forms.ts';
import { fuseLayerNorm } from '../../toolchain/passes/fuse-layer-norm.ts';
import { fuseTable } from '../../toolchain/passes/fuse-table.ts';
import { rowDemand } from '../../toolchain/passes/row-demand.ts';
import { calibrate } from '../../toolchain/quantize/calibrate.ts';
import { quantize } from '../../toolchain/quantize/quantize.ts';
import { type Storage, storedAs, withStoredWeights } from './stored-weights.ts';

export const fixtures = ['seqcls-gelu', 'tokcls-relu', 'embed-tanh-bf16', 'seqcls-odd-f32'];

export function fixturePath(name: string): string {
  return join(packageRoot, 'test/fixtures/hf', name);
}

const storages: readonly Storage[] = [
  storedAs.int4,
  storedAs.int8,
  { dtype: 'int4', scales: 'affine' },
  storedAs.float32,
  { dtype: 'int8', scales: 'affine' },
];

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

/** Stored forms have one zero only; an integer −0 means the same. */
export function withoutNegativeZero(value: unknown): unknown {
  if (typeof value === 'number') return value + 0;
  if (Array.isArray(value)) return value.map(withoutNegativeZero);
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, withoutNegativeZero(item)]),
  );
}
