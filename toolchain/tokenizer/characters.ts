/**
 * What BERT's basic tokenizer does with one character, and the words that follow from it.
 *
 * The order is Hugging Face's (Rust, normalizers/bert.rs and pre_tokenizers/bert.rs): clean up,
 * put spaces around CJK, decompose canonically and strip nonspacing marks, lower-case, then split at
 * white space and around punctuation. All but the canonical order of marks is a map of characters.
 */
import { hangulSyllables, isHangulSyllable } from './hangul.ts';
import { parseMap, rangeEdges, rangeTest } from './packed.ts';
import {
  boundaryMarkRanges,
  droppedRanges,
  lowercaseMap,
  markRankMap,
  punctuationRanges,
  strippedMap,
  whitespaceRanges,
} from './unicode-tables.ts';

export interface CharacterRules {
  readonly lowercase: boolean;
  readonly stripAccents: boolean;
  /** CJK ideographs are words of their own. */
  readonly tokenizeChinese: boolean;
}

export type CharacterAction =
  | { readonly kind: 'space' }
  /** Vanishes. `isBoundary`: marks before and after it are not put in order together. */
  | { readonly kind: 'dropped'; readonly isBoundary: boolean }
  /** Part of a word, as `targets` (code points). */
  | { readonly kind: 'word'; readonly targets: readonly number[] }
  /** A word of its own: punctuation, CJK. */
  | { readonly kind: 'isolated'; readonly targets: readonly number[] };

/** The blocks that BERT calls Chinese, first and last code point (normalizers/bert.rs). */
const chineseRanges: readonly (readonly [number, number])[] = [
  [0x4e00, 0x9fff],
  [0x3400, 0x4dbf],
  [0x20000, 0x2a6df],
  [0x2a700, 0x2b73f],
  [0x2b740, 0x2b81f],
  [0x2b920, 0x2ceaf],
  [0xf900, 0xfaff],
  [0x2f800, 0x2fa1f],
];

const isDropped = rangeTest(droppedRanges);
const isWhitespace = rangeTest(whitespaceRanges);
const isPunctuation = rangeTest(punctuationRanges);
const isBoundaryMark = rangeTest(boundaryMarkRanges);
const stripped = parseMap(strippedMap);
const lowered = parseMap(lowercaseMap);
const markRanks = parseMap(markRankMap);

export function characterAction(codePoint: number, rules: CharacterRules): CharacterAction {
  if (isDropped(codePoint)) return { kind: 'dropped', isBoundary: false };
  if (isWhitespace(codePoint)) return { kind: 'space' };
  const bases = rules.stripAccents ? stripAccents(codePoint) : [codePoint];
  if (bases.length === 0) return { kind: 'dropped', isBoundary: isBoundaryMark(codePoint) };
  const targets = rules.lowercase ? bases.flatMap((base) => lowered.get(base) ?? base) : bases;
  const isAlone = (rules.tokenizeChinese && isChinese(codePoint)) || targets.some(isPunctuation);
  return { kind: isAlone ? 'isolated' : 'word', targets };
}

/** Characters that may become others than themselves. */
export function changedCharacters({ stripAccents: strips }: CharacterRules): Iterable<number> {
  const { first, last } = hangulSyllables;
  const syllables = Array.from({ length: strips ? last + 1 - first : 0 }, (_, i) => first + i);
  return new Set([...stripped.keys(), ...lowered.keys(), ...syllables]);
}

/**
 * Code points, sorted, from each of which up to the next the same happens to all, as far as no table of
 * its own names them: they stay, vanish or end words alike.
 */
export function characterEdges(rules: CharacterRules): readonly number[] {
  const packed = [droppedRanges, whitespaceRanges, punctuationRanges, boundaryMarkRanges];
  const single = [...changedCharacters(rules), ...markRanks.keys()];
  const edges = new Set([
    ...[0, hangulSyllables.first, hangulSyllables.last + 1],
    ...packed.flatMap(rangeEdges),
    ...chineseRanges.flatMap(([first, last]) => [first, last + 1]),
    ...single.flatMap((codePoint) => [codePoint, codePoint + 1]),
  ]);
  return [...edges].sort((a, b) => a - b);
}

/** Marks that are kept are sorted by this rank within a run of marks; 0: not such a mark. */
export function markRank(codePoint: number): number {
  return markRanks.get(codePoint)?.[0] ?? 0;
}

/**
 * The words of `text` as lists of code points, in order. Lone surrogates count as U+FFFD. Marks are
 * put in canonical order only where accents are stripped: it is part of the decomposition.
 */
export function splitWords(
  text: string,
  { stripAccents: ordersMarks }: CharacterRules,
  actionOf: (codePoint: number) => CharacterAction,
): readonly (readonly number[])[] {
  const words: number[][] = [];
  let word: number[] = [];
  let runStart = 0;
  const endWord = () => {
    if (word.length > 0) words.push(word);
    word = [];
    runStart = 0;
  };
  for (const char of text) {
    const action = actionOf(char.codePointAt(0)!);
    if (action.kind === 'dropped') {
      if (action.isBoundary) runStart = word.length;
      continue;
    }
    if (action.kind !== 'word') endWord();
    if (action.kind === 'space') continue;
    for (const target of action.targets) {
      runStart = append(word, target, ordersMarks ? runStart : word.length);
    }
    if (action.kind === 'isolated') endWord();
  }
  endWord();
  return words;
}

/** Appends in canonical order (Unicode D109) and returns where the run of marks now starts. */
function append(word: number[], codePoint: number, runStart: number): number {
  const rank = markRank(codePoint);
  if (rank === 0) {
    word.push(codePoint);
    return word.length;
  }
  let at = word.length;
  while (at > runStart && markRank(word[at - 1]!) > rank) at--;
  word.splice(at, 0, codePoint);
  return runStart;
}

/** Hangul syllables decompose by arithmetic (Unicode 3.12); the constants are the standard's. */
const jamoOf = {
  lBase: 0x1100,
  vBase: 0x1161,
  tBase: 0x11a7,
  vCount: 21,
  tCount: 28,
};

function stripAccents(codePoint: number): readonly number[] {
  if (!isHangulSyllable(codePoint)) return stripped.get(codePoint) ?? [codePoint];
  const syllable = codePoint - hangulSyllables.first;
  const trailing = syllable % jamoOf.tCount;
  const leadingVowel = Math.floor(syllable / jamoOf.tCount);
  const jamo = [
    jamoOf.lBase + Math.floor(leadingVowel / jamoOf.vCount),
    jamoOf.vBase + (leadingVowel % jamoOf.vCount),
  ];
  return trailing === 0 ? jamo : [...jamo, jamoOf.tBase + trailing];
}

function isChinese(codePoint: number): boolean {
  return chineseRanges.some(([first, last]) => codePoint >= first && codePoint <= last);
}
