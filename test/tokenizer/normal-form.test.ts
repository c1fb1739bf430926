/** Normal forms: Hugging Face's Rust tokenizers, `encode`, and the C and WASM of the device. */
import { describe, expect, test } from 'vitest';
import { compileBpe } from '../../toolchain/tokenizer/bpe/compile.ts';
import { parseBpe } from '../../toolchain/tokenizer/bpe/parse.ts';
import {
  type CompiledNormalForm,
  compileNormalForm,
} from '../../toolchain/tokenizer/compile-normal-form.ts';
import { encode } from '../../toolchain/tokenizer/encode.ts';
import {
  type NormalFormName,
  normalFormNames,
  toNormalForm,
} from '../../toolchain/tokenizer/normal-form.ts';
import { changedTokens } from '../../toolchain/tokenizer/normalized-tokens.ts';
import { parseRanges } from '../../toolchain/tokenizer/packed.ts';
import { decomposedRanges, markRanges } from '../../toolchain/tokenizer/unicode-tables.ts';
import { compileUnigram } from '../../toolchain/tokenizer/unigram/compile.ts';
import { parseUnigram } from '../../toolchain/tokenizer/unigram/parse.ts';
import { expectSameTokens, inputOf } from './agreement.ts';
import { byteLevel, cl100k, sequence, trainedBpe } from './bpe-samples.ts';
import { expectSame, makeDevice } from './device.ts';
import { languageNames, modernBertText, modernBertTokens, normalText } from './normal-samples.ts';
import { loadOracle, type Texts } from './oracle.ts';
import { makeRandom } from './samples.ts';
import { normalizers, replace, rules, trainedUnigram } from './unigram-samples.ts';

/** Of each tokenizer so many texts. */
const runs = 4 * Number(process.env['LM2MCU_PROPERTY_RUNS'] ?? 60);
const most = 4096;

function textsOf(make: (random: (below: number) => number) => string, seed: number) {
  const random = makeRandom(seed);
  return Array.from({ length: runs }, (): Texts => [make(random)]);
}

/** Each form, and each way to split. */
const bpe: Readonly<Record<NormalFormName, object>> = {
  NFC: { pre_tokenizer: sequence(cl100k('\\p{N}'), byteLevel(false)) },
  NFD: { pre_tokenizer: byteLevel(true, true) },
  NFKC: { pre_tokenizer: byteLevel(false) },
  NFKD: { pre_tokenizer: sequence({ type: 'Digits', individual_digits: true }, byteLevel(true)) },
};

function bpeOf(name: NormalFormName) {
  return trainedBpe({ ...bpe[name], ...normalizers({ type: name }) });
}

describe.each(normalFormNames)('BPE, %s', (name) => {
  const json = bpeOf(name);
  const tokenizer = parseBpe(json);
  const compiled = compileBpe(tokenizer);

  test('odd texts, what people write, every character that changes or is at the edge of a run', async () => {
    const chars = [...edgesOf(compiled.normalForm!), ...decomposedCharacters()];
    const { c } = await expectSameTokens(json, tokenizer, compiled, [
      [most, textsOf(normalText, 7)],
      [20_000, [...inAllPlaces(chars), ...languageNames().map((text): Texts => [text])]],
    ]);
    c.close();
  }, 120_000);

  test('of one character it is that of String.normalize', () => {
    for (const char of decomposedCharacters()) {
      expect(toNormalForm({ name, cleansText: false }, char)).toBe(char.normalize(name));
    }
  });
});

test('added tokens that are looked for in normalized text', { timeout: 120_000 }, async () => {
  const plain = trainedBpe();
  const json = trainedBpe({
    ...{ normalizer: { type: 'NFC' }, pre_tokenizer: byteLevel(true) },
    added_tokens: [
      ...plain.added_tokens,
      ...modernBertTokens.map((token, i) => ({
        ...{ id: 1200 + i, single_word: false, rstrip: false, ...token },
      })),
    ],
  });
  const tokenizer = parseBpe(json);
  const texts = textsOf(modernBertText, 8);
  const compiled = compileBpe(tokenizer);
  const { c } = await expectSameTokens(json, tokenizer, compiled, [[most, texts]]);
  const inputs = texts.map((text) => inputOf(text, most));
  // Looked for with all others they take white space that belongs to [MASK].
  const early = tokenizer.addedTokens.map((token) => ({ ...token, isLate: false }));
  const device = makeDevice(compileBpe({ ...tokenizer, addedTokens: early }), ['-O0']);
  expect(device.run(inputs)).not.toEqual(c.run(inputs));
  device.close();
  c.close();
});

test.each(normalFormNames)(
  'the raw text has the tokens that %s is said not to touch just where the library finds them',
  async (name) => {
    const isChanged = changedTokens({ name, cleansText: false });
    const chars = [
      ...['a', 'e', 'K', '|', '>', ';', '`', ' ', '<', '語', 'é', '\u0301', '\u0323', '\u0338'],
      ...['\u212a', '\u037e', '\u2000', '\u00a8', '½', 'ﬁ', '\u1100', '\u1161', '각', '\u09c7'],
      ...['\u09be', '\u0344', '\ufdfa', ...'|#~[]ᚠᚢᚦᚨᚱᚠᚢᚦᚨᚱ'],
    ];
    const random = makeRandom(15);
    const some = (most: number) =>
      Array.from({ length: 1 + random(most) }, () => chars[random(chars.length)]!).join('');
    const token = {
      ...{ single_word: false, lstrip: false, rstrip: false, special: false, normalized: true },
    };
    const { vocab } = trainedBpe().model;
    const tokens = [...new Set(Array.from({ length: 300 }, () => some(3)))]
      .filter((content) => vocab[content] === undefined)
      .map((content) => ({ content, ...token }))
      .map((one, i) => ({ id: 1200 + i, ...one }));
    const kept = tokens
      .filter((one) => !isChanged(one))
      .map((one, i) => ({ ...one, id: 1200 + i }));
    expect(kept.length).toBeGreaterThan(5);
    const json = trainedBpe({
      ...{ normalizer: { type: name }, pre_tokenizer: byteLevel(true), added_tokens: kept },
    });
    const tokenizer = parseBpe(json);
    const parts = [...chars, ...kept.map(({ content }) => content)];
    const texts = Array.from(
      { length: 10 * runs },
      (): Texts => [Array.from({ length: random(8) }, () => parts[random(parts.length)]!).join('')],
    );
    const host = texts.map(([text]) => encode(tokenizer, text, undefined, most));
    expectSame('encode', texts, host, await loadOracle(json)(texts, most));
  },
);

const collapse = replace({ Regex: ' {2,}' }, ' ');
const unigram: Readonly<Record<string, object>> = {
  'as trained by the library': normalizers({ type: 'Nmt' }, { type: 'NFKC' }, collapse),
  'NFKD with its marks, then rules': normalizers({ type: 'NFKD' }, { type: 'Lowercase' }, rules),
  'NFD without marks': normalizers({ type: 'NFD' }, { type: 'StripAccents' }),
  'Nmt alone': { normalizer: { type: 'Nmt' } },
};

describe.each(Object.keys(unigram))('Unigram, %s', (name) => {
  test('texts of marks, Hangul and what composes', { timeout: 120_000 }, async () => {
    const json = trainedUnigram(unigram[name]!);
    const tokenizer = parseUnigram(json);
    const texts = textsOf(normalText, 9);
    const compiled = compileUnigram(tokenizer);
    const { c } = await expectSameTokens(json, tokenizer, compiled, [[most, texts]]);
    c.close();
  });
});

function decomposedCharacters(): readonly string[] {
  const syllables = Array.from({ length: 300 }, (_, i) => 0xac00 + 37 * i);
  return [...parseRanges(decomposedRanges), ...parseRanges(markRanges), ...syllables].map(
    (codePoint) => String.fromCodePoint(codePoint),
  );
}

/** The first and last characters of each run. */
function edgesOf({ planes, runStarts }: CompiledNormalForm): readonly string[] {
  return Array.from(runStarts).flatMap((start, run) => {
    const plane = planes.findLastIndex((first) => first <= run);
    const first = 0x1_0000 * plane + start;
    return [first - 1, first]
      .filter((one) => one > 0 && (one < 0xd800 || one > 0xdfff))
      .map((one) => String.fromCodePoint(one));
  });
}

/** Alone, decomposed, with marks that it takes in and that it does not, behind what takes in marks. */
function inAllPlaces(chars: readonly string[]): readonly Texts[] {
  return inHundreds(
    chars.map(
      (char) => `${char} ${char.normalize('NFD')} ${char}\u0323${char}\u0301\u0334 e\u0301${char}`,
    ),
  );
}

function inHundreds(texts: readonly string[]): readonly Texts[] {
  return Array.from(
    { length: Math.ceil(texts.length / 100) },
    (_, i): Texts => [texts.slice(100 * i, 100 * (i + 1)).join('')],
  );
}

/** A test of the tests: each table with one entry changed must not pass. */
test('broken tables are noticed', { timeout: 120_000 }, () => {
  const tokenizer = parseBpe(bpeOf('NFC'));
  const compiled = compileBpe(tokenizer);
  const form = compiled.normalForm!;
  const texts = [...textsOf(normalText, 12), ...inAllPlaces(decomposedCharacters())];
  const inputs = texts.map((text) => inputOf(text, 20_000));
  const host = texts.map(([text]) => encode(tokenizer, text, undefined, 20_000));
  const middle = (array: { readonly length: number }): number => array.length >> 1;
  const swapped = <T extends Uint8Array | Uint16Array | Uint32Array>(array: T): T => {
    const copy = array.slice() as T; // `slice` is typed per class
    const at = middle(array);
    [copy[at], copy[at + 1]] = [array[at + 1]!, array[at]!];
    return copy;
  };
  const mutants: Readonly<Record<string, Partial<CompiledNormalForm>>> = {
    'as it is': {},
    runStarts: { runStarts: form.runStarts.with(40, form.runStarts[40]! + 1) },
    runValues: { runValues: swapped(form.runValues) },
    rows: { rows: swapped(form.rows) },
    tailOf: { tailOf: form.tailOf.with(3, form.tailOf[3]! + 1) },
    tails: { tails: form.tails.with(2, form.tails[2]! + 1) },
    text: { text: swapped(form.text) },
    composites: { composites: swapped(form.composites) },
    groups: { groups: form.groups.with(5, form.groups[5]! + 1) },
    composes: { composes: false },
  };
  const passing = Object.keys(mutants).filter((name) => {
    const device = makeDevice({ ...compiled, normalForm: { ...form, ...mutants[name] } }, ['-O0']);
    const ours = device.run(inputs);
    device.close();
    return ours.every(({ ids }, i) => ids.join(' ') === host[i]!.ids.join(' '));
  });
  expect(passing).toEqual(['as it is']);
});

test('bytes of the tables', () => {
  const bytes = normalFormNames.map((name) => {
    const { sizeBytes } = compileNormalForm({ name, cleansText: false });
    return [name, sizeBytes] as const;
  });
  expect(Object.fromEntries(bytes)).toMatchInlineSnapshot(`
    {
      "NFC": 12391,
      "NFD": 10219,
      "NFKC": 24349,
      "NFKD": 22201,
    }
  `);
});
