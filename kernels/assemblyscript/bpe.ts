// SPDX-License-Identifier: Apache-2.0
/**
 * Byte-level BPE, the twin of kernels/c/bpe.c: texts, one text, one piece, the window, one merge;
 * spelling.
 */
import { emit, isListFull, tokenizeFramed } from './frame';
import { isRead, keepPlace, readChar, READERS_BYTES, returnToPlace, startReading } from './normal_reader';
import {
  findRun, findSpecial, foundEnd, foundStart, foundToken, IS_SPECIAL, SPECIAL_HEADER,
} from './specials';
import { decodedEnd, decodeUtf8, encodeUtf8 } from './text';

/** A vocabulary, compiled (kernels/c/bpe.h says what each field is). */
@unmanaged
export class Tokenizer {
  planes: usize;
  runStarts: usize;
  runClasses: usize;
  byteTokens: usize;
  merges: usize;
  order: usize;
  results: usize;
  rowsOf: usize;
  specials: usize;
  frame: usize;
  mergeRows: i32;
  firstMerged: i32;
  mergedEnd: i32;
  firstPart: i32;
  specialLeadMin: i32;
  specialLeadMax: i32;
  before: i32;
  between: i32;
  after: i32;
  segmentBreak: i32;
  words: i32;
  mostDigits: i32;
  isolatesDigits: i32;
  prefix: i32;
  marksSpaces: i32;
  /** Tables of a normal form; 0: texts stay as they are. */
  normalForm: usize;
  /** Room for the window: WINDOW tokens, as many rows, a character, the parts of another; readers. */
  window: usize;

  tokenizeText(text: usize, bytes: i32, countAll: bool): void {
    tokenizeText(this, text, bytes, countAll);
  }
}

/** Base tokens that are merged at once. */
const WINDOW: i32 = 256;
const ROWS_OFFSET: usize = 512;
const CHAR_OFFSET: usize = 1024;
const READERS_OFFSET: usize = 1040;
/** Of all that is in `window`. */
export const SCRATCH_BYTES: usize = READERS_OFFSET + READERS_BYTES;

/** kernels/c/bpe.h: lm_bpe_words. */
const WORDS_WHOLE: i32 = 0;
const WORDS_CL100K: i32 = 2;
const WORDS_MARKS: i32 = 3;

/** kernels/c/bpe.h: lm_bpe_prefix. */
const NO_PREFIX: i32 = 0;
const PREFIX_MISSING_FIRST: i32 = 2;
const PREFIX: i32 = 3;

const WORD_MARK: i32 = 0x2581;

/** toolchain/tokenizer/bpe/split.ts: characterClasses. */
const CLASS_OTHER: i32 = 0;
const CLASS_LETTER: i32 = 1;
const CLASS_NUMBER: i32 = 2;
const CLASS_SPACE: i32 = 3;
const CLASS_END: i32 = 4;

const NO_TOKEN: i32 = 0xffff;
const NO_ROW: i32 = 0xffff;

/** Base tokens, and afterwards tokens, in the window. */
let windowCount: i32 = 0;

/** Where the part of the text ends that is being read, where it is read on, and whether a space is before that. */
let partEnd: usize = 0;
let at: usize = 0;
let hasSpace: bool = false;

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
  windowCount = 0;
  const end = text + <usize>bytes;
  let isFirst = true;
  for (let hasSpecial = true; hasSpecial; ) {
    hasSpecial = findSpecial(t.specials, t.specialLeadMin, t.specialLeadMax, text, end);
    partEnd = foundStart;
    at = text;
    hasSpace = false;
    if (isDefined(NORMALIZES)) {
      startReading(t.window + READERS_OFFSET, t.normalForm, text, partEnd);
    }
    hasSpace = at < partEnd && takesPrefix(t, isFirst);
    if (foundEnd > text) isFirst = false;
    while (!isAtEnd()) {
      if (isListFull(countAll)) return;
      if (isDefined(NORMALIZES)) keepPlace(0);
      const start = at;
      const startsWithSpace = hasSpace;
      let chars = passPiece(t);
      if (isDefined(NORMALIZES)) returnToPlace(0);
      at = start;
      hasSpace = startsWithSpace;
      for (; chars > 0; chars--) pushChar(t, nextChar(t));
      merge(t);
      for (let i = 0; i < windowCount; i++) giveAway(t, tokenAt(t, i));
      windowCount = 0;
    }
    if (hasSpecial) emit(foundToken);
    text = foundEnd;
  }
}

function classOf(t: Tokenizer, codePoint: i32): i32 {
  return <i32>load<u8>(t.runClasses + <usize>findRun(t.planes, t.runStarts, codePoint));
}

function isAtEnd(): bool {
  if (hasSpace) return false;
  if (isDefined(NORMALIZES)) return isRead();
  return at >= partEnd;
}

function nextChar(t: Tokenizer): i32 {
  if (hasSpace) {
    hasSpace = false;
    return marked(t, 0x20);
  }
  if (isDefined(NORMALIZES)) return marked(t, readChar());
  const codePoint = decodeUtf8(at, partEnd);
  at = decodedEnd;
  return marked(t, codePoint);
}

/** The next character of the text, which stays where it is. */
function charAhead(): i32 {
  if (isDefined(NORMALIZES)) {
    keepPlace(2);
    const codePoint = readChar();
    returnToPlace(2);
    return codePoint;
  }
  return decodeUtf8(at, partEnd);
}

function marked(t: Tokenizer, codePoint: i32): i32 {
  return t.marksSpaces !== 0 && codePoint === 0x20 ? WORD_MARK : codePoint;
}

/** Whether a part that is not empty is read with a space before it. */
function takesPrefix(t: Tokenizer, isFirst: bool): bool {
  if (t.prefix === PREFIX) return true;
  if (t.prefix === NO_PREFIX || (t.prefix === PREFIX_MISSING_FIRST && !isFirst)) return false;
  return marked(t, charAhead()) !== (t.marksSpaces !== 0 ? WORD_MARK : 0x20);
}

/** The character that `peek` saw, 0 at the end. */
let peeked: i32 = 0;

/** The class of the next character, which stays where it is. */
function peek(t: Tokenizer): i32 {
  peeked = 0;
  if (isAtEnd()) return CLASS_END;
  peeked = marked(t, hasSpace ? 0x20 : charAhead());
  return classOf(t, peeked);
}

function isLineBreak(codePoint: i32): bool {
  return codePoint === 0x0a || codePoint === 0x0d;
}

/** Characters of the piece here: toolchain/tokenizer/bpe/split.ts has the expressions. */
function passPiece(t: Tokenizer): i32 {
  let chars = 0;
  if (t.words === WORDS_WHOLE) {
    for (; !isAtEnd(); chars++) nextChar(t);
    return chars;
  }
  if (t.words === WORDS_MARKS) {
    do {
      nextChar(t);
      chars++;
      peek(t);
    } while (!isAtEnd() && peeked !== WORD_MARK);
    return chars;
  }
  const firstClass = peek(t);
  const first = peeked;
  if (t.isolatesDigits !== 0 && firstClass === CLASS_NUMBER) return 1;
  if (isDefined(NORMALIZES)) keepPlace(1);
  const start = at;
  const startsWithSpace = hasSpace;
  chars = contractionChars(t);
  if (chars > 0) return chars;
  if (isDefined(NORMALIZES)) returnToPlace(1);
  at = start;
  hasSpace = startsWithSpace;

  nextChar(t);
  let runClass = firstClass;
  const nextClass = peek(t);
  if (leads(t, firstClass, first, nextClass)) {
    runClass = nextClass;
    chars = 1;
  } else {
    if (isDefined(NORMALIZES)) returnToPlace(1);
    at = start;
    hasSpace = startsWithSpace;
  }
  if (runClass === CLASS_SPACE) return passSpaces(t);
  const most = runClass === CLASS_NUMBER ? t.mostDigits : 0;
  for (let run = 0; (most === 0 || run < most) && peek(t) === runClass; run++) {
    nextChar(t);
    chars++;
  }
  if (t.words === WORDS_CL100K && runClass === CLASS_OTHER) {
    for (peek(t); isLineBreak(peeked); peek(t)) {
      nextChar(t);
      chars++;
    }
  }
  return chars;
}

/** Whether the first character belongs to a run of the class behind it. */
function leads(t: Tokenizer, firstClass: i32, first: i32, nextClass: i32): bool {
  const isCl100k = t.words === WORDS_CL100K;
  switch (nextClass) {
    case CLASS_LETTER:
      if (!isCl100k) return first === 0x20;
      return firstClass !== CLASS_LETTER && firstClass !== CLASS_NUMBER && !isLineBreak(first);
    case CLASS_NUMBER:
      return !isCl100k && t.isolatesDigits === 0 && first === 0x20;
    case CLASS_OTHER:
      return first === 0x20;
    default:
      return false;
  }
}

/** All up to the last line break, or all but the last where a word follows. */
function passSpaces(t: Tokenizer): i32 {
  let chars = 0;
  let toBreak = 0;
  let next = peek(t);
  for (; next === CLASS_SPACE; next = peek(t)) {
    chars++;
    if (isLineBreak(peeked)) toBreak = chars;
    nextChar(t);
  }
  if (t.words === WORDS_CL100K && toBreak > 0) return toBreak;
  const endsPart = next === CLASS_END || (t.isolatesDigits !== 0 && next === CLASS_NUMBER);
  return endsPart || chars === 1 ? chars : chars - 1;
}

/** "'s", "'ll" and their like; 0: there is none here. */
function contractionChars(t: Tokenizer): i32 {
  if (nextChar(t) !== 0x27) return 0;
  switch (nextLetter(t)) {
    case 0x73: // s
    case 0x74: // t
    case 0x6d: // m
    case 0x64: // d
      return 2;
    case 0x72: // r
    case 0x76: // v
      return nextLetter(t) === 0x65 ? 3 : 0; // e
    case 0x6c: // l
      return nextLetter(t) === 0x6c ? 3 : 0;
    default:
      return 0;
  }
}

function nextLetter(t: Tokenizer): i32 {
  if (isAtEnd()) return 0;
  const letter = nextChar(t);
  if (t.words !== WORDS_CL100K) return letter;
  if (letter === 0x17f) return 0x73; // the long s
  return letter >= 0x41 && letter <= 0x5a ? letter + 0x20 : letter;
}

function tokenAt(t: Tokenizer, i: i32): i32 {
  return <i32>load<u16>(t.window + 2 * <usize>i);
}

function rowAt(t: Tokenizer, i: i32): i32 {
  return <i32>load<u16>(t.window + 2 * <usize>i, ROWS_OFFSET);
}

/** Adds the tokens of its bytes. */
function pushChar(t: Tokenizer, codePoint: i32): void {
  const bytes = t.window + CHAR_OFFSET;
  const count = encodeUtf8(codePoint, bytes);
  for (let i = 0; i < count; i++) {
    const byte = <usize>load<u8>(bytes + <usize>i);
    const token = <i32>load<u16>(t.byteTokens + 2 * byte);
    if (token === NO_TOKEN) continue;
    if (windowCount === WINDOW) makeRoom(t);
    store<u16>(t.window + 2 * <usize>windowCount, <u16>token);
    windowCount++;
  }
}

/**
 * Gives away the tokens of the first half of a full window, one at least; the others fall apart
 * again, for what follows them may merge otherwise.
 */
function makeRoom(t: Tokenizer): void {
  merge(t);
  const base = t.window + ROWS_OFFSET;
  let settled = 0; // base tokens
  let read = 0;
  for (; read < windowCount; read++) {
    settled += expand(t, tokenAt(t, read), base);
    if (read > 0 && settled > WINDOW / 2) break;
    giveAway(t, tokenAt(t, read));
  }
  let start = WINDOW; // every token has a base token or more: none is overwritten
  for (let i = windowCount - 1; i >= read; i--) {
    const parts = expand(t, tokenAt(t, i), base);
    start -= parts;
    memory.copy(t.window + 2 * <usize>start, base, 2 * <usize>parts);
  }
  windowCount = WINDOW - start;
  memory.copy(t.window, t.window + 2 * <usize>start, 2 * <usize>windowCount);
}

/** The pair with the first row, the leftmost of several, until no pair has one. */
function merge(t: Tokenizer): void {
  const tokens = t.window;
  const rows = t.window + ROWS_OFFSET;
  for (let i = 0; i + 1 < windowCount; i++) setRow(t, i);
  while (true) {
    let row = NO_ROW;
    let best = 0;
    for (let i = 0; i + 1 < windowCount; i++) {
      const one = rowAt(t, i);
      if (one < row) {
        row = one;
        best = i;
      }
    }
    if (row === NO_ROW) return;
    const merged = t.results !== 0 ? <i32>load<u16>(t.results + 2 * <usize>row) : t.firstMerged + row;
    const place = 2 * <usize>best;
    store<u16>(tokens + place, <u16>merged);
    windowCount--;
    const moved = 2 * <usize>(windowCount - best - 1);
    memory.copy(tokens + place + 2, tokens + place + 4, moved);
    memory.copy(rows + place, rows + place + 2, moved);
    if (best > 0) setRow(t, best - 1);
    if (best + 1 < windowCount) setRow(t, best);
  }
}

/** Which row merges a token of the window with the next. */
function setRow(t: Tokenizer, i: i32): void {
  const row = findRow(t, tokenAt(t, i), tokenAt(t, i + 1));
  store<u16>(t.window + 2 * <usize>i, <u16>row, ROWS_OFFSET);
}

function findRow(t: Tokenizer, left: i32, right: i32): i32 {
  let start = 0;
  let end = t.mergeRows;
  while (start < end) {
    const middle = (start + end) >> 1;
    const row = <i32>load<u16>(t.order + 2 * <usize>middle);
    const pair = t.merges + 4 * <usize>row;
    const first = <i32>load<u16>(pair);
    const second = <i32>load<u16>(pair, 2);
    if (first === left && second === right) return row;
    if (first < left || (first === left && second < right)) start = middle + 1;
    else end = middle;
  }
  return NO_ROW;
}

/** The base tokens that a token was merged of; at most a window of them. */
function expand(t: Tokenizer, token: i32, base: usize): i32 {
  let count = 1;
  store<u16>(base, <u16>token);
  for (let i = 0; i < count; ) {
    const place = base + 2 * <usize>i;
    const merged = <i32>load<u16>(place);
    const isPart = merged >= t.firstPart;
    if (!isPart && (merged < t.firstMerged || merged >= t.mergedEnd)) {
      i++;
      continue;
    }
    const index = merged - t.firstMerged - (isPart ? t.firstPart - t.mergedEnd : 0);
    const row = t.rowsOf !== 0 ? <i32>load<u16>(t.rowsOf + 2 * <usize>index) : index;
    memory.copy(place + 4, place + 2, 2 * <usize>(count - i - 1));
    memory.copy(place, t.merges + 4 * <usize>row, 4);
    count++;
  }
  return count;
}

/** What is only the beginning of a character falls apart again: it has at most three bytes. */
function giveAway(t: Tokenizer, token: i32): void {
  if (token < t.firstPart) {
    emit(token);
    return;
  }
  const base = t.window + CHAR_OFFSET + 8;
  const count = expand(t, token, base);
  for (let i = 0; i < count; i++) emit(<i32>load<u16>(base + 2 * <usize>i));
}

/** U+2581 is a space again. */
function unmarkSpaces(bytes: usize, count: i32): i32 {
  let kept = 0;
  for (let i = 0; i < count; i++) {
    const place = bytes + <usize>i;
    const isMark = i + 2 < count && load<u8>(place) === 0xe2 && load<u16>(place, 1) === 0x8196;
    store<u8>(bytes + <usize>kept, isMark ? 0x20 : load<u8>(place));
    kept++;
    if (isMark) i += 2;
  }
  return kept;
}

/** Writes what a token stands for at `to`; returns its bytes. Special tokens stand for nothing. */
export function lm_spell(t: Tokenizer, id: i32, to: usize): i32 {
  let special = t.specials;
  for (let bytes = <i32>load<u8>(special); bytes !== 0; bytes = <i32>load<u8>(special)) {
    const token = <i32>load<u8>(special, 2) | (<i32>load<u8>(special, 3) << 8);
    if (token === id) {
      if ((<i32>load<u8>(special, 1) & IS_SPECIAL) !== 0) return 0;
      memory.copy(to, special + SPECIAL_HEADER, <usize>bytes);
      return bytes;
    }
    special += <usize>bytes + SPECIAL_HEADER;
  }
  if (id >= t.mergedEnd) return 0;
  const base = t.window;
  const count = expand(t, id, base);
  for (let i = 0; i < count; i++) {
    const token = load<u16>(base + 2 * <usize>i);
    let byte = 0;
    while (byte < 0xff && load<u16>(t.byteTokens + 2 * <usize>byte) !== token) byte++;
    store<u8>(to + <usize>i, <u8>byte);
  }
  return t.marksSpaces !== 0 ? unmarkSpaces(to, count) : count;
}
