/** A SentencePiece Unigram tokenizer (ALBERT, XLM-RoBERTa, T5) as plain data. */
import type { AddedTokenRule } from '../added-tokens.ts';
import type { Frame } from '../frame.ts';
import type { NormalForm } from '../normal-form.ts';

export interface UnigramTokenizer {
  readonly kind: 'unigram';
  /** Text of each id: pieces, no two the same, then added tokens. */
  readonly vocabulary: readonly string[];
  /** Log probability of each piece, in steps: see `integerScores`. */
  readonly scores: Int32Array;
  /** Of a character that is no piece by itself. */
  readonly unknownScore: number;
  readonly unknownId: number;
  /** Token of each byte, for characters that are unknown; null: they are one unknown token. */
  readonly byteIds: Int32Array | null;
  readonly normalizer: Normalizer;
  readonly words: WordRule;
  readonly frame: Frame;
  /** Found in the raw text before all else. */
  readonly addedTokens: readonly AddedTokenRule[];
}

/** What becomes of a text, in this order. */
export interface Normalizer {
  /** Two characters that become one: `` to ". */
  readonly pairs: readonly ReplacedPair[];
  /** Control characters and odd spaces go, as the library's Nmt has it. */
  readonly cleansText: boolean;
  /** Null: none of them, or all that follows needs is `decomposes`. */
  readonly normalForm: NormalForm | null;
  /** Compatibility decomposition (NFKD), of what loses its marks. */
  readonly decomposes: boolean;
  readonly stripsMarks: boolean;
  readonly lowercases: boolean;
  /** SentencePiece's own: what characters, and short sequences of them, become. */
  readonly rules: readonly NormalizationRule[];
  /** White space at the end goes. */
  readonly stripsRight: boolean;
  /** Several spaces become one. */
  readonly collapsesSpaces: boolean;
}

export interface ReplacedPair {
  readonly from: string;
  readonly to: string;
}

export type NormalizationRule = readonly [from: string, to: string];

/** How a normalized text falls into words, each of which is tokenized by itself. */
export interface WordRule {
  /** At white space, which goes; else spaces stay, as U+2581. */
  readonly splitsAtWhitespace: boolean;
  /** Before each mark of a space. */
  readonly splitsAtMarks: boolean;
  /** Whether a text, or what stands between white space, begins with a U+2581 it lacks. */
  readonly prefix: 'always' | 'first' | 'never';
}

/**
 * Bytes of a word that are looked at together. Of a longer one the best pieces of so many are found,
 * those of the first half are settled, and the others are looked for again with what follows.
 */
export const windowBytes = 256;

/** Without the added tokens behind them, which have no scores. */
export function piecesOf({ vocabulary, scores }: UnigramTokenizer): readonly string[] {
  return vocabulary.slice(0, scores.length);
}
