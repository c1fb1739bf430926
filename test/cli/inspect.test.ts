/** The parameters that `inspect` lists: those of the model's file, no more, and they add up. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parametersByPart } from '../../toolchain/cli/inspect.ts';
import { importModel } from '../../toolchain/importers/index.ts';
import { packagePath } from '../../toolchain/package-root.ts';

const models = ['decoders', 'hf'].flatMap((kind) =>
  readdirSync(packagePath('test', 'fixtures', kind), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(kind, name)),
);

test.each(models)('%s: the parts add up to the total, and nothing made is among them', (model) => {
  const { card, parameters } = importModel(packagePath('test', 'fixtures', model));
  const parts = parametersByPart(parameters);
  const sum = Object.values(parts).reduce((total, count) => total + count, 0);
  expect(sum).toBe(card.parameters);
  expect(Object.keys(parts).filter((part) => /^(rope|no-)/.test(part))).toEqual([]);
});

test('a llama', () => {
  const { parameters } = importModel(packagePath('test', 'fixtures', 'decoders', 'llama'));
  expect(parametersByPart(parameters)).toEqual({
    embed_tokens: 640,
    'layers.0': 1952,
    'layers.1': 1952,
    norm: 16,
  });
});
