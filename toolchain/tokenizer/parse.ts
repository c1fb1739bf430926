/**
 * Tokenizer files of a model to plain data: `vocab.txt` with `tokenizer_config.json`, or
 * `tokenizer.json` where there is no `vocab.txt`.
 */
import { userError } from '../errors.ts';
import type { BpeTokenizer } from './bpe/tokenizer.ts';
import type { Frame } from './frame.ts';
import {
  type Config,
  checkWordPiece,
  defaultPrefix,
  maxWordChars,
  parseConfig,
  specialIds,
  specialNames,
  uniqueIds,
} from './special-tokens.ts';
import { fromTokenizerJson } from './tokenizer-json.ts';
import type { UnigramTokenizer } from './unigram/tokenizer.ts';

export type Tokenizer = WordPieceTokenizer | BpeTokenizer | UnigramTokenizer;

/** BERT's. */
export interface WordPieceTokenizer {
  readonly kind: 'wordpiece';
  /** Token of each id; '' where an id has none (a blank line). No other string occurs twice. */
  readonly vocabulary: readonly string[];
  readonly lowercase: boolean;
  readonly stripAccents: boolean;
  /** CJK ideographs are words of their own. */
  readonly tokenizeChinese: boolean;
  readonly unknownId: number;
  readonly clsId: number;
  readonly sepId: number;
  readonly padId: number;
  readonly maskId?: number;
  /** Special tokens, found in the raw text before all else (Hugging Face's added tokens). */
  readonly addedTokens: readonly AddedToken[];
  /** Marks the tokens that continue a word. */
  readonly continuationPrefix: string;
  /** Longer words are unknown; in characters after normalization. */
  readonly maxWordChars: number;
}

/** [CLS] A [SEP] or [CLS] A [SEP] B [SEP]. */
export function wordPieceFrame({
  clsId,
  sepId,
}: Pick<WordPieceTokenizer, 'clsId' | 'sepId'>): Frame {
  return { before: [clsId], between: [sepId], after: [sepId], segmentBreak: 1 };
}

export interface AddedToken {
  readonly text: string;
  readonly id: number;
}

export interface TokenizerFiles {
  readonly vocabTxt?: Uint8Array | undefined;
  /** Parsed `tokenizer_config.json`. */
  readonly tokenizerConfig?: unknown;
  /** Parsed `tokenizer.json`. */
  readonly tokenizerJson?: unknown;
}

export function parseTokenizer(
  files: TokenizerFiles & { readonly vocabTxt: Uint8Array },
): WordPieceTokenizer;
export function parseTokenizer(files: TokenizerFiles): Tokenizer;
export function parseTokenizer(files: TokenizerFiles): Tokenizer {
  const config = parseConfig(files.tokenizerConfig ?? {});
  if (files.vocabTxt !== undefined) return fromVocabTxt(files.vocabTxt, config);
  if (files.tokenizerJson !== undefined) return fromTokenizerJson(files.tokenizerJson, config);
  throw userError({
    code: 'tokenizer-missing',
    message: 'the model has no tokenizer',
    hint: 'Put vocab.txt or tokenizer.json beside the model.',
  });
}

function fromVocabTxt(bytes: Uint8Array, config: Config): WordPieceTokenizer {
  checkWordPiece(config);
  const vocabulary = parseVocabTxt(bytes);
  const idOf = uniqueIds(vocabulary, 'vocab.txt', (id) => `line ${id + 1}`);
  const names = specialNames(config);
  const ids = specialIds(names, idOf, 'vocab.txt');
  const texts = new Set([...Object.values(names), ...(config.additional_special_tokens ?? [])]);
  const lowercase = config.do_lower_case ?? true;
  return {
    kind: 'wordpiece',
    vocabulary,
    lowercase,
    stripAccents: config.strip_accents ?? lowercase,
    tokenizeChinese: config.tokenize_chinese_chars ?? true,
    ...ids,
    addedTokens: [...texts].flatMap((text) => {
      const id = idOf.get(text);
      return id === undefined || text === '' ? [] : [{ text, id }];
    }),
    continuationPrefix: defaultPrefix,
    maxWordChars,
  };
}

/** One token a line, ended by LF or CRLF; white space at a line's end is no part of the token. */
function parseVocabTxt(bytes: Uint8Array): readonly string[] {
  const text = decodeUtf8(bytes);
  const lines = text.split('\n').map((line) => line.trimEnd());
  if (text.endsWith('\n') || text === '') lines.pop();
  if (!lines.some((line) => line !== '')) {
    throw userError({
      code: 'empty-vocabulary',
      message: 'the vocabulary is empty',
      where: 'vocab.txt',
      hint: 'Each line of vocab.txt is one token; copy the file again from the model.',
    });
  }
  return lines;
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw userError({
      code: 'bad-vocabulary',
      message: 'the vocabulary is not UTF-8 text',
      where: 'vocab.txt',
      hint: 'Copy vocab.txt again from the model; it may be a pointer file or compressed.',
    });
  }
}
