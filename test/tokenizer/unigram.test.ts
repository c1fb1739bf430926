/** Unigram: Hugging Face's Rust tokenizers, `encode`, and the C and WASM of the device. */
import { describe, expect, test } from 'vitest';
import { trimUnigram } from '../../examples/trim-vocabulary.ts';
import { encode } from '../../toolchain/tokenizer/encode.ts';
import { type CompiledUnigram, compileUnigram } from '../../toolchain/tokenizer/unigram/compile.ts';
import { decodeUnigram } from '../../toolchain/tokenizer/unigram/encode.ts';
import { parseUnigram } from '../../toolchain/tokenizer/unigram/parse.ts';
import { type Batches, expectSameTokens, inputOf } from './agreement.ts';
import { makeDevice, optimized } from './device.ts';
import { loadOracle, type Texts } from './oracle.ts';
import { corpusTexts, makeRandom } from './samples.ts';
import {
  forms,
  normalizers,
  oddUnigram,
  quotes,
  rules,
  trainedUnigram,
  type UnigramJson,
  unigramText,
} from './unigram-samples.ts';

async function expectAgreement(json: UnigramJson, batches: Batches): Promise<void> {
  const tokenizer = parseUnigram(json);
  const compiled = compileUnigram(tokenizer);
  const devices = await expectSameTokens(json, tokenizer, compiled, batches);
  const pieces = Array.from(compiled.trie.idOrder, (id) => Buffer.from(tokenizer.vocabulary[id]!));
  expect(devices.wasm.spell().slice(0, pieces.length)).toEqual(pieces);
  devices.c.close();
}

function randomTexts(seed: number, count: number): readonly Texts[] {
  const random = makeRandom(seed);
  return Array.from({ length: count }, (): Texts => [unigramText(random)]);
}

function randomPairs(seed: number, count: number): readonly Texts[] {
  const random = makeRandom(seed);
  const short = (): string => unigramText(random).slice(0, 30);
  return Array.from(
    { length: count },
    (_, i): Texts => (i % 3 === 0 ? [short()] : [short(), short()]),
  );
}

/** Of each tokenizer so many texts that are cut, and four times as many that are not. */
const runs = Number(process.env['LM2MCU_PROPERTY_RUNS'] ?? 100);
const random = makeRandom(11);
const tokenizers: Readonly<Record<string, UnigramJson>> = {
  ...Object.fromEntries(Object.entries(forms).map(([name, form]) => [name, trainedUnigram(form)])),
  ...Object.fromEntries(
    Array.from({ length: 3 }, (_, i) => [`odd pieces ${i}`, oddUnigram(random)]),
  ),
};

describe.each(Object.keys(tokenizers))('%s', (name) => {
  test('random texts, pairs and truncation', { timeout: 120_000 }, async () => {
    const short = [4, 5, 7, 16].map((most, i) => [most, randomPairs(i + 3, runs / 4)] as const);
    // Where paths are equally good, those of a word longer than the window are chosen part by part.
    const isOdd = name.startsWith('odd');
    const texts = randomTexts(2, 4 * runs).map(
      ([text]): Texts => [isOdd ? text.slice(0, 80) : text],
    );
    await expectAgreement(tokenizers[name]!, [[4096, texts], ...short]);
  });
});

const corpus = corpusTexts();

test.skipIf(corpus === undefined)('texts of the example', { timeout: 120_000 }, async () => {
  const texts = corpus!.filter((_, i) => i % 40 === 0).map((text): Texts => [text]);
  await expectAgreement(trainedUnigram(), [[128, texts]]);
});

test('what tokens stand for is what the library decodes', async () => {
  const json = trainedUnigram({ decoder: null });
  const tokenizer = parseUnigram(json);
  const random = makeRandom(5);
  const ids = Array.from({ length: 200 }, () => [random(tokenizer.vocabulary.length)]);
  const decoded = await loadOracle(json).decode(ids);
  const ours = ids.map((list) => new TextDecoder().decode(decodeUnigram(tokenizer, list)));
  expect(ours).toEqual(decoded.map((text) => text.replaceAll('▁', ' ')));
});

test('scores of float32 are kept to the last bit', () => {
  const { vocab } = trainedUnigram().model;
  const { scores } = parseUnigram(trainedUnigram());
  const steps = new Set(
    vocab.flatMap(([, score], id) => (score === 0 ? [] : [scores[id]! / score])),
  );
  expect([...steps]).toEqual([2 ** 22]);
});

test('a vocabulary trimmed to some texts has the same pieces for them', () => {
  const json = trainedUnigram();
  const tokenizer = parseUnigram(json);
  const texts = randomTexts(9, 100).map(([text]) => text.slice(0, 60));
  const idsOf = (one: typeof tokenizer, text: string) => [...encode(one, text, undefined, 256).ids];
  const used = new Set(texts.flatMap((text) => idsOf(tokenizer, text)));
  const trimmed = trimUnigram(json, used);
  expect(trimmed.kept.length).toBeLessThan(tokenizer.vocabulary.length / 2);
  const smaller = parseUnigram(trimmed.json);
  for (const text of texts) {
    expect(idsOf(smaller, text).map((id) => trimmed.kept[id])).toEqual(idsOf(tokenizer, text));
  }
});

test('bytes of 2,000 pieces', () => {
  const sizes = Object.fromEntries(
    ['XLM-RoBERTa', 'ALBERT', 'byte fallback'].map((name) => {
      const { sizeBytes, idOrder, scoreBits } = compileUnigram(parseUnigram(tokenizers[name]!));
      return [name, { ...sizeBytes, tokens: idOrder.length, scoreBits }];
    }),
  );
  expect(sizes).toMatchInlineSnapshot(`
    {
      "ALBERT": {
        "characters": 42254,
        "scoreBits": 26,
        "specials": 52,
        "tokens": 2002,
        "total": 56077,
        "vocabulary": 13771,
      },
      "XLM-RoBERTa": {
        "characters": 22012,
        "scoreBits": 26,
        "specials": 52,
        "tokens": 2002,
        "total": 35835,
        "vocabulary": 13771,
      },
      "byte fallback": {
        "characters": 35992,
        "scoreBits": 26,
        "specials": 42,
        "tokens": 1817,
        "total": 48241,
        "vocabulary": 12207,
      },
    }
  `);
});

/** A test of the tests: each table with one entry changed must not pass. */
describe('broken tables are noticed', () => {
  function passing(json: UnigramJson, mutantsOf: (compiled: CompiledUnigram) => Mutants): string[] {
    const tokenizer = parseUnigram(json);
    const compiled = compileUnigram(tokenizer);
    const texts = randomTexts(8, 600);
    const host = texts.map(([text]) => encode(tokenizer, text, undefined, 512));
    const mutants: Mutants = { 'as it is': {}, ...mutantsOf(compiled) };
    return Object.keys(mutants).filter((name) => {
      const device = makeDevice({ ...compiled, ...mutants[name] }, optimized);
      const ours = device.run(texts.map((text) => inputOf(text, 512)));
      device.close();
      return ours.every(({ ids }, i) => ids.join(' ') === host[i]!.ids.join(' '));
    });
  }

  test('of a trained tokenizer', { timeout: 120_000 }, () => {
    const json = trainedUnigram(normalizers(...quotes, rules));
    const names = passing(json, ({ normalizer, scores, specials }) => {
      const { leads, replacements, classes } = normalizer;
      const changed = (part: Partial<typeof normalizer>) => ({
        normalizer: { ...normalizer, ...part },
      });
      return {
        scores: { scores: scores.map((word) => word ^ 0x0010_0000) },
        pairs: changed({ pairs: Uint8Array.of(0) }),
        leads: changed({ leads: leads.map((bits, i) => (i < 60 ? bits : 0)) }),
        replacements: changed({ replacements: replacements.map((at) => at + 1) }),
        classes: changed({ classes: { ...classes, runClasses: classes.runClasses.map(() => 0) } }),
        specials: { specials: specials.with(5, 0x78) },
      };
    });
    expect(names).toEqual(['as it is']);
  });

  test('of one in which few characters are known', { timeout: 120_000 }, () => {
    const names = passing(tokenizers['odd pieces 0']!, () => ({
      unknownScore: { unknownScore: 0 },
    }));
    expect(names).toEqual(['as it is']);
  });
});

type Mutants = Readonly<Record<string, Partial<CompiledUnigram>>>;
