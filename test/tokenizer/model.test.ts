/** A model with its tokenizer from folder to firmware: text in, the same answer on every executor. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openExecutor } from '../../toolchain/emulate/executor.ts';
import { type Example, parseStoredModel } from '../../toolchain/emulate/stored-model.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { compile } from '../../toolchain/pipeline.ts';
import { loadTarget } from '../../toolchain/targets.ts';
import { type BpeJson, bpeText } from './bpe-samples.ts';
import { modernBertText, modernBertTokens } from './normal-samples.ts';
import { makeRandom } from './samples.ts';
import { forms, trainedUnigram, unigramText } from './unigram-samples.ts';

const exports = packagePath('test', 'fixtures', 'exports');
const albert = mkdtempSync(join(tmpdir(), 'lm2mcu-albert-'));
afterAll(() => rmSync(albert, { recursive: true }));

/** ALBERT with random weights, and as many pieces as it has rows. */
function writeAlbert(): string {
  for (const name of ['config.json', 'model.safetensors']) {
    cpSync(join(exports, 'albert', name), join(albert, name));
  }
  const config = JSON.parse(readFileSync(join(albert, 'config.json'), 'utf8')) as {
    readonly vocab_size: number;
  };
  const { model, added_tokens } = trainedUnigram();
  const json = trainedUnigram({
    ...forms['ALBERT'],
    added_tokens: added_tokens.slice(0, 4),
    model: { ...model, vocab: model.vocab.slice(0, config.vocab_size) },
  });
  writeFileSync(join(albert, 'tokenizer.json'), JSON.stringify(json));
  return albert;
}

const modernBert = mkdtempSync(join(tmpdir(), 'lm2mcu-modernbert-'));
afterAll(() => rmSync(modernBert, { recursive: true }));

/** ModernBERT with random weights, and the published one's normalizer and kinds of added tokens. */
function writeModernBert(): string {
  const fixture = packagePath('test', 'fixtures', 'hf', 'modernbert-seqcls');
  cpSync(fixture, modernBert, { recursive: true });
  const file = join(modernBert, 'tokenizer.json');
  const json = JSON.parse(readFileSync(file, 'utf8')) as BpeJson;
  const late = modernBertTokens.filter(({ normalized }) => normalized);
  const vocab = Object.entries(json.model.vocab);
  const kept = vocab.filter(([, id]) => id < vocab.length - late.length);
  const known = new Set(kept.map(([token]) => token));
  const changed = {
    ...json,
    normalizer: { type: 'NFC' },
    added_tokens: [
      ...json.added_tokens,
      ...late.map((token, i) => ({ ...{ id: kept.length + i }, ...token })),
    ],
    model: {
      ...json.model,
      vocab: Object.fromEntries(kept),
      merges: json.model.merges.filter((pair) => known.has((pair as string[]).join(''))),
    },
  };
  writeFileSync(file, JSON.stringify(changed));
  return modernBert;
}

const models = {
  bpe: { path: join(exports, 'roberta-bpe'), text: bpeText, file: 'bpe.c', maxTokens: 48 },
  modernBert: {
    ...{ path: writeModernBert(), text: modernBertText, file: 'bpe_normalized.c', maxTokens: 40 },
  },
  unigram: { path: writeAlbert(), text: unigramText, file: 'unigram.c', maxTokens: 24 },
} as const;

describe.each(Object.keys(models) as (keyof typeof models)[])('%s', async (name) => {
  const { path, text, file, maxTokens } = models[name];
  const compiled = compile({
    modelPath: path,
    target: loadTarget('mps2-an386'),
    maxTokens,
    calibration: null,
  });
  const random = makeRandom(21);
  const examples: readonly Example[] = [
    { text: '' },
    { text: "It's a puzzle game  <mask>, naïve façade 語 12345\n" },
    { text: 'one', textPair: 'and <s> another' },
    { text: 'Cafe\u0301   [MASK] \u1112\u1161\u11ab', textPair: '|||IP_ADDRESS|||\u0301' },
    ...Array.from({ length: 25 }, () => ({ text: text(random).slice(0, 200) })),
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

  test('it and no other tokenizer are among the sources', () => {
    const names = compiled.sources.map(({ path }) => path);
    expect(names).toContain(join('kernels', file));
    expect(names).not.toContain(join('kernels', 'tokenizer.c'));
  });
});
