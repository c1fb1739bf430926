// SPDX-License-Identifier: Apache-2.0
/**
 * UTF-8 to token ids, the twin of kernels/c/tokenizer.c: texts, one text, one word, one piece, one
 * character. The trie of the vocabulary is walked in tokenizer_trie.ts.
 */
import { decodedEnd, decodeUtf8, encodeUtf8, isSame, setSegments } from './text';
import { foundToken, longestToken } from './tokenizer_trie';

export { lm_spell } from './tokenizer_trie';

/** A vocabulary, compiled (kernels/c/tokenizer.h says what each field is). */
@unmanaged
export class Tokenizer {
  ascii: usize;
  planes: usize;
  runStarts: usize;
  runActions: usize;
  actions: usize;
  table: usize;
  sequences: usize;
  sequenceRows: i32;
  trie: usize;
  codes: usize;
  labels: usize;
  specials: usize;
  continuationOffset: i32;
  continuationFirst: i32;
  specialLeadMin: i32;
  specialLeadMax: i32;
  maxWordChars: i32;
  unknown: i32;
  cls: i32;
  sep: i32;
  /** The word being read, normalized: UTF-8, in WORD_BYTES bytes. */
  word: usize;
}

/** At most 100 characters of four bytes, and in `lm_spell` 256 lists. */
export const WORD_BYTES: i32 = 512;

/** toolchain/tokenizer/char-map.ts: actionKinds. */
const ACTION_SHIFT: i32 = 0;
const ACTION_SPACE: i32 = 1;
const ACTION_DROP: i32 = 2;
const ACTION_BOUNDARY: i32 = 3;
const ACTION_TABLE: i32 = 4;
const ACTION_SEQUENCE: i32 = 5;
const ACTION_HANGUL: i32 = 6;
const ACTION_MARK: i32 = 7;
const ACTION_KIND_MASK: i32 = 7;
const ACTION_ISOLATED: i32 = 8;
const ACTION_ARGUMENT: i32 = 16;
const ASCII_DROPPED: i32 = 0;
const ASCII_SPACE: i32 = 0x20;
const ASCII_ISOLATED: i32 = 0x80;
const SEQUENCE_COLUMNS: i32 = 4;

/** Where the tokens of one text go; those beyond the capacity are only counted. */
let listIds: usize = 0;
let listCapacity: i32 = 0;
let listCount: i32 = 0;

/** Of the word being read: bytes, offset of the marks that the next is put in order with. */
let wordLength: i32 = 0;
let wordRunStart: i32 = 0;
let wordChars: i32 = 0;
let wordIsTooLong: bool = false;

/** Writes [CLS] text [SEP], and pair [SEP] if there is one; returns how many ids, 0: no room. */
export function lm_tokenize(
  t: Tokenizer, text: usize, textBytes: i32, hasPair: i32, pair: usize, pairBytes: i32,
  ids: usize, maxTokens: i32,
): i32 {
  const room = maxTokens - (hasPair !== 0 ? 3 : 2);
  setSegments(0, true);
  if (room < 0) return 0;
  store<u16>(ids, <u16>t.cls);
  let first = tokenizeText(t, text, textBytes, ids + 2, room, hasPair !== 0);
  const written = min(first, room);
  let second = 0;
  if (hasPair !== 0) {
    second = tokenizeText(t, pair, pairBytes, ids + 4 + 2 * <usize>written, room - written, true);
  }
  const isTruncated = first > room - second;
  if (isTruncated && hasPair !== 0) {
    // The longer gives way until both are equally long; they share the rest, the odd one to it.
    const shorter = min(min(first, second), room >> 1);
    first = first > second ? room - shorter : shorter;
    second = room - first;
    // Where the first gave way, the pair moves down and has more room: it is read again.
    if (first !== written) {
      tokenizeText(t, pair, pairBytes, ids + 4 + 2 * <usize>first, second, false);
    }
  }
  first = min(first, room);
  store<u16>(ids + 2 + 2 * <usize>first, <u16>t.sep);
  setSegments(first + 2, isTruncated);
  if (hasPair === 0) return first + 2;
  store<u16>(ids + 4 + 2 * <usize>(first + second), <u16>t.sep);
  return first + second + 3;
}

function clearWord(): void {
  wordLength = 0;
  wordRunStart = 0;
  wordChars = 0;
  wordIsTooLong = false;
}

/** Returns how many tokens there are; without `countAll` it may stop past the capacity. */
function tokenizeText(
  t: Tokenizer, text: usize, bytes: i32, ids: usize, capacity: i32, countAll: bool,
): i32 {
  listIds = ids;
  listCapacity = capacity;
  listCount = 0;
  clearWord();
  const end = text + <usize>bytes;
  while (text < end && (countAll || listCount <= capacity)) {
    const special = findSpecial(t, text, end);
    if (special === 0) {
      const codePoint = decodeUtf8(text, end);
      text = decodedEnd;
      readCharacter(t, codePoint);
      continue;
    }
    endWord(t);
    const length = <usize>load<u8>(special);
    text += length;
    emit(<i32>load<u8>(special + 1 + length) | (<i32>load<u8>(special + 2 + length) << 8));
  }
  endWord(t);
  return listCount;
}

function emit(token: i32): void {
  if (listCount < listCapacity) store<u16>(listIds + 2 * <usize>listCount, <u16>token);
  listCount++;
}

/** The longest special token that the text has here, or 0. */
function findSpecial(t: Tokenizer, text: usize, end: usize): usize {
  const lead = <i32>load<u8>(text);
  if (lead < t.specialLeadMin || lead > t.specialLeadMax) return 0;
  let special = t.specials; // the longest first
  for (let length = <i32>load<u8>(special); length !== 0; length = <i32>load<u8>(special)) {
    if (<usize>length <= end - text && isSame(text, special + 1, length)) return special;
    special += <usize>length + 3;
  }
  return 0;
}

/** WordPiece: the longest token first, again and again; one unknown piece spoils the whole word. */
function endWord(t: Tokenizer): void {
  const count = listCount;
  let isKnown = !wordIsTooLong;
  for (let start = 0; isKnown && start < wordLength; ) {
    const length = longestToken(t, start > 0, t.word + <usize>start, wordLength - start);
    isKnown = length > 0;
    start += length;
    emit(foundToken);
  }
  if (!isKnown) {
    listCount = count;
    emit(t.unknown);
  }
  clearWord();
}

/** What the character that `mapCharacter` was asked about becomes. */
let mappedCodePoint: i32 = 0;

/** Adds the character, normalized, to the word, or ends the word, or both. */
function readCharacter(t: Tokenizer, codePoint: i32): void {
  const action = mapCharacter(t, codePoint);
  const isIsolated = (action & ACTION_ISOLATED) !== 0;
  if (isIsolated) endWord(t);
  switch (action & ACTION_KIND_MASK) {
    case ACTION_SPACE:
      endWord(t);
      break;
    case ACTION_DROP:
      break;
    case ACTION_BOUNDARY:
      wordRunStart = wordLength;
      break;
    case ACTION_SEQUENCE:
      appendSequence(t, codePoint);
      break;
    case ACTION_HANGUL:
      appendHangul(t, codePoint);
      break;
    case ACTION_MARK:
      appendMark(t, codePoint, action / ACTION_ARGUMENT);
      break;
    default:
      appendStarter(t, mappedCodePoint);
      break;
  }
  if (isIsolated) endWord(t);
}

function mapCharacter(t: Tokenizer, codePoint: i32): i32 {
  mappedCodePoint = codePoint;
  if (codePoint < 0x80) {
    const entry = <i32>load<u8>(t.ascii + <usize>codePoint);
    if (entry === ASCII_DROPPED) return ACTION_DROP;
    if (entry === ASCII_SPACE) return ACTION_SPACE;
    mappedCodePoint = entry & 0x7f;
    return (entry & ASCII_ISOLATED) !== 0 ? ACTION_ISOLATED : ACTION_SHIFT;
  }
  // The last run of the plane that starts at or before the code point; each plane starts one.
  const lowBits = codePoint & 0xffff;
  const plane = t.planes + 2 * <usize>(codePoint >> 16);
  let run = <i32>load<u16>(plane);
  let end = <i32>load<u16>(plane, 2);
  while (end - run > 1) {
    const middle = (run + end) >> 1;
    if (<i32>load<u16>(t.runStarts + 2 * <usize>middle) <= lowBits) run = middle;
    else end = middle;
  }
  const index = <usize>load<u8>(t.runActions + <usize>run);
  const action = load<i32>(t.actions + 4 * index);
  const argument = (action - (action & (ACTION_ARGUMENT - 1))) / ACTION_ARGUMENT;
  const kind = action & ACTION_KIND_MASK;
  if (kind === ACTION_TABLE) {
    const start = <i32>load<u16>(t.runStarts + 2 * <usize>run);
    mappedCodePoint = <i32>load<u16>(t.table + 2 * <usize>(argument + lowBits - start));
  } else if (kind === ACTION_SHIFT) {
    mappedCodePoint = codePoint + argument;
  }
  return action;
}

/** Whether there is room for one more; if not, the word will be unknown. */
function takesOneMore(t: Tokenizer): bool {
  if (wordChars === t.maxWordChars) wordIsTooLong = true;
  return !wordIsTooLong;
}

/** Any character but a mark that is kept and put in order. */
function appendStarter(t: Tokenizer, codePoint: i32): void {
  if (!takesOneMore(t)) return;
  wordLength += encodeUtf8(codePoint, t.word + <usize>wordLength);
  wordRunStart = wordLength;
  wordChars++;
}

/** Canonical order (Unicode D109): before the marks of the run that have a higher rank. */
function appendMark(t: Tokenizer, codePoint: i32, rank: i32): void {
  if (!takesOneMore(t)) return;
  let at = wordLength;
  while (at > wordRunStart) {
    let before = at - 1;
    while ((load<u8>(t.word + <usize>before) & 0xc0) === 0x80) before--;
    const mark = decodeUtf8(t.word + <usize>before, t.word + <usize>at);
    if (mapCharacter(t, mark) / ACTION_ARGUMENT <= rank) break;
    at = before;
  }
  const length = encodedBytes(codePoint);
  const place = t.word + <usize>at;
  memory.copy(place + <usize>length, place, <usize>(wordLength - at));
  encodeUtf8(codePoint, place);
  wordLength += length;
  wordChars++;
}

function encodedBytes(codePoint: i32): i32 {
  return codePoint < 0x80 ? 1 : codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4;
}

function append(t: Tokenizer, codePoint: i32): void {
  const action = mapCharacter(t, codePoint);
  if ((action & ACTION_KIND_MASK) === ACTION_MARK) {
    appendMark(t, codePoint, action / ACTION_ARGUMENT);
  } else {
    appendStarter(t, codePoint);
  }
}

function appendSequence(t: Tokenizer, codePoint: i32): void {
  let row = 0;
  let end = t.sequenceRows;
  while (end - row > 1) {
    const middle = (row + end) >> 1;
    if (load<i32>(t.sequences + <usize>(16 * middle)) <= codePoint) row = middle;
    else end = middle;
  }
  const sequence = t.sequences + <usize>(16 * row);
  for (let i = 1; i < SEQUENCE_COLUMNS; i++) {
    const next = load<i32>(sequence + <usize>(4 * i));
    if (next === 0) return;
    append(t, next);
  }
}

/** The arithmetic and its constants are the standard's: Unicode 3.12, Hangul Syllable Decomposition. */
function appendHangul(t: Tokenizer, codePoint: i32): void {
  const syllable = codePoint - 0xac00;
  const trailing = syllable % 28;
  appendStarter(t, 0x1100 + syllable / (21 * 28));
  appendStarter(t, 0x1161 + ((syllable / 28) % 21));
  if (trailing !== 0) appendStarter(t, 0x11a7 + trailing);
}
