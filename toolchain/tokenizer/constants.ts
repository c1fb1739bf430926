/** A compiled tokenizer as named C constants and the struct that refers to them. */
import { bpeConstants, bpeFields, bpeWords } from './bpe/constants.ts';
import type { CompiledTokenizer } from './compile.ts';
import type { TokenizerConstant, TokenizerField } from './constant-types.ts';
import { unigramConstants, unigramFields, unigramWords } from './unigram/constants.ts';
import { wordPieceConstants, wordPieceFields, wordPieceWords } from './wordpiece-constants.ts';

const shared = ['c/text.h', 'c/utf8.h', 'c/runs.h', 'c/frame.h'];

/** What generated C calls a tokenizer of each kind, and its files under `kernels/`. */
export const tokenizerCode = {
  wordpiece: {
    ...{ struct: 'lm_tokenizer', tokenize: 'lm_tokenize', header: 'kernels/tokenizer.h' },
    files: [...shared, 'c/trie.h', 'c/tokenizer.h', 'c/tokenizer.c'],
    assemblyScript: './tokenizer',
  },
  bpe: {
    ...{ struct: 'lm_bpe', tokenize: 'lm_bpe_tokenize', header: 'kernels/bpe.h' },
    files: [...shared, 'c/specials.h', 'c/bpe.h', 'c/bpe.c'],
    assemblyScript: './bpe',
  },
  unigram: {
    ...{ struct: 'lm_unigram', tokenize: 'lm_unigram_tokenize', header: 'kernels/unigram.h' },
    files: [
      ...[...shared, 'c/specials.h', 'c/trie.h'],
      ...['c/unigram_normalize.h', 'c/unigram.h', 'c/unigram.c'],
    ],
    assemblyScript: './unigram',
  },
} as const satisfies Record<CompiledTokenizer['kind'], unknown>;

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
