// SPDX-License-Identifier: Apache-2.0
/**
 * UTF-8 to token ids, the twin of kernels/c/tokenizer.c: texts, one text, one word, one piece, one
 * character. The trie of the vocabulary is walked in trie.ts.
 */
import { emit, isListFull, listCount, rewind, tokenizeFramed } from './frame';
import { findRun } from './specials';
import { decodedEnd, decodeUtf8, encodeUtf8, isSame } from './text';
import { nextPrefix, prefixToken, spell, startWalk } from './trie';

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
  trie: usize;
  codes: usize;
  labels: usize;
  specials: usize;
  frame: usize;
  sequenceRows: i32;
  continuationOffset: i32;
  continuationFirst: i32;
  specialLeadMin: i32;
  specialLeadMax: i32;
  before: i32;
  between: i32;
  after: i32;
  segmentBreak: i32;
  maxWordChars: i32;
  unknown: i32;
  /** The word being read, normalized: UTF-8, in SCRATCH_BYTES bytes. */
  word: usize;

  tokenizeText(text: usize, bytes: i32, countAll: bool): void {
    tokenizeText(this, text, bytes, countAll);
  }
}

/** At most 100 characters of four bytes, and in `lm_spell` 256 lists. */
export const SCRATCH_BYTES: usize = 512;

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

/** Of the word being read: bytes, offset of the marks that the next is put in order with. */
let wordLength: i32 = 0;
let wordRunStart: i32 = 0;
let wordChars: i32 = 0;
let wordIsTooLong: bool = false;

/** Writes text, or text and pair, with the tokens around them; returns how many ids, 0: no room. */
export function lm_tokenize(
  t: Tokenizer, text: usize, textBytes: i32, hasPair: i32, pair: usize, pairBytes: i32,
  ids: usize, maxTokens: i32,
): i32 {
  return tokenizeFramed<Tokenizer>(
    t, text, textBytes, hasPair, pair, pairBytes, ids, maxTokens,
  );
}

function clearWord(): void {
  wordLength = 0;
  wordRunStart = 0;
  wordChars = 0;
  wordIsTooLong = false;
}

function tokenizeText(t: Tokenizer, text: usize, bytes: i32, countAll: bool): void {
  clearWord();
  const end = text + <usize>bytes;
  while (text < end && !isListFull(countAll)) {
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
    emit(longestNumber);
  }
  if (!isKnown) {
    rewind(count);
    emit(t.unknown);
  }
  clearWord();
}

/** The number of the token that `longestToken` found. */
let longestNumber: i32 = 0;

/** The size of the longest token that `bytes` begin with, 0 if there is none. */
function longestToken(t: Tokenizer, continues: bool, bytes: usize, length: i32): i32 {
  startVocabulary(t, continues);
  let longest = 0;
  for (let next = nextPrefix(bytes, length); next > 0; next = nextPrefix(bytes, length)) {
    longest = next;
    longestNumber = prefixToken;
  }
  return longest;
}

/** At the tokens that begin a word, or that continue one. */
function startVocabulary(t: Tokenizer, continues: bool): void {
  const stream = t.trie + (continues ? <usize>t.continuationOffset : 0);
  startWalk(stream, t.codes, t.labels, continues ? t.continuationFirst : 0);
}

/** Writes a token of the trie as text, without "##", at `to`; returns its bytes, 0: there is none. */
export function lm_spell(t: Tokenizer, id: i32, to: usize): i32 {
  startVocabulary(t, id >= t.continuationFirst);
  return spell(id, t.word, to);
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
  const run = findRun(t.planes, t.runStarts, codePoint);
  const index = <usize>load<u8>(t.runActions + <usize>run);
  const action = load<i32>(t.actions + 4 * index);
  const argument = (action - (action & (ACTION_ARGUMENT - 1))) / ACTION_ARGUMENT;
  const kind = action & ACTION_KIND_MASK;
  if (kind === ACTION_TABLE) {
    const start = <i32>load<u16>(t.runStarts + 2 * <usize>run);
    mappedCodePoint = <i32>load<u16>(t.table + 2 * <usize>(argument + (codePoint & 0xffff) - start));
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
