/** One suite, four executors: Hugging Face's Rust tokenizers, `encode`, C and WASM of the device. */
import type { CompiledTokenizer } from '../../toolchain/tokenizer/compile.ts';
import { encode } from '../../toolchain/tokenizer/encode.ts';
import type { Tokenizer } from '../../toolchain/tokenizer/parse.ts';
import { type DeviceInput, expectSame, makeDevice } from './device.ts';
import { loadOracle, type Texts } from './oracle.ts';
import { makeWasmDevice } from './wasm-device.ts';

const encoder = new TextEncoder();

export function inputOf([text, pair]: Texts, maxTokens: number): DeviceInput {
  const pairBytes = pair === undefined ? undefined : encoder.encode(pair);
  return { text: encoder.encode(text), pair: pairBytes, maxTokens };
}

/** Texts, with the most tokens of each batch. */
export type Batches = readonly (readonly [number, readonly Texts[]])[];

/** The host and the devices encode as the library does with `json`; they stay open. */
export async function expectSameTokens(
  json: object,
  tokenizer: Tokenizer,
  compiled: CompiledTokenizer,
  batches: Batches,
) {
  const oracle = loadOracle(json);
  const c = makeDevice(compiled);
  const wasm = await makeWasmDevice(compiled);
  for (const [maxTokens, texts] of batches) {
    const host = texts.map(([text, pair]) => encode(tokenizer, text, pair, maxTokens));
    expectSame('encode', texts, host, await oracle(texts, maxTokens));
    const inputs = texts.map((text) => inputOf(text, maxTokens));
    expectSame('C', texts, c.run(inputs), host);
    expectSame('WASM', texts, wasm.run(inputs), host);
  }
  return { c, wasm };
}
