/** One suite, three executors: Hugging Face's Rust tokenizers, `encode`, the C of the device. */
import { afterAll, describe, test } from 'vitest';
import { compileTokenizer } from '../../toolchain/tokenizer/compile.ts';
import { encode } from '../../toolchain/tokenizer/encode.ts';
import { type DeviceInput, expectSame, makeDevice } from './device.ts';
import { makeOracle, type Texts } from './oracle.ts';
import {
  allSettings,
  corpusTexts,
  exampleTokenizer,
  makeRandom,
  randomText,
  richTokenizer,
} from './samples.ts';

const encoder = new TextEncoder();

function deviceInput([text, pair]: Texts, maxTokens: number): DeviceInput {
  const pairBytes = pair === undefined ? undefined : encoder.encode(pair);
  return { text: encoder.encode(text), pair: pairBytes, maxTokens };
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

  test('25,000 random texts', async () => {
    const random = makeRandom(2);
    const texts = Array.from({ length: 25_000 }, (): Texts => [randomText(random)]);
    await expectAgreement(texts, 512);
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
});

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
