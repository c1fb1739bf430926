/** Imported models compute what PyTorch computed, within float32's accuracy. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { interpret } from '../../toolchain/emulate/interpreter.ts';
import { importModel } from '../../toolchain/importers/index.ts';
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
        const { ids, tokenTypes } = example;
        const segmentStart = tokenTypes.includes(1) ? tokenTypes.indexOf(1) : ids.length;
        const [output] = interpret(graph, { ids, segmentStart });
        const actual = output!.data;
        const expected = (card.kind === 'embedding' ? example[pooling] : example.logits)!.flat();
        expect(actual.length).toBe(expected.length);
        const worst = expected.map((value, index) => Math.abs(value - actual[index]!));
        expect(Math.max(...worst)).toBeLessThan(tolerance);
      }
    }
  });
}
