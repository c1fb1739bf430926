// SPDX-License-Identifier: Apache-2.0
/**
 * The characters of a text in a normal form of Unicode (UAX 15), the twin of kernels/c/normal_reader.h:
 * decomposition, composition, the decomposed text, its canonical order, characters.
 */
import { findRun } from './specials';
import { decodedEnd, decodeUtf8 } from './text';

/** Tables (kernels/c/normal_form.h says what each field is). */
@unmanaged
class NormalForm {
  planes: usize;
  runStarts: usize;
  runValues: usize;
  rows: usize;
  tailOf: usize;
  tails: usize;
  text: usize;
  composites: usize;
  groups: usize;
  firstSingle: i32;
  firstStable: i32;
  firstPair: i32;
  firstSequence: i32;
  composingTails: i32;
  composes: i32;
}

/** See lm_reader of kernels/c/normal_reader.h. */
@unmanaged
class NormalReader {
  form: NormalForm;
  end: usize;
  at: usize;
  part: i32;
  runAt: usize;
  runPart: i32;
  rank: i32;
  starter: i32;
  lastRank: i32;
}

const READER_BYTES: usize = 36;
/** Room for five readers, in whole vectors. */
export const READERS_BYTES: usize = 192;
/** The reader, a copy of it that reads ahead, and three that are kept by number. */
const AHEAD: usize = READER_BYTES;
const KEPT: usize = 2 * READER_BYTES;

/** toolchain/tokenizer/compile-normal-form.ts: formClasses, mappedFirst. */
const FORM_STARTER: i32 = 0;
const FORM_JOINING: i32 = 61;
const FORM_SYLLABLE: i32 = 62;
const FORM_MAPPED: i32 = 63;

const NO_CHAR: i32 = -1;

/** The arithmetic and its constants are the standard's: Unicode 3.12. */
const S_BASE: i32 = 0xac00;
const L_BASE: i32 = 0x1100;
const V_BASE: i32 = 0x1161;
const T_BASE: i32 = 0x11a7;
const L_COUNT: i32 = 19;
const V_COUNT: i32 = 21;
const T_COUNT: i32 = 28;

/** Where the readers lie: 5 * READER_BYTES. */
let readers: usize = 0;

export function startReading(memory: usize, form: usize, text: usize, end: usize): void {
  readers = memory;
  const reader = changetype<NormalReader>(readers);
  reader.form = changetype<NormalForm>(form);
  reader.end = end;
  reader.at = text;
  reader.part = 0;
  reader.rank = 0;
  reader.starter = NO_CHAR;
  reader.lastRank = 0;
}

/** `number`: below 3. */
export function keepPlace(number: usize): void {
  memory.copy(readers + KEPT + number * READER_BYTES, readers, READER_BYTES);
}

export function returnToPlace(number: usize): void {
  memory.copy(readers, readers + KEPT + number * READER_BYTES, READER_BYTES);
}

function syllablePart(codePoint: i32, part: i32): i32 {
  const syllable = codePoint - S_BASE;
  const trailing = syllable % T_COUNT;
  switch (part) {
    case 0:
      return L_BASE + syllable / (V_COUNT * T_COUNT);
    case 1:
      return V_BASE + ((syllable / T_COUNT) % V_COUNT);
    case 2:
      return trailing === 0 ? NO_CHAR : T_BASE + trailing;
    default:
      return NO_CHAR;
  }
}

function sequencePart(f: NormalForm, row: i32, part: i32): i32 {
  let at = f.text + <usize>load<u16>(f.rows + 2 * <usize>row);
  for (; load<u8>(at) !== 0; part--) {
    const codePoint = decodeUtf8(at, usize.MAX_VALUE);
    if (part === 0) return codePoint;
    at = decodedEnd;
  }
  return NO_CHAR;
}

/** Of the character that `findRow` found no row for: its class; else where it is in its run. */
let rowOrClass: i32 = 0;
let rowOffset: i32 = 0;

function findRow(f: NormalForm, codePoint: i32): bool {
  const run = 2 * <usize>findRun(f.planes, f.runStarts, codePoint);
  rowOrClass = <i32>load<u16>(f.runValues + run);
  if (rowOrClass < FORM_MAPPED) return false;
  rowOrClass -= FORM_MAPPED;
  rowOffset = (codePoint & 0xffff) - <i32>load<u16>(f.runStarts + run);
  if (rowOrClass < f.firstSingle) return true;
  rowOrClass += rowOffset;
  rowOffset = 0;
  return true;
}

function tailAt(f: NormalForm, tail: i32): i32 {
  return load<i32>(f.tails + 4 * <usize>tail);
}

/** What is `part` of what a character is decomposed into; NO_CHAR: there are not so many. */
function decomposedPart(f: NormalForm, codePoint: i32, part: i32): i32 {
  // At most three characters are behind the first.
  let last = 0;
  let middle = 0;
  let first = 0;
  let count = 0;
  while (findRow(f, codePoint)) {
    const row = rowOrClass;
    if (row >= f.firstSequence) return sequencePart(f, row, part);
    const tail = row < f.firstStable
      ? 0
      : tailAt(f, <i32>load<u8>(f.tailOf + <usize>(row - f.firstStable)));
    const target = <i32>load<u16>(f.rows + 2 * <usize>row) + rowOffset;
    if (tail === 0 && target === (codePoint & 0xffff)) {
      rowOrClass = 0; // becomes itself
      break;
    }
    if (tail !== 0) {
      if (count === 0) last = tail;
      else if (count === 1) middle = tail;
      else first = tail;
      count++;
    }
    codePoint = (tail & 0xff0000) | target;
  }
  if (rowOrClass === FORM_SYLLABLE) return syllablePart(codePoint, part);
  if (part === 0) return codePoint;
  if (part > count) return NO_CHAR;
  const tail = count - part;
  return tail === 0 ? last : tail === 1 ? middle : first;
}

/** The first of the two characters that a composite is made of, by the low 16 bits. */
function firstOf(f: NormalForm, composite: i32): i32 {
  return findRow(f, composite) ? <i32>load<u16>(f.rows + 2 * <usize>rowOrClass) : NO_CHAR;
}

/** The character that two become, or NO_CHAR. */
function compose(f: NormalForm, first: i32, second: i32): i32 {
  const lead = first - L_BASE;
  const vowel = second - V_BASE;
  if (lead >= 0 && lead < L_COUNT && vowel >= 0 && vowel < V_COUNT) {
    return S_BASE + (lead * V_COUNT + vowel) * T_COUNT;
  }
  const syllable = first - S_BASE;
  const trailing = second - T_BASE;
  const isOpen = syllable >= 0 && syllable < L_COUNT * V_COUNT * T_COUNT && syllable % T_COUNT === 0;
  if (isOpen && trailing > 0 && trailing < T_COUNT) return first + trailing;
  let tail = 1;
  let end = f.composingTails + 1;
  while (tail < end) {
    const middle = (tail + end) >> 1;
    if (tailAt(f, middle) < second) tail = middle + 1;
    else end = middle;
  }
  if (tail > f.composingTails || tailAt(f, tail) !== second) return NO_CHAR;
  if (first >> 16 !== second >> 16) return NO_CHAR;
  const plane = second & 0xff0000;
  const group = f.groups + 2 * <usize>tail;
  let from = <i32>load<u16>(group - 2);
  let to = <i32>load<u16>(group);
  while (from < to) {
    const middle = (from + to) >> 1;
    const composite = plane | <i32>load<u16>(f.composites + 2 * <usize>middle);
    const itsFirst = firstOf(f, composite);
    if (itsFirst === (first & 0xffff)) return composite;
    if (itsFirst < (first & 0xffff)) from = middle + 1;
    else to = middle;
  }
  return NO_CHAR;
}

/** A place in the decomposed text: of a character in the text, and of what it is decomposed into. */
let placeAt: usize = 0;
let placePart: i32 = 0;

/** The next character of the decomposed text, NO_CHAR at the end. */
function readPart(reader: NormalReader): i32 {
  while (placeAt < reader.end) {
    const codePoint = decodeUtf8(placeAt, reader.end);
    const behind = decodedEnd;
    const part = decomposedPart(reader.form, codePoint, placePart);
    if (part === NO_CHAR || part === codePoint) {
      placeAt = behind;
      placePart = 0;
    } else {
      placePart++;
    }
    if (part !== NO_CHAR) return part;
  }
  return NO_CHAR;
}

/** Of a character of the decomposed text: the rank of its combining class; 0: a starter. */
function rankOf(f: NormalForm, codePoint: i32): i32 {
  if (codePoint === NO_CHAR) return 0;
  const run = findRun(f.planes, f.runStarts, codePoint);
  const value = <i32>load<u16>(f.runValues + 2 * <usize>run);
  return value < FORM_JOINING ? value : 0;
}

/** The lowest rank above `rank` among the marks of the run, 0: there is none; the place is behind them. */
function nextRank(reader: NormalReader, rank: i32): i32 {
  let lowest = 0;
  let endAt = reader.runAt;
  let endPart = reader.runPart;
  placeAt = endAt;
  placePart = endPart;
  while (true) {
    const next = rankOf(reader.form, readPart(reader));
    if (next === 0) break;
    if (next > rank && (lowest === 0 || next < lowest)) lowest = next;
    endAt = placeAt;
    endPart = placePart;
  }
  placeAt = endAt;
  placePart = endPart;
  return lowest;
}

/**
 * The next character of the decomposed text in canonical order, NO_CHAR at the end. It stays where it
 * is, but is found at once from there on; the place is behind it.
 */
function nextOrdered(reader: NormalReader): i32 {
  while (true) {
    let at = reader.at;
    let part = reader.part;
    placeAt = at;
    placePart = part;
    let codePoint = readPart(reader);
    let rank = rankOf(reader.form, codePoint);
    if (reader.rank === 0 && rank !== 0) {
      reader.runAt = at;
      reader.runPart = part;
      reader.rank = nextRank(reader, 0);
      continue;
    }
    while (rank !== 0 && rank !== reader.rank) {
      at = placeAt;
      part = placePart;
      codePoint = readPart(reader);
      rank = rankOf(reader.form, codePoint);
    }
    if (rank === reader.rank) {
      reader.at = at;
      reader.part = part;
      return codePoint;
    }
    reader.rank = nextRank(reader, reader.rank);
    reader.at = reader.rank === 0 ? placeAt : reader.runAt;
    reader.part = reader.rank === 0 ? placePart : reader.runPart;
  }
}

function readOrdered(reader: NormalReader): i32 {
  const codePoint = nextOrdered(reader);
  reader.at = placeAt;
  reader.part = placePart;
  return codePoint;
}

function copyOf(reader: NormalReader): NormalReader {
  memory.copy(readers + AHEAD, changetype<usize>(reader), READER_BYTES);
  return changetype<NormalReader>(readers + AHEAD);
}

/** Passes what the starter takes in, up to what it does not, which stays where it is. */
function takeIn(reader: NormalReader): void {
  while (true) {
    const codePoint = nextOrdered(reader);
    const rank = rankOf(reader.form, codePoint);
    if (reader.form.composes === 0 || reader.starter === NO_CHAR || codePoint === NO_CHAR) return;
    if (reader.lastRank !== 0 && reader.lastRank >= rank) return;
    const composite = compose(reader.form, reader.starter, codePoint);
    if (composite === NO_CHAR) return;
    reader.at = placeAt;
    reader.part = placePart;
    reader.starter = composite;
  }
}

/** What the starter becomes with all marks behind it. */
function composedStarter(reader: NormalReader): i32 {
  const ahead = copyOf(reader);
  while (ahead.form.composes !== 0) {
    takeIn(ahead);
    const rank = rankOf(ahead.form, readOrdered(ahead));
    if (rank === 0) break;
    ahead.lastRank = rank;
  }
  return ahead.starter;
}

function isPrintable(codePoint: i32): bool {
  return codePoint >= 0x20 && codePoint < 0x7f;
}

/**
 * Whether it begins with a starter that belongs to nothing before it, and stays as it is where the like
 * of it follows.
 */
function isStable(f: NormalForm, codePoint: i32): bool {
  if (isPrintable(codePoint)) return true;
  if (findRow(f, codePoint)) return rowOrClass >= f.firstStable && rowOrClass < f.firstPair;
  return rowOrClass === FORM_STARTER || (rowOrClass === FORM_SYLLABLE && f.composes !== 0);
}

/** Whether the next character stays as it is: so does most text. It is passed then. */
function passStable(reader: NormalReader): bool {
  const at = reader.at;
  if (reader.rank !== 0 || reader.part !== 0 || at >= reader.end) return false;
  const codePoint = decodeUtf8(at, reader.end);
  const behind = decodedEnd;
  if (!isStable(reader.form, codePoint)) return false;
  if (behind < reader.end && !isStable(reader.form, decodeUtf8(behind, reader.end))) return false;
  reader.starter = codePoint;
  reader.at = behind;
  return true;
}

export function isRead(): bool {
  const reader = changetype<NormalReader>(readers);
  const isText = reader.at < reader.end && reader.part === 0;
  if (isText && isPrintable(<i32>load<u8>(reader.at))) return false;
  const ahead = copyOf(reader);
  return !passStable(ahead) && nextOrdered(ahead) === NO_CHAR;
}

export function readChar(): i32 {
  const reader = changetype<NormalReader>(readers);
  if (passStable(reader)) return reader.starter;
  let codePoint = readOrdered(reader);
  reader.lastRank = rankOf(reader.form, codePoint);
  if (reader.lastRank === 0) {
    reader.starter = codePoint;
    codePoint = composedStarter(reader);
  }
  takeIn(reader);
  return codePoint;
}
