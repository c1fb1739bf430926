// SPDX-License-Identifier: Apache-2.0
/**
 * SentencePiece's Unigram, the twin of kernels/c/unigram.c: texts, one text, one part, one character,
 * one word, its best path; spelling.
 */
import { emit, isListFull, tokenizeFramed } from './frame';
import { isRead, READERS_BYTES, readChar, startReading } from './normal_reader';
import { findSpecial, foundEnd, foundStart, foundToken, isWhiteSpace } from './specials';
import { encodeUtf8 } from './text';
import { nextPrefix, prefixToken, spell, startWalk } from './trie';
import { charBytes, endCluster, nextPaired, pairedEnd, putRead, startPart } from './unigram_normalize';

/** A vocabulary, compiled (kernels/c/unigram.h says what each field is). */
@unmanaged
export class Tokenizer {
  pairs: usize;
  leads: usize;
  changes: usize;
  changeCodes: usize;
  changeLabels: usize;
  replacements: usize;
  replacementText: usize;
  planes: usize;
  runStarts: usize;
  runClasses: usize;
  trie: usize;
  codes: usize;
  labels: usize;
  scores: usize;
  byteTokens: usize;
  specials: usize;
  frame: usize;
  rulesOffset: i32;
  sequencesOffset: i32;
  rulesFirst: i32;
  sequencesFirst: i32;
  hasRules: i32;
  stripsRight: i32;
  collapsesSpaces: i32;
  specialLeadMin: i32;
  specialLeadMax: i32;
  before: i32;
  between: i32;
  after: i32;
  segmentBreak: i32;
  scoreBase: i32;
  unknownScore: i32;
  unknown: i32;
  scoreBits: i32;
  prefix: i32;
  splitsAtWhiteSpace: i32;
  splitsAtMarks: i32;
  /** Tables of a normal form; 0: texts stay as they are. */
  normalForm: usize;
  /** Room for a cluster (8 bytes), three characters (4 each), the window and readers: see below. */
  scratch: usize;

  tokenizeText(text: usize, bytes: i32, countAll: bool): void {
    tokenizeText(this, text, bytes, countAll);
  }
}

/** Bytes of a word that are looked at together. */
const WINDOW: i32 = 256;
/** In `scratch`: a character, the window's bytes; by the bytes before: scores, last pieces, sizes. */
const CHAR_OFFSET: usize = 16;
const BYTES_OFFSET: usize = 20;
const BEST_OFFSET: usize = 280;
const TOKENS_OFFSET: usize = 2336;
const SIZES_OFFSET: usize = 2850;
const READERS_OFFSET: usize = 3376;
/** Of all that is in `scratch`. */
export const SCRATCH_BYTES: usize = READERS_OFFSET + READERS_BYTES;

const WORD_MARK: i32 = 0x2581;
const NO_TOKEN: i32 = 0xffff;
/** kernels/c/unigram.h: lm_unigram_prefix. */
const PREFIX_ALWAYS: i32 = 0;
const PREFIX_FIRST: i32 = 1;

/** The word being read, or as much of it as is looked at together. */
let wordLength: i32 = 0;
let isAfterUnknown: bool = false;

/** The part of the text that is being read: see part_reader of kernels/c/unigram.c. */
let count: i32 = 0;
let kept: i32 = 0;
let isMeasured: bool = false;
let takesPrefix: bool = false;
let isAtStart: bool = false;
let isAfterSpace: bool = false;

/** Writes text, or text and pair, with the tokens around them; returns how many ids, 0: no room. */
export function lm_tokenize(
  t: Tokenizer, text: usize, textBytes: i32, hasPair: i32, pair: usize, pairBytes: i32,
  ids: usize, maxTokens: i32,
): i32 {
  return tokenizeFramed<Tokenizer>(
    t, text, textBytes, hasPair, pair, pairBytes, ids, maxTokens,
  );
}

function tokenizeText(t: Tokenizer, text: usize, bytes: i32, countAll: bool): void {
  const end = text + <usize>bytes;
  wordLength = 0;
  isAfterUnknown = false;
  let isFirst = true;
  for (let hasSpecial = true; hasSpecial && !isListFull(countAll); ) {
    hasSpecial = findSpecial(t.specials, t.specialLeadMin, t.specialLeadMax, text, end);
    takesPrefix = t.prefix === PREFIX_ALWAYS || (t.prefix === PREFIX_FIRST && isFirst);
    kept = i32.MAX_VALUE;
    if (t.stripsRight !== 0) {
      kept = 0;
      isMeasured = true;
      readPart(t, text, foundStart, countAll);
      isMeasured = false;
    }
    isAtStart = true;
    isAfterSpace = false;
    readPart(t, text, foundStart, countAll);
    endWord(t);
    if (hasSpecial) emit(foundToken);
    if (foundEnd > text) isFirst = false;
    text = foundEnd;
  }
}

function readPart(t: Tokenizer, text: usize, end: usize, countAll: bool): void {
  count = 0;
  startPart();
  if (isDefined(NORMALIZES)) {
    startReading(t.scratch + READERS_OFFSET, t.normalForm, text, end);
    while (!isRead() && !isListFull(countAll)) putRead(t, readChar());
  } else {
    while (text < end && !isListFull(countAll)) {
      const codePoint = nextPaired(t, text, end);
      text = pairedEnd;
      putRead(t, codePoint);
    }
  }
  endCluster(t);
}

/** Takes a character of the normalized text. */
export function putNormalized(t: Tokenizer, codePoint: i32): void {
  count++;
  if (isMeasured) {
    if (!isWhiteSpace(codePoint)) kept = count;
    return;
  }
  if (count > kept) return;
  const isSpace = codePoint === 0x20;
  const repeats = isAfterSpace && isSpace;
  isAfterSpace = isSpace;
  if (repeats && t.collapsesSpaces !== 0) return;
  if (t.splitsAtWhiteSpace !== 0 && isWhiteSpace(codePoint)) {
    endWord(t);
    isAtStart = true;
    return;
  }
  if (isSpace) codePoint = WORD_MARK;
  const isMark = codePoint === WORD_MARK;
  if (isAtStart && takesPrefix && !isMark) pushChar(t, WORD_MARK);
  isAtStart = false;
  if (isMark && t.splitsAtMarks !== 0) endWord(t);
  pushChar(t, codePoint);
}

function pushChar(t: Tokenizer, codePoint: i32): void {
  const char = t.scratch + CHAR_OFFSET;
  let bytes = encodeUtf8(codePoint, char);
  if (wordLength + bytes > WINDOW) {
    emitPieces(t, true);
    bytes = encodeUtf8(codePoint, char);
  }
  memory.copy(t.scratch + BYTES_OFFSET + <usize>wordLength, char, <usize>bytes);
  wordLength += bytes;
}

function endWord(t: Tokenizer): void {
  if (wordLength > 0) emitPieces(t, false);
  isAfterUnknown = false;
}

/** Of the best path's piece that starts there: token << 16 | bytes. */
function pieceAt(t: Tokenizer, place: i32): i64 {
  return load<i64>(t.scratch + BEST_OFFSET + 8 * <usize>place);
}

function pieceBytes(t: Tokenizer, place: i32): i32 {
  return <i32>(pieceAt(t, place) & 0xffff);
}

function pieceToken(t: Tokenizer, place: i32): i32 {
  return <i32>(pieceAt(t, place) >> 16);
}

/** Whether the unknown character, or the unknown token's own text, is there. */
function isUnknown(t: Tokenizer, token: i32): bool {
  return token === NO_TOKEN || token === t.unknown;
}

/**
 * Gives away the pieces of the window, where it is cut those of its first half, one at least; the rest
 * of it is looked at again. Neighbours that are unknown are one token, or all of their bytes.
 */
function emitPieces(t: Tokenizer, isCut: bool): void {
  findBestPath(t);
  let end = wordLength; // of the pieces given away
  if (isCut) {
    end = pieceBytes(t, 0);
    while (end < wordLength && end + pieceBytes(t, end) <= WINDOW / 2) end += pieceBytes(t, end);
  }
  const bytes = t.scratch + BYTES_OFFSET;
  let afterUnknown = isAfterUnknown && t.byteTokens === 0;
  for (let place = 0; place < end; ) {
    const token = pieceToken(t, place);
    const next = place + pieceBytes(t, place);
    const beforeUnknown = next < end && isUnknown(t, pieceToken(t, next));
    if (!isUnknown(t, token)) {
      emit(token);
    } else if (t.byteTokens !== 0 && (token === NO_TOKEN || afterUnknown || beforeUnknown)) {
      for (let i = place; i < next; i++) {
        emit(<i32>load<u16>(t.byteTokens + 2 * <usize>load<u8>(bytes + <usize>i)));
      }
    } else if (!afterUnknown) {
      emit(t.unknown);
    }
    afterUnknown = isUnknown(t, token);
    place = next;
  }
  isAfterUnknown = afterUnknown;
  wordLength -= end;
  memory.copy(bytes, bytes + <usize>end, <usize>wordLength);
}

function scoreOf(t: Tokenizer, token: i32): i32 {
  const bit = token * t.scoreBits;
  const both = load<u64>(t.scores + 4 * <usize>(bit >> 5));
  const mask = (<u64>1 << t.scoreBits) - 1;
  return t.scoreBase + <i32>((both >> (bit & 31)) & mask);
}

/** The way to an end over a piece that starts at `start`, where it is better than the one known. */
function consider(t: Tokenizer, start: i32, size: i32, token: i32, score: i32): void {
  const best = t.scratch + BEST_OFFSET;
  const end = <usize>(start + size);
  const sum = load<i64>(best + 8 * <usize>start) + <i64>score;
  const sizes = t.scratch + SIZES_OFFSET + 2 * end;
  if (load<u16>(sizes) !== 0 && sum <= load<i64>(best + 8 * end)) return;
  store<i64>(best + 8 * end, sum);
  store<u16>(t.scratch + TOKENS_OFFSET + 2 * end, <u16>token);
  store<u16>(sizes, <u16>size);
}

/**
 * Viterbi's algorithm: of all ways to split the window into pieces the one with the best sum of scores;
 * the earlier start wins where sums are equal.
 */
function findBestPath(t: Tokenizer): void {
  const best = t.scratch + BEST_OFFSET;
  const bytes = t.scratch + BYTES_OFFSET;
  memory.fill(t.scratch + SIZES_OFFSET, 0, 2 * <usize>(wordLength + 1));
  store<i64>(best, 0);
  for (let start = 0; start < wordLength; ) {
    const size = charBytes(<i32>load<u8>(bytes + <usize>start));
    let isKnown = false; // a piece is this character alone
    startWalk(t.trie, t.codes, t.labels, 0);
    while (true) {
      const length = nextPrefix(bytes + <usize>start, wordLength - start);
      if (length === 0) break;
      consider(t, start, length, prefixToken, scoreOf(t, prefixToken));
      if (length === size) isKnown = true;
    }
    if (!isKnown) consider(t, start, size, NO_TOKEN, t.unknownScore);
    start += size;
  }
  for (let end = wordLength; end > 0; ) {
    const size = <i32>load<u16>(t.scratch + SIZES_OFFSET + 2 * <usize>end);
    const token = <i64>load<u16>(t.scratch + TOKENS_OFFSET + 2 * <usize>end);
    end -= size;
    store<i64>(best + 8 * <usize>end, (token << 16) | <i64>size);
  }
}

/** Writes a piece as text at `to`; returns its bytes, 0: it is none. */
export function lm_spell(t: Tokenizer, id: i32, to: usize): i32 {
  startWalk(t.trie, t.codes, t.labels, 0);
  return spell(id, t.scratch, to);
}
