/**
 * Extended grapheme clusters (UAX 29), which SentencePiece's rules are looked up for.
 *
 * Only clusters of fewer than six bytes are looked up whole, so the rules for flags, emoji sequences
 * and conjuncts of Indic scripts are left out: such clusters are longer.
 */
import { hangulSyllables } from '../hangul.ts';
import { rangeTest } from '../packed.ts';
import {
  clusterControlRanges,
  clusterExtendRanges,
  clusterPrependRanges,
} from '../unicode-tables.ts';

/** Classes of characters; `kernels/c/unigram_normalize.h` has the same. */
export const clusterClasses = {
  other: 0,
  extend: 1,
  prepend: 2,
  control: 3,
  leadingJamo: 4,
  vowelJamo: 5,
  trailingJamo: 6,
  /** A syllable: with a trailing consonant or without. */
  syllable: 7,
} as const;
export type ClusterClass = (typeof clusterClasses)[keyof typeof clusterClasses];

const isExtend = rangeTest(clusterExtendRanges);
const isPrepend = rangeTest(clusterPrependRanges);
const isControl = rangeTest(clusterControlRanges);

/** First and last code points (UAX 29, table 2). */
const jamo: readonly (readonly [ClusterClass, number, number])[] = [
  [clusterClasses.leadingJamo, 0x1100, 0x115f],
  [clusterClasses.vowelJamo, 0x1160, 0x11a7],
  [clusterClasses.trailingJamo, 0x11a8, 0x11ff],
  [clusterClasses.leadingJamo, 0xa960, 0xa97c],
  [clusterClasses.syllable, hangulSyllables.first, hangulSyllables.last],
  [clusterClasses.vowelJamo, 0xd7b0, 0xd7c6],
  [clusterClasses.trailingJamo, 0xd7cb, 0xd7fb],
];

/** Class of each code point, asked for once. */
const known = new Uint8Array(0x11_0000).fill(0xff);

export function clusterClassOf(codePoint: number): ClusterClass {
  if (known[codePoint] === 0xff) known[codePoint] = lookUp(codePoint);
  return known[codePoint]! as ClusterClass; // `lookUp` gives no other
}

function lookUp(codePoint: number): ClusterClass {
  if (isControl(codePoint)) return clusterClasses.control;
  if (isExtend(codePoint)) return clusterClasses.extend;
  if (isPrepend(codePoint)) return clusterClasses.prepend;
  const hangul = jamo.find(([, first, last]) => codePoint >= first && codePoint <= last);
  return hangul?.[0] ?? clusterClasses.other;
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const trailingConsonants = 28;

/** Whether two neighbours are in one cluster. */
export function isJoined(before: number, after: number): boolean {
  const { extend, prepend, control, leadingJamo, vowelJamo, trailingJamo, syllable } =
    clusterClasses;
  if (before === carriageReturn && after === lineFeed) return true;
  const [left, right] = [clusterClassOf(before), clusterClassOf(after)];
  if (left === control || right === control) return false;
  if (right === extend || left === prepend) return true;
  const isOpen = (before - hangulSyllables.first) % trailingConsonants === 0;
  switch (right) {
    case leadingJamo:
    case syllable:
      return left === leadingJamo;
    case vowelJamo:
      return left === leadingJamo || left === vowelJamo || (left === syllable && isOpen);
    case trailingJamo:
      return left === vowelJamo || left === trailingJamo || left === syllable;
    default:
      return false;
  }
}
