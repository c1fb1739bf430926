/** A model with byte-level BPE from folder to firmware: text in, the same answer on every executor. */
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { openExecutor } from '../../toolchain/emulate/executor.ts';
import { type Example, parseStoredModel } from '../../toolchain/emulate/stored-model.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { compile } from '../../toolchain/pipeline.ts';
import { loadTarget } from '../../toolchain/targets.ts';
import { bpeText } from './bpe-samples.ts';
import { makeRandom } from './samples.ts';

const compiled = compile({
  modelPath: packagePath('test', 'fixtures', 'exports', 'roberta-bpe'),
  target: loadTarget('mps2-an386'),
  maxTokens: 48,
  calibration: null,
});
const random = makeRandom(21);
const examples: readonly Example[] = [
  { text: '' },
  { text: "It's a puzzle game  <mask>, naïve façade 語 12345\n" },
  { text: 'one', textPair: 'and <s> another' },
  ...Array.from({ length: 25 }, () => ({ text: bpeText(random).slice(0, 200) })),
];
const reference = await openExecutor('interpreter', compiled);
afterAll(() => reference.close());

test.each(['host', 'wasm'] as const)('%s', async (kind) => {
  const executor = await openExecutor(kind, compiled);
  for (const example of examples) {
    const { outputs, tokens, truncated } = await reference.classify(example);
    expect(await executor.classify(example), example.text).toMatchObject({
      ...{ outputs, tokens, truncated },
    });
  }
  await executor.close();
});

test('graph.bin has the tokenizer in it', () => {
  expect(parseStoredModel(compiled.graphBin).tokenizer).toEqual(compiled.imported.tokenizer);
});

test('merges and no other tokenizer are among the sources', () => {
  const names = compiled.sources.map(({ path }) => path);
  expect(names).toContain(join('kernels', 'bpe.c'));
  expect(names).not.toContain(join('kernels', 'tokenizer.c'));
});
