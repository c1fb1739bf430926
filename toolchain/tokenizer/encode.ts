/**
 * Text to token ids on the host, as Hugging Face's Rust tokenizers compute them.
 *
 * Written from the vocabulary's strings, without the compiled tables of the device, so that the two
 * can be compared. BPE is in `bpe/`, Unigram in `unigram/`. Special tokens written in the text ("[SEP]") become the special token, as there:
 * they are matched in the raw text, case and all, before anything else.
 */
import { userError } from '../errors.ts';
import { tokenizeBpe } from './bpe/encode.ts';
import { type CharacterAction, characterAction, splitWords } from './characters.ts';
import { type Tokenizer, type WordPieceTokenizer, wordPieceFrame } from './parse.ts';
import { tokenizeUnigram } from './unigram/encode.ts';

export interface EncodedText {
  /** Vocabulary ids, with [CLS] and [SEP]. */
  readonly ids: Int32Array;
  /** Index of the first token of segment 1; `ids.length` when there is no pair. */
  readonly segmentStart: number;
  /** Whether tokens were left out to keep to `maxTokens`. */
  readonly truncated: boolean;
}

export function encode(
  tokenizer: Tokenizer,
  text: string,
  pair: string | undefined,
  maxTokens: number,
): EncodedText {
  const { before, between, after, segmentBreak } =
    tokenizer.kind === 'wordpiece' ? wordPieceFrame(tokenizer) : tokenizer.frame;
  const middle = pair === undefined ? 0 : between.length;
  const specials = before.length + middle + after.length;
  if (maxTokens < specials) {
    throw userError({
      code: 'max-tokens-too-small',
      message: `${maxTokens} tokens have no room for the ${specials} special tokens`,
      hint: `Ask for at least ${specials} tokens.`,
    });
  }
  const first = tokenize(tokenizer, text);
  const second = pair === undefined ? [] : tokenize(tokenizer, pair);
  const room = maxTokens - specials;
  const [firstLength, secondLength] = truncatedLengths(first.length, second.length, room);
  const ids = [...before, ...first.slice(0, firstLength)];
  const segmentStart = ids.length + segmentBreak;
  if (pair !== undefined) ids.push(...between, ...second.slice(0, secondLength));
  ids.push(...after);
  return {
    ids: Int32Array.from(ids),
    segmentStart: pair === undefined || segmentBreak < 0 ? ids.length : segmentStart,
    truncated: first.length + second.length > room,
  };
}

function tokenize(tokenizer: Tokenizer, text: string): readonly number[] {
  switch (tokenizer.kind) {
    case 'wordpiece':
      return tokenizeWordPiece(tokenizer, text);
    case 'bpe':
      return tokenizeBpe(tokenizer, text);
    case 'unigram':
      return tokenizeUnigram(tokenizer, text);
  }
}

/**
 * `longest_first` (Hugging Face utils/truncation.rs): the longer text gives way until both are
 * equally long, then they share the room, an odd token going to the longer one.
 */
export function truncatedLengths(
  first: number,
  second: number,
  room: number,
): readonly [number, number] {
  if (first + second <= room) return [first, second];
  const shorter = Math.min(first, second);
  const half = Math.floor(room / 2);
  const [short, long] = shorter <= half ? [shorter, room - shorter] : [half, room - half];
  return first > second ? [long, short] : [short, long];
}

/** What `encode` needs beside the plain data; made once per tokenizer. */
interface Lookup {
  readonly idOf: ReadonlyMap<string, number>;
  readonly addedIdOf: ReadonlyMap<string, number>;
  /** Matches any added token, the longest first; undefined where there is none. */
  readonly addedPattern: RegExp | undefined;
  readonly actionOf: (codePoint: number) => CharacterAction;
}

const lookups = new WeakMap<WordPieceTokenizer, Lookup>();

function lookupOf(tokenizer: WordPieceTokenizer): Lookup {
  const known = lookups.get(tokenizer);
  if (known !== undefined) return known;
  const actions = new Map<number, CharacterAction>();
  const added = tokenizer.addedTokens.map(({ text }) => text).sort((a, b) => b.length - a.length);
  const lookup: Lookup = {
    idOf: new Map(tokenizer.vocabulary.map((word, id) => [word, id])),
    addedIdOf: new Map(tokenizer.addedTokens.map(({ text, id }) => [text, id])),
    addedPattern: added.length === 0 ? undefined : alternatives(added),
    actionOf: (codePoint) => {
      const action = actions.get(codePoint) ?? characterAction(codePoint, tokenizer);
      actions.set(codePoint, action);
      return action;
    },
  };
  lookups.set(tokenizer, lookup);
  return lookup;
}

function alternatives(words: readonly string[]): RegExp {
  const escaped = words.map((word) => word.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'));
  return new RegExp(`(${escaped.join('|')})`, 'u');
}

function tokenizeWordPiece(tokenizer: WordPieceTokenizer, text: string): readonly number[] {
  const lookup = lookupOf(tokenizer);
  const ids: number[] = [];
  // Every other part is an added token.
  const parts = lookup.addedPattern === undefined ? [text] : text.split(lookup.addedPattern);
  parts.forEach((part, i) => {
    if (i % 2 === 1) ids.push(lookup.addedIdOf.get(part)!);
    else for (const word of splitWords(part, tokenizer, lookup.actionOf)) ids.push(...pieces(word));
  });
  return ids;

  /** Longest match first; one unknown piece makes the whole word unknown. */
  function pieces(word: readonly number[]): number[] {
    const unknown = [tokenizer.unknownId];
    if (word.length > tokenizer.maxWordChars) return unknown;
    const text = String.fromCodePoint(...word);
    const found: number[] = [];
    for (let start = 0; start < text.length; ) {
      const prefix = start === 0 ? '' : tokenizer.continuationPrefix;
      let end = text.length;
      let id: number | undefined;
      for (; end > start; end--) {
        id = lookup.idOf.get(prefix + text.slice(start, end));
        if (id !== undefined) break;
      }
      if (id === undefined) return unknown;
      found.push(id);
      start = end;
    }
    return found;
  }
}
