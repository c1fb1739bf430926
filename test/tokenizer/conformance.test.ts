/** One suite, three executors: Hugging Face's Rust tokenizers, `encode`, the C of the device. */
import { afterAll, describe, expect, test } from 'vitest';
import { compileTokenizer } from '../../toolchain/tokenizer/compile.ts';
import { type EncodedText, encode } from '../../toolchain/tokenizer/encode.ts';
import { type DeviceInput, makeDevice } from './device.ts';
import { makeOracle, type Texts } from './oracle.ts';
import {
  allSettings,
  corpusTexts,
  everyCharacter,
  exampleTokenizer,
  makeRandom,
  randomText,
  richTokenizer,
} from './samples.ts';

const encoder = new TextEncoder();
/** As the device does: keeps a byte order mark, which the clean-up then removes. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

function deviceInput([text, pair]: Texts, maxTokens: number): DeviceInput {
  const pairBytes = pair === undefined ? undefined : encoder.encode(pair);
  return { text: encoder.encode(text), pair: pairBytes, maxTokens };
}

/** Fails with the text and both answers at the first difference. */
function expectSame(
  name: string,
  texts: readonly unknown[],
  ours: EncodedText[],
  theirs: EncodedText[],
) {
  expect(ours.length).toBe(theirs.length);
  const summary = ({ ids, segmentStart, truncated }: EncodedText) =>
    `${ids.join(' ')} / ${segmentStart} ${truncated}`;
  ours.forEach((our, i) => {
    const [a, b] = [summary(our), summary(theirs[i]!)];
    if (a !== b) expect(a, `${name}: ${JSON.stringify(texts[i])}`).toBe(b);
  });
}

describe.each(allSettings)('a vocabulary of most characters, %o', (settings) => {
  const tokenizer = richTokenizer(settings);
  const oracle = makeOracle(tokenizer);
  const device = makeDevice(compileTokenizer(tokenizer));
  afterAll(device.close);

  async function expectAgreement(texts: readonly Texts[], maxTokens: number) {
    const host = texts.map(([text, pair]) => encode(tokenizer, text, pair, maxTokens));
    expectSame('encode', texts, host, await oracle(texts, maxTokens));
    const inputs = texts.map((text) => deviceInput(text, maxTokens));
    expectSame('device', texts, device.run(inputs), host);
  }

  test('every code point, alone and between letters', async () => {
    const texts = everyCharacter().map((text): Texts => [text]);
    await expectAgreement(texts, 20_000);
  });

  test('25,000 random texts', async () => {
    const random = makeRandom(2);
    await expectAgreement(
      Array.from({ length: 25_000 }, (): Texts => [randomText(random)]),
      512,
    );
  });

  test('pairs and truncation', async () => {
    const random = makeRandom(3);
    for (const maxTokens of [3, 4, 5, 6, 7, 8, 11, 16, 30]) {
      const texts = Array.from({ length: 400 }, (_, i): Texts => {
        const text = randomText(random);
        return i % 4 === 0 ? [text] : [text, randomText(random)];
      });
      await expectAgreement(texts, maxTokens);
    }
  });

  test('25,000 mutated byte strings: as the WHATWG decoder reads them', () => {
    const random = makeRandom(4);
    const inputs = Array.from({ length: 25_000 }, (): DeviceInput => {
      const text = mutate(encoder.encode(randomText(random)), random);
      return { text, maxTokens: 64 };
    });
    const texts = inputs.map(({ text }) => decoder.decode(text));
    const host = texts.map((text) => encode(tokenizer, text, undefined, 64));
    expectSame('device', texts, device.run(inputs), host);
  });
});

/** A few bytes replaced, removed or inserted, mostly by ones that matter to UTF-8. */
function mutate(bytes: Uint8Array, random: (below: number) => number): Uint8Array {
  const telling = [0x00, 0x80, 0xbf, 0xc0, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff];
  const mutated = [...bytes];
  for (let i = random(8); i >= 0; i--) {
    const byte = random(2) === 0 ? random(0x100) : telling[random(telling.length)]!;
    mutated.splice(random(mutated.length + 1), random(3), ...(random(2) === 0 ? [byte] : []));
  }
  return Uint8Array.from(mutated);
}

const tokenizer = exampleTokenizer();
const corpus = corpusTexts();

describe.skipIf(tokenizer === undefined || corpus === undefined)('the example', () => {
  test('all texts of the corpus', { timeout: 120_000 }, async () => {
    const device = makeDevice(compileTokenizer(tokenizer!));
    const texts = corpus!.map((text): Texts => [text]);
    const host = texts.map(([text]) => encode(tokenizer!, text, undefined, 128));
    expectSame('encode', texts, host, await makeOracle(tokenizer!)(texts, 128));
    expectSame('device', texts, device.run(texts.map((text) => deviceInput(text, 128))), host);
    device.close();
  });
});
