/**
 * Text to token ids by the most probable pieces (Viterbi's algorithm) on the host, as Hugging Face's
 * Rust tokenizers compute them, and ids back to bytes. Written from the pieces' strings, without the
 * compiled tables of the device.
 */
import { splitAtAdded } from '../added-tokens.ts';
import { wordMark } from '../word-mark.ts';
import { wordsOf } from './normalize.ts';
import { piecesOf, type UnigramTokenizer, windowBytes } from './tokenizer.ts';

const encoder = new TextEncoder();

export function tokenizeUnigram(tokenizer: UnigramTokenizer, text: string): readonly number[] {
  return splitAtAdded(tokenizer.addedTokens, wellFormed(text)).flatMap((part) =>
    part.kind === 'token'
      ? [part.id]
      : wordsOf(tokenizer, part.text, part.isFirst).flatMap((word) =>
          tokenizeWord(tokenizer, word),
        ),
  );
}

/** A lone surrogate becomes U+FFFD. */
function wellFormed(text: string): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(encoder.encode(text));
}

/** A character: as text, and how many bytes of UTF-8 it has. */
interface Char {
  readonly text: string;
  readonly bytes: number;
}

/** A piece of the best path. */
interface Piece {
  readonly chars: readonly Char[];
  /** Undefined: a character that no piece is. */
  readonly id: number | undefined;
}

function tokenizeWord(tokenizer: UnigramTokenizer, word: string): readonly number[] {
  const chars = Array.from(word, (text): Char => ({ text, bytes: utf8Bytes(text) }));
  const ids: number[] = [];
  let isAfterUnknown = false;
  for (let at = 0; at < chars.length; ) {
    const window = chars.slice(at, windowEnd(chars, at));
    const path = bestPath(tokenizer, window);
    const settled = at + window.length === chars.length ? path : settledPieces(path);
    ids.push(...tokensOf(tokenizer, settled, isAfterUnknown));
    isAfterUnknown = isUnknown(tokenizer, settled.at(-1)!);
    at += settled.reduce((sum, piece) => sum + piece.chars.length, 0);
  }
  return ids;
}

function utf8Bytes(char: string): number {
  const codePoint = char.codePointAt(0)!;
  if (codePoint < 0x80) return 1;
  if (codePoint < 0x800) return 2;
  return codePoint < 0x1_0000 ? 3 : 4;
}

function windowEnd(chars: readonly Char[], start: number): number {
  let end = start;
  let bytes = 0;
  while (end < chars.length && bytes + chars[end]!.bytes <= windowBytes)
    bytes += chars[end++]!.bytes;
  return end;
}

/** Those in the first half of the window, and one at least. */
function settledPieces(path: readonly Piece[]): readonly Piece[] {
  let bytes = 0;
  const count = path.findIndex((piece, i) => {
    bytes += piece.chars.reduce((sum, char) => sum + char.bytes, 0);
    return i > 0 && bytes > windowBytes / 2;
  });
  return count === -1 ? path : path.slice(0, count);
}

interface Lookup {
  readonly idOf: ReadonlyMap<string, number>;
  /** All that pieces begin with. */
  readonly beginnings: ReadonlySet<string>;
}

const lookups = new WeakMap<UnigramTokenizer, Lookup>();

function lookupOf(tokenizer: UnigramTokenizer): Lookup {
  const known = lookups.get(tokenizer);
  if (known !== undefined) return known;
  const vocabulary = piecesOf(tokenizer);
  const lookup = {
    idOf: new Map(vocabulary.flatMap((piece, id) => (piece === '' ? [] : [[piece, id] as const]))),
    beginnings: new Set(vocabulary.flatMap(beginningsOf)),
  };
  lookups.set(tokenizer, lookup);
  return lookup;
}

function beginningsOf(piece: string): readonly string[] {
  let beginning = '';
  return Array.from(piece, (char) => (beginning += char));
}

/** The pieces with the highest sum of scores; of several paths the one whose last piece is longest. */
function bestPath(tokenizer: UnigramTokenizer, chars: readonly Char[]): readonly Piece[] {
  const { idOf, beginnings } = lookupOf(tokenizer);
  const { scores, unknownScore } = tokenizer;
  /** By the characters before it: the best way there. */
  const best: { score: number; start: number; id: number | undefined }[] = [
    { score: 0, start: 0, id: undefined },
  ];
  const consider = (start: number, end: number, id: number | undefined): void => {
    const score = best[start]!.score + (id === undefined ? unknownScore : scores[id]!);
    const known = best[end];
    if (known === undefined || score > known.score) best[end] = { score, start, id };
  };
  for (let start = 0; start < chars.length; start++) {
    let text = '';
    for (let end = start + 1; end <= chars.length; end++) {
      text += chars[end - 1]!.text;
      const id = idOf.get(text);
      if (id !== undefined) consider(start, end, id);
      else if (end === start + 1) consider(start, end, undefined);
      if (!beginnings.has(text)) break;
    }
  }
  const path: Piece[] = [];
  for (let end = chars.length; end > 0; end = best[end]!.start) {
    const { start, id } = best[end]!;
    path.push({ chars: chars.slice(start, end), id });
  }
  return path.reverse();
}

function isUnknown({ unknownId }: UnigramTokenizer, { id }: Piece): boolean {
  return id === undefined || id === unknownId;
}

/** Neighbours that are unknown are one token, or all of their bytes. */
function tokensOf(
  tokenizer: UnigramTokenizer,
  path: readonly Piece[],
  isAfterUnknown: boolean,
): readonly number[] {
  const { byteIds, unknownId } = tokenizer;
  const isUnknownAt = (i: number): boolean =>
    path[i] !== undefined && isUnknown(tokenizer, path[i]);
  return path.flatMap((piece, i): readonly number[] => {
    const { id, chars } = piece;
    if (!isUnknown(tokenizer, piece)) return [id!];
    const hasNeighbour = isUnknownAt(i - 1) || isUnknownAt(i + 1);
    if (byteIds !== null && (id === undefined || hasNeighbour)) {
      const bytes = encoder.encode(chars.map(({ text }) => text).join(''));
      return Array.from(bytes, (byte) => byteIds[byte]!);
    }
    return isUnknownAt(i - 1) || (i === 0 && isAfterUnknown && byteIds === null) ? [] : [unknownId];
  });
}

/** The bytes that the tokens stand for; special tokens stand for none. */
export function decodeUnigram(tokenizer: UnigramTokenizer, ids: ArrayLike<number>): Uint8Array {
  const added = new Map(tokenizer.addedTokens.map((token) => [token.id, token]));
  const bytes = Array.from(ids).flatMap((id): readonly number[] => {
    const token = added.get(id);
    if (token?.isSpecial === true) return [];
    const byte = tokenizer.byteIds?.indexOf(id) ?? -1;
    if (byte >= 0) return [byte];
    const text = token?.text ?? tokenizer.vocabulary[id] ?? '';
    return [...encoder.encode(text.replaceAll(wordMark, ' '))];
  });
  return Uint8Array.from(bytes);
}
