/** A compiled tokenizer as named C constants and the struct that refers to them. */
import { bpeConstants, bpeFields, bpeWords } from './bpe/constants.ts';
import type { CompiledTokenizer } from './compile.ts';
import type { TokenizerConstant, TokenizerField } from './constant-types.ts';
import { unigramConstants, unigramFields, unigramWords } from './unigram/constants.ts';
import { wordPieceConstants, wordPieceFields, wordPieceWords } from './wordpiece-constants.ts';

const shared = ['c/text.h', 'c/utf8.h', 'c/runs.h', 'c/frame.h'];
const normal = ['c/normal_form.h', 'c/normal_reader.h'];
const bpe = [...shared, 'c/specials.h', 'c/bpe.h', 'c/bpe_tokenize.h'];
const unigram = [
  ...[...shared, 'c/specials.h', 'c/trie.h'],
  ...['c/unigram_normalize.h', 'c/unigram.h', 'c/unigram_tokenize.h'],
];

const normalizes = '@global const NORMALIZES: bool = true;\n';

const tokenizerCodes = {
  wordpiece: {
    ...{ struct: 'lm_tokenizer', tokenize: 'lm_tokenize', header: 'kernels/tokenizer.h' },
    files: [...shared, 'c/trie.h', 'c/tokenizer.h', 'c/tokenizer.c'],
    ...{ assemblyScript: './tokenizer', assemblyScriptGlobals: '' },
  },
  bpe: {
    ...{ struct: 'lm_bpe', tokenize: 'lm_bpe_tokenize', header: 'kernels/bpe.h' },
    files: [...bpe, 'c/plain_reader.h', 'c/bpe.c'],
    ...{ assemblyScript: './bpe', assemblyScriptGlobals: '' },
  },
  unigram: {
    ...{ struct: 'lm_unigram', tokenize: 'lm_unigram_tokenize', header: 'kernels/unigram.h' },
    files: [...unigram, 'c/unigram.c'],
    ...{ assemblyScript: './unigram', assemblyScriptGlobals: '' },
  },
} as const satisfies Record<CompiledTokenizer['kind'], TokenizerCode>;

/** The same of texts that are normalized first. */
const normalizingCodes = {
  bpe: {
    ...{ ...tokenizerCodes.bpe, header: 'kernels/bpe_normalized.h' },
    assemblyScriptGlobals: normalizes,
    files: [...bpe, ...normal, 'c/bpe_normalized.h', 'c/bpe_normalized.c'],
  },
  unigram: {
    ...{ ...tokenizerCodes.unigram, header: 'kernels/unigram_normalized.h' },
    assemblyScriptGlobals: normalizes,
    files: [...unigram, ...normal, 'c/unigram_normalized.h', 'c/unigram_normalized.c'],
  },
} as const satisfies Partial<Record<CompiledTokenizer['kind'], TokenizerCode>>;

/** What generated C calls a tokenizer, and its files under `kernels/`. */
export interface TokenizerCode {
  readonly struct: string;
  readonly tokenize: string;
  readonly header: string;
  readonly files: readonly string[];
  readonly assemblyScript: string;
  /** Statements for the module that is compiled: constants that the kernels ask for. */
  readonly assemblyScriptGlobals: string;
}

export function tokenizerCode(compiled: CompiledTokenizer): TokenizerCode {
  const isNormalized = compiled.kind !== 'wordpiece' && compiled.normalForm !== null;
  return isNormalized ? normalizingCodes[compiled.kind] : tokenizerCodes[compiled.kind];
}

export function tokenizerConstants(compiled: CompiledTokenizer): readonly TokenizerConstant[] {
  switch (compiled.kind) {
    case 'wordpiece':
      return wordPieceConstants(compiled);
    case 'bpe':
      return bpeConstants(compiled);
    case 'unigram':
      return unigramConstants(compiled);
  }
}

/** The struct of the kernel's header, whose pointers name the constants. */
export function tokenizerFields(compiled: CompiledTokenizer): readonly TokenizerField[] {
  switch (compiled.kind) {
    case 'wordpiece':
      return wordPieceFields(compiled);
    case 'bpe':
      return bpeFields(compiled);
    case 'unigram':
      return unigramFields(compiled);
  }
}

/**
 * The `Tokenizer` of the kernel in AssemblyScript, but for its memory; `addressOf`: where a constant
 * lies.
 */
export function tokenizerWords(
  compiled: CompiledTokenizer,
  addressOf: (constant: TokenizerConstant) => number,
): readonly number[] {
  switch (compiled.kind) {
    case 'wordpiece':
      return wordPieceWords(compiled, addressOf);
    case 'bpe':
      return bpeWords(compiled, addressOf);
    case 'unigram':
      return unigramWords(compiled, addressOf);
  }
}
