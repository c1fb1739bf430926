/** Byte-level BPE: Hugging Face's Rust tokenizers, `encode`, and the C and WASM of the device. */
import { describe, expect, test } from 'vitest';
import { type CompiledBpe, compileBpe } from '../../toolchain/tokenizer/bpe/compile.ts';
import { decodeBpe } from '../../toolchain/tokenizer/bpe/encode.ts';
import { parseBpe } from '../../toolchain/tokenizer/bpe/parse.ts';
import { classOf } from '../../toolchain/tokenizer/bpe/split.ts';
import { encode } from '../../toolchain/tokenizer/encode.ts';
import { type Batches, expectSameTokens, inputOf } from './agreement.ts';
import {
  type BpeJson,
  bpeText,
  forms,
  oddBpe,
  sentencePieceBpe,
  sentencePieceForms,
  trainedBpe,
} from './bpe-samples.ts';
import { expectSame, makeDevice, optimized } from './device.ts';
import { loadOracle, type Texts } from './oracle.ts';
import { corpusTexts, makeRandom } from './samples.ts';

async function expectAgreement(json: BpeJson, batches: Batches): Promise<void> {
  const tokenizer = parseBpe(json);
  const compiled = compileBpe(tokenizer);
  const devices = await expectSameTokens(json, tokenizer, compiled, batches);
  const spelled = Array.from(compiled.idOrder, (id) => Buffer.from(decodeBpe(tokenizer, [id])));
  expect(devices.c.spell()).toEqual(spelled);
  expect(devices.wasm.spell()).toEqual(spelled);
  devices.c.close();
}

function randomTexts(seed: number, count: number): readonly Texts[] {
  const random = makeRandom(seed);
  return Array.from({ length: count }, (): Texts => [bpeText(random)]);
}

/** Short ones: the library makes an encoding of each pair of the parts that it cuts off. */
function randomPairs(seed: number, count: number): readonly Texts[] {
  const random = makeRandom(seed);
  const short = (): string => bpeText(random).slice(0, 30);
  return Array.from(
    { length: count },
    (_, i): Texts => (i % 3 === 0 ? [short()] : [short(), short()]),
  );
}

/** Of each tokenizer so many texts that are cut, and three times as many that are not. */
const runs = Number(process.env['LM2MCU_PROPERTY_RUNS'] ?? 200);
const random = makeRandom(11);
const tokenizers: Readonly<Record<string, BpeJson>> = {
  ...Object.fromEntries(Object.entries(forms).map(([name, form]) => [name, trainedBpe(form)])),
  ...Object.fromEntries(
    Object.entries(sentencePieceForms).map(([name, form]) => [name, sentencePieceBpe(form)]),
  ),
  ...Object.fromEntries(Array.from({ length: 3 }, (_, i) => [`odd merges ${i}`, oddBpe(random)])),
};

describe.each(Object.keys(tokenizers))('%s', (name) => {
  test('random texts, pairs and truncation', { timeout: 120_000 }, async () => {
    const short = [4, 5, 7, 16].map((most, i) => [most, randomPairs(i + 3, runs / 4)] as const);
    await expectAgreement(tokenizers[name]!, [[4096, randomTexts(2, 3 * runs)], ...short]);
  });
});

test('what tokens stand for is what the library decodes', async () => {
  const json = trainedBpe();
  const tokenizer = parseBpe(json);
  const random = makeRandom(5);
  const size = tokenizer.vocabulary.length;
  const lists = Array.from({ length: 2000 }, () =>
    Array.from({ length: random(20) }, () => random(size)),
  );
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const ours = lists.map((ids) => decoder.decode(decodeBpe(tokenizer, ids)));
  expect(ours).toEqual(await loadOracle(json).decode(lists));
});

test('characters at the edges of classes are of the class that the library gives them', async () => {
  for (const form of ['Llama 3', 'single digits']) {
    const json = trainedBpe(forms[form]);
    const tokenizer = parseBpe(json);
    const compiled = compileBpe(tokenizer);
    const texts = edgesOf(compiled).map(
      (chars): Texts => [chars.map((c) => `a${c}b ${c} `).join('')],
    );
    const host = texts.map(([text]) => encode(tokenizer, text, undefined, 20_000));
    expectSame('encode', texts, host, await loadOracle(json)(texts, 20_000));
    const device = makeDevice(compiled, optimized);
    expectSame('C', texts, device.run(texts.map((text) => inputOf(text, 20_000))), host);
    device.close();
  }
});

/** The first and last characters of each run of one class, and every 97th, 100 at a time. */
function edgesOf({ classes: { planes, runStarts } }: CompiledBpe): readonly (readonly string[])[] {
  const edges = new Set<number>();
  for (let code = 0; code < 0x11_0000; code += 97) edges.add(code);
  runStarts.forEach((start, run) => {
    const plane = planes.findLastIndex((first) => first <= run);
    for (const at of [-1, 0, 1]) edges.add(Math.max(0, 0x1_0000 * plane + start + at));
  });
  const isSurrogate = (code: number) => code >= 0xd800 && code <= 0xdfff;
  const chars = [...edges]
    .filter((code) => !isSurrogate(code))
    .map((code) => String.fromCodePoint(code));
  return Array.from({ length: Math.ceil(chars.length / 100) }, (_, i) =>
    chars.slice(100 * i, 100 * (i + 1)),
  );
}

test('malformed bytes are read as the WHATWG decoder reads them', () => {
  const tokenizer = parseBpe(trainedBpe(forms['RoBERTa']));
  const random = makeRandom(4);
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const encoder = new TextEncoder();
  const inputs = randomTexts(6, 5000).map(([text]) => {
    const bytes = encoder.encode(text.slice(0, 100));
    for (let i = random(6); i > 0; i--) bytes[random(bytes.length)] = random(0x100);
    return { text: bytes, maxTokens: 64 };
  });
  const texts = inputs.map(({ text }) => decoder.decode(text));
  const host = texts.map((text) => encode(tokenizer, text, undefined, 64));
  const device = makeDevice(compileBpe(tokenizer));
  expectSame('C', texts, device.run(inputs), host);
  device.close();
});

const corpus = corpusTexts();

test.skipIf(corpus === undefined)('texts of the example', { timeout: 120_000 }, async () => {
  const texts = corpus!.filter((_, i) => i % 40 === 0).map((text): Texts => [text]);
  await expectAgreement(trainedBpe(forms['RoBERTa']), [[128, texts]]);
});

describe('size', () => {
  test('bytes of 1,200 tokens', () => {
    const { sizeBytes, idOrder } = compileBpe(parseBpe(trainedBpe()));
    expect({ ...sizeBytes, tokens: idOrder.length }).toMatchInlineSnapshot(`
      {
        "characters": 4905,
        "specials": 26,
        "tokens": 1200,
        "total": 11089,
        "vocabulary": 6158,
      }
    `);
  });
});

/** A test of the tests: each table with one entry changed must not pass. */
test('broken tables are noticed', { timeout: 120_000 }, () => {
  const tokenizer = parseBpe(trainedBpe(forms['Llama 3']));
  const compiled = compileBpe(tokenizer);
  const texts = randomTexts(8, 3000);
  const host = texts.map(([text]) => encode(tokenizer, text, undefined, 512));
  const { classes, order } = compiled;
  const letters = classes.runStarts.indexOf(0x61);
  const inClasses = (part: Partial<typeof classes>) => ({ classes: { ...classes, ...part } });
  const mutants = {
    'as it is': {},
    runStarts: inClasses({ runStarts: classes.runStarts.with(letters, 0x63) }),
    runClasses: inClasses({ runClasses: classes.runClasses.with(3, 0) }),
    byteTokens: { byteTokens: compiled.byteTokens.with(0x61, 5) },
    merges: { merges: compiled.merges.with(2, 3) },
    order: { order: order.with(order.length >> 1, order[0]!) },
    specials: { specials: compiled.specials.with(5, 0x78) },
  };
  const passing = Object.entries(mutants).filter(([, part]) => {
    const device = makeDevice({ ...compiled, ...part });
    try {
      const inputs = texts.map((text) => inputOf(text, 512));
      expectSame('C', texts, device.run(inputs), host);
      return true;
    } catch {
      return false;
    } finally {
      device.close();
    }
  });
  expect(passing.map(([name]) => name)).toEqual(['as it is']);
});

test('the classes are those of Unicode 16.0, single digits those of 17.0', () => {
  const { split } = parseBpe(trainedBpe());
  const counts = [0, 0, 0, 0];
  for (let code = 0; code <= 0x10ffff; code++) counts[classOf(code, split)]!++;
  expect(counts.slice(1)).toEqual([141_028, 1911, 25]);
  expect(classOf(0x11de0, split)).not.toBe(classOf(0x11de0, { ...split, isolatesDigits: true }));
});
