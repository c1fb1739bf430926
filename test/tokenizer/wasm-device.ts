/** The tokenizer of modules, compiled from AssemblyScript and fed text by text. */
import { compileAssemblyScript } from '../../toolchain/build/assemblyscript.ts';
import { imageOrigin, newImage } from '../../toolchain/emit/wasm-image.ts';
import { wordBytes } from '../../toolchain/emit/wasm-model.ts';
import type { CompiledTokenizer } from '../../toolchain/tokenizer/compile.ts';
import {
  type TokenizerCode,
  tokenizerCode,
  tokenizerWords,
} from '../../toolchain/tokenizer/constants.ts';
import type { EncodedText } from '../../toolchain/tokenizer/encode.ts';
import type { DeviceInput } from './device.ts';

interface Exports {
  readonly memory: WebAssembly.Memory & { grow(pages: number): number };
  tokenize(...numbers: readonly number[]): number;
  spell(tokenizer: number, id: number, to: number): number;
  segmentStartOfTokens(): number;
  tokensAreTruncated(): number;
}

const entry = 'tokenizer_test.ts';
const sourceOf = ({
  assemblyScript,
  assemblyScriptGlobals,
}: TokenizerCode): string => `${assemblyScriptGlobals}import { Tokenizer, lm_spell, lm_tokenize } from '${assemblyScript}';
export { segmentStartOfTokens, tokensAreTruncated } from './text';

export function tokenize(
  t: usize, text: usize, textBytes: i32, hasPair: i32, pair: usize, pairBytes: i32,
  ids: usize, maxTokens: i32,
): i32 {
  return lm_tokenize(
    changetype<Tokenizer>(t), text, textBytes, hasPair, pair, pairBytes, ids, maxTokens,
  );
}

export function spell(t: usize, id: i32, to: usize): i32 {
  return lm_spell(changetype<Tokenizer>(t), id, to);
}
`;

const mostTextBytes = 1 << 20;
const pageBytes = 65_536;

const modules = new Map<TokenizerCode, Promise<Uint8Array>>();

/** The tables are no part of the code. */
function moduleOf(code: TokenizerCode): Promise<Uint8Array> {
  const source = sourceOf(code);
  const compiling =
    modules.get(code) ??
    compileAssemblyScript({
      ...{ variant: 'simd', entry, sources: { [entry]: source }, importsMemory: false },
    });
  modules.set(code, compiling);
  return compiling;
}

export async function makeWasmDevice(compiled: CompiledTokenizer) {
  const image = newImage();
  const words = tokenizerWords(compiled, ({ data }) => image.place(data, 'tokenizer'));
  const tokenizer = imageOrigin + image.bytes().length;
  const window = tokenizer + 4 * (words.length + 1);
  image.place(Int32Array.from([...words, window]), 'tokenizer');
  const idsAddress = window + wordBytes[compiled.kind];
  const textAddress = idsAddress + 2 * 65_536;
  const wasm = await moduleOf(tokenizerCode(compiled));
  const { instance } = await WebAssembly.instantiate(wasm as Uint8Array<ArrayBuffer>);
  const exports = instance.exports as unknown as Exports;
  exports.memory.grow(Math.ceil((textAddress + mostTextBytes) / pageBytes));
  const memory = new Uint8Array(exports.memory.buffer);
  memory.set(image.bytes(), imageOrigin);

  function encodeOne({ text, pair, maxTokens }: DeviceInput): EncodedText {
    memory.set(text, textAddress);
    const pairAddress = textAddress + text.length;
    if (pair !== undefined) memory.set(pair, pairAddress);
    const count = exports.tokenize(
      ...[tokenizer, textAddress, text.length],
      ...[Number(pair !== undefined), pairAddress, pair?.length ?? 0, idsAddress, maxTokens],
    );
    const compact = new Uint16Array(memory.buffer, idsAddress, count);
    return {
      ids: Int32Array.from(compact, (index) => compiled.idOrder[index]!),
      segmentStart: exports.segmentStartOfTokens(),
      truncated: exports.tokensAreTruncated() !== 0,
    };
  }

  return {
    run: (inputs: readonly DeviceInput[]) => inputs.map(encodeOne),
    spell: () =>
      Array.from(compiled.idOrder, (_, index) => {
        const bytes = exports.spell(tokenizer, index, textAddress);
        return Buffer.from(memory.slice(textAddress, textAddress + bytes));
      }),
  };
}
