// SPDX-License-Identifier: Apache-2.0
/**
 * The normalizer of Unigram tokenizers, the twin of kernels/c/unigram_normalize.h: pairs, folds, rules
 * for short clusters.
 */
import { findRun } from './specials';
import { decodedEnd, decodeUtf8, encodeUtf8 } from './text';
import { nextPrefix, prefixToken, startWalk } from './trie';
import { putNormalized, Tokenizer } from './unigram';

/** toolchain/tokenizer/unigram/clusters.ts: clusterClasses. */
const CLUSTER_EXTEND: i32 = 1;
const CLUSTER_PREPEND: i32 = 2;
const CLUSTER_CONTROL: i32 = 3;
const CLUSTER_LEADING_JAMO: i32 = 4;
const CLUSTER_VOWEL_JAMO: i32 = 5;
const CLUSTER_TRAILING_JAMO: i32 = 6;
const CLUSTER_SYLLABLE: i32 = 7;

/** toolchain/tokenizer/unigram/charsmap.ts: mostClusterBytes. */
const MOST_CLUSTER_BYTES: i32 = 5;
/** toolchain/tokenizer/unigram/compile-normalizer.ts: leadsBytes. */
const LEADS_BYTES: usize = 32;

/** Bytes of the cluster being read, while it is short; it lies where `t.scratch` says. */
let clusterBytes: i32 = 0;
let isLong: bool = false;
/** The character before, -1: there is none. */
let last: i32 = -1;

export function startPart(): void {
  clusterBytes = 0;
  isLong = false;
  last = -1;
}

function putUtf8(t: Tokenizer, text: usize, end: usize): void {
  while (text < end) {
    const codePoint = decodeUtf8(text, end);
    text = decodedEnd;
    putNormalized(t, codePoint);
  }
}

function hasLead(leads: usize, byte: i32): bool {
  return ((<i32>load<u8>(leads + <usize>(byte >> 3)) >> (byte & 7)) & 1) !== 0;
}

/** What the shortest of the strings that `bytes` begin with becomes, NUL-ended; 0: there is none. */
function findReplacement(t: Tokenizer, offset: i32, first: i32, bytes: usize, count: i32): usize {
  startWalk(t.changes + <usize>offset, t.changeCodes, t.changeLabels, first);
  if (nextPrefix(bytes, count) === 0) return 0;
  return t.replacementText + <usize>load<u16>(t.replacements + 2 * <usize>prefixToken);
}

function ruleOf(t: Tokenizer, bytes: usize, count: i32): usize {
  if (!hasLead(t.leads + LEADS_BYTES, <i32>load<u8>(bytes))) return 0;
  return findReplacement(t, t.rulesOffset, t.rulesFirst, bytes, count);
}

function textEnd(text: usize): usize {
  while (load<u8>(text) !== 0) text++;
  return text;
}

/** One character, whatever is beside it. */
function putRuled(t: Tokenizer, bytes: usize, count: i32): void {
  const replaced = ruleOf(t, bytes, count);
  if (replaced !== 0) putUtf8(t, replaced, textEnd(replaced));
  else putUtf8(t, bytes, bytes + <usize>count);
}

export function charBytes(lead: i32): i32 {
  return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

function putEach(t: Tokenizer): void {
  for (let place = 0; place < clusterBytes; ) {
    const bytes = t.scratch + <usize>place;
    const count = charBytes(<i32>load<u8>(bytes));
    putRuled(t, bytes, count);
    place += count;
  }
  clusterBytes = 0;
}

/** A short cluster as a whole: what its shortest beginning with a rule becomes. */
export function endCluster(t: Tokenizer): void {
  isLong = false;
  if (clusterBytes === 0) return;
  const first = charBytes(<i32>load<u8>(t.scratch));
  let replaced = ruleOf(t, t.scratch, first);
  if (replaced === 0 && clusterBytes > first) {
    replaced = findReplacement(t, t.sequencesOffset, t.sequencesFirst, t.scratch, clusterBytes);
  }
  if (replaced === 0) {
    putEach(t);
    return;
  }
  clusterBytes = 0;
  putUtf8(t, replaced, textEnd(replaced));
}

function clusterClass(t: Tokenizer, codePoint: i32): i32 {
  return <i32>load<u8>(t.runClasses + <usize>findRun(t.planes, t.runStarts, codePoint));
}

/** Whether two neighbours are in one cluster (UAX 29). */
function isJoined(t: Tokenizer, before: i32, after: i32): bool {
  if (before === 0x0d && after === 0x0a) return true;
  if (before < 0x80 && after < 0x80) return false;
  const left = clusterClass(t, before);
  const right = clusterClass(t, after);
  if (left === CLUSTER_CONTROL || right === CLUSTER_CONTROL) return false;
  if (right === CLUSTER_EXTEND || left === CLUSTER_PREPEND) return true;
  const isOpen = left === CLUSTER_SYLLABLE && (before - 0xac00) % 28 === 0;
  switch (right) {
    case CLUSTER_LEADING_JAMO:
    case CLUSTER_SYLLABLE:
      return left === CLUSTER_LEADING_JAMO;
    case CLUSTER_VOWEL_JAMO:
      return left === CLUSTER_LEADING_JAMO || left === CLUSTER_VOWEL_JAMO || isOpen;
    case CLUSTER_TRAILING_JAMO:
      return left === CLUSTER_VOWEL_JAMO || left === CLUSTER_TRAILING_JAMO ||
        left === CLUSTER_SYLLABLE;
    default:
      return false;
  }
}

/** Adds a character to its cluster. */
function putFolded(t: Tokenizer, codePoint: i32): void {
  if (t.hasRules === 0) {
    putNormalized(t, codePoint);
    return;
  }
  if (last < 0 || !isJoined(t, last, codePoint)) endCluster(t);
  last = codePoint;
  const bytes = t.scratch + 8;
  const count = encodeUtf8(codePoint, bytes);
  if (isLong || clusterBytes + count > MOST_CLUSTER_BYTES) {
    isLong = true;
    putEach(t);
    putRuled(t, bytes, count);
    return;
  }
  memory.copy(t.scratch + <usize>clusterBytes, bytes, <usize>count);
  clusterBytes += count;
}

/** Decomposes the character, strips marks and lower-cases, then goes on. */
export function putRead(t: Tokenizer, codePoint: i32): void {
  const bytes = t.scratch + 12;
  const count = encodeUtf8(codePoint, bytes);
  let folded: usize = 0;
  if (hasLead(t.leads, <i32>load<u8>(bytes))) folded = findReplacement(t, 0, 0, bytes, count);
  if (folded === 0) {
    putFolded(t, codePoint);
    return;
  }
  const end = textEnd(folded);
  while (folded < end) {
    const part = decodeUtf8(folded, end);
    folded = decodedEnd;
    putFolded(t, part);
  }
}

/** Behind the character that `nextPaired` gave. */
export let pairedEnd: usize = 0;

/** The next character of the text, or what it becomes with the one behind it. */
export function nextPaired(t: Tokenizer, text: usize, end: usize): i32 {
  for (let pair = t.pairs; load<u8>(pair) !== 0; pair += 3) {
    if (load<u8>(text) !== load<u8>(pair) || text + 1 === end) continue;
    if (load<u8>(text, 1) !== load<u8>(pair, 1)) continue;
    pairedEnd = text + 2;
    return <i32>load<u8>(pair, 2);
  }
  const codePoint = decodeUtf8(text, end);
  pairedEnd = decodedEnd;
  return codePoint;
}
