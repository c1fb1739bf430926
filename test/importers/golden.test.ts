/** Imported models compute what PyTorch computed, within float32's accuracy. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { importModel } from '../../toolchain/importers/index.ts';
import { allocate } from '../../toolchain/ir/dtypes.ts';
import { denseMatrix, type Graph, type Matrix, rowsOf } from '../../toolchain/ir/graph.ts';
import { opOf } from '../../toolchain/ops/index.ts';
import { packageRoot } from '../../toolchain/package-root.ts';

const goldenSchema = z.object({
  cases: z.array(
    z.object({
      ids: z.array(z.number()),
      tokenTypes: z.array(z.number()),
      cls: z.array(z.number()).optional(),
      mean: z.array(z.number()).optional(),
      logits: z.union([z.array(z.number()), z.array(z.array(z.number()))]).optional(),
    }),
  ),
});

const fixtures = join(packageRoot, 'test/fixtures/hf');
const folders = readdirSync(fixtures, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => join(fixtures, entry.name));
const example = join(packageRoot, 'examples/debian-sections/model');

/** More model folders with a golden.json, separated by colons. */
const more = (process.env['LM2MCU_MODELS'] ?? '').split(':').filter((path) => path !== '');

/** PyTorch's float32 against our double accumulation. */
const tolerance = 1e-4;

for (const folder of [...folders, example, ...more]) {
  test.skipIf(!existsSync(join(folder, 'golden.json')))(`${basename(folder)} as PyTorch`, () => {
    const golden = goldenSchema.parse(
      JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8')),
    );
    for (const pooling of ['cls', 'mean'] as const) {
      const { graph, card } = importModel(folder, { pooling });
      if (card.kind !== 'embedding' && pooling === 'mean') break;
      for (const example of golden.cases.slice(0, 20)) {
        const actual = evaluate(graph, example.ids, example.tokenTypes);
        const expected = (card.kind === 'embedding' ? example[pooling] : example.logits)!.flat();
        expect(actual.length).toBe(expected.length);
        const worst = expected.map((value, index) => Math.abs(value - actual[index]!));
        expect(Math.max(...worst)).toBeLessThan(tolerance);
      }
    }
  });
}

/** The graph's one output for a token sequence, by the op table's float meaning. */
function evaluate(
  graph: Graph<'float'>,
  ids: readonly number[],
  types: readonly number[],
): Float32Array {
  const tokens = ids.length;
  const segmentStart = types.includes(1) ? types.indexOf(1) : tokens;
  const values = new Map<string, Matrix>([
    ['tokenIds', denseMatrix(Int32Array.from(ids), tokens, 1)],
    ['segmentStart', denseMatrix(Int32Array.of(segmentStart), 1, 1)],
  ]);
  const matrixOf = (name: string): Matrix => {
    const known = values.get(name);
    if (known !== undefined) return known;
    const { shape, data } = graph.tensors[name]!;
    const rows = rowsOf(shape[0], tokens);
    return denseMatrix(data ?? allocate('float32', rows * shape[1]), rows, shape[1]);
  };
  for (const { op, inputs, output, attrs } of graph.nodes) {
    const out = matrixOf(output);
    opOf(op).evalFloat(inputs.map(matrixOf), attrs, out, { tokens, rowStart: 0 });
    values.set(output, out);
  }
  return matrixOf(graph.outputs[0]!).data as Float32Array;
}
