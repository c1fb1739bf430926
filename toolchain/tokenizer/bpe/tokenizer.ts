/** A BPE tokenizer over bytes (GPT-2, RoBERTa, Llama 3; SentencePiece's of Llama 2) as plain data. */
import type { AddedTokenRule } from '../added-tokens.ts';
import type { Frame } from '../frame.ts';
import type { NormalForm } from '../normal-form.ts';

export interface BpeTokenizer {
  readonly kind: 'bpe';
  /** Token of each id, a character a byte (see `byteAlphabet`); '' where an id has none. */
  readonly vocabulary: readonly string[];
  /** Id of the token of each byte; -1: the byte vanishes. */
  readonly byteIds: Int32Array;
  /**
   * Rows of left, right and merged token; the first row that applies anywhere is merged first. Ids
   * behind the vocabulary are beginnings of characters: what is left of them falls apart again.
   */
  readonly merges: Int32Array;
  /** Of what is between added tokens, before all else; null: it stays as it is. */
  readonly normalForm: NormalForm | null;
  readonly split: SplitRule;
  readonly prefix: PrefixRule;
  /** Spaces are read as U+2581, as SentencePiece does. */
  readonly marksSpaces: boolean;
  readonly frame: Frame;
  /** Found in the raw text before all else. */
  readonly addedTokens: readonly AddedTokenRule[];
}

/** Which texts between added tokens are read with a space before them. */
export const prefixRules = ['never', 'missing', 'missing-first', 'always'] as const;
/** `missing`: those that begin with none; `missing-first`: of them only one that begins the text. */
export type PrefixRule = (typeof prefixRules)[number];

export const mergeColumns = 3;

/** How a text falls into pieces, each of which is merged by itself. */
export interface SplitRule {
  /**
   * `gpt2`: a run of letters, of numbers or of others, with a space before it; `cl100k`: with any
   * character but a line break before letters, none before numbers, and line breaks after others;
   * `marks`: what begins with U+2581; `none`: the whole text is one piece.
   */
  readonly words: 'gpt2' | 'cl100k' | 'marks' | 'none';
  /** Most digits of a piece; 0: any number. */
  readonly mostDigits: number;
  /** Before all else, each digit is a piece by itself, and the text before it ends there. */
  readonly isolatesDigits: boolean;
}

/**
 * GPT-2's character for each byte: printable ASCII and Latin-1 stand for themselves, the others for
 * the characters from U+0100 on, in order.
 */
export const byteAlphabet: readonly string[] = makeByteAlphabet();

function makeByteAlphabet(): readonly string[] {
  const isPrintable = (byte: number): boolean =>
    (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  let next = 0x100;
  return Array.from({ length: 0x100 }, (_, byte) =>
    String.fromCharCode(isPrintable(byte) ? byte : next++),
  );
}

const byteOf: ReadonlyMap<string, number> = new Map(byteAlphabet.map((char, byte) => [char, byte]));

/** The bytes of a token of the vocabulary; undefined where it has a character of no byte. */
export function tokenBytes(token: string): readonly number[] | undefined {
  const bytes = Array.from(token, (char) => byteOf.get(char));
  return bytes.every((byte) => byte !== undefined) ? bytes : undefined;
}

/**
 * Base tokens that the device merges at once. A longer piece is read through this window: what lies
 * in its first half is settled once it is full, for merges do not reach that far.
 */
export const windowTokens = 256;
