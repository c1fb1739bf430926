/**
 * A normalizer to constants for the device (`kernels/c/unigram_normalize.h`): one trie of what changes,
 * with folds (decomposition, marks, case) first, then rules of one character, then of several.
 *
 * Only what can tell in ids is stored: characters that are in no piece are all alike, so what turns
 * one into others of them is left out.
 */
import { type CharacterClasses, compileClasses } from '../character-classes.ts';
import { isHangulSyllable } from '../hangul.ts';
import { cleanCharacter } from '../normal-form.ts';
import { parseMap, rangeTest } from '../packed.ts';
import { byteLengths } from '../sizes.ts';
import { textPool } from '../text-pool.ts';
import { compileTrie, type Trie } from '../trie.ts';
import {
  clusterExtendRanges,
  decomposedRanges,
  lowercaseMap,
  markRanges,
  whitespaceRanges,
} from '../unicode-tables.ts';
import { wordMark } from '../word-mark.ts';
import { mostClusterBytes } from './charsmap.ts';
import { clusterClassOf, isJoined } from './clusters.ts';
import { foldCharacter, ruleMapOf } from './normalize.ts';
import type { Normalizer } from './tokenizer.ts';

export interface CompiledNormalizer {
  /** Two characters and what they become, one pair behind the other; then 0. */
  readonly pairs: Uint8Array;
  /** A bit for each first byte: of folds, then of rules of one character. */
  readonly leads: Uint8Array;
  readonly trie: Trie;
  /** By number in the trie: where in `replacementText` what it becomes stands. */
  readonly replacements: Uint16Array;
  /** UTF-8, each ended by NUL. */
  readonly replacementText: Uint8Array;
  readonly classes: CharacterClasses;
  readonly hasRules: boolean;
  readonly sizeBytes: number;
}

/** What a text becomes, or `undefined`: it stays as it is. */
type Changes = ReadonlyMap<string, string>;

export interface Changing {
  /** By decomposition, marks and case; of single characters. */
  readonly folds: Changes;
  /** SentencePiece's, of single characters. */
  readonly rules: Changes;
  /** SentencePiece's, of several characters, none of them hidden by a rule of the first. */
  readonly sequences: Changes;
}

const isDecomposed = rangeTest(decomposedRanges);
const isMark = rangeTest(markRanges);
const lowered = parseMap(lowercaseMap);
const lastCodePoint = 0x10ffff;

/** All that the normalizer changes. */
export function changesOf(normalizer: Normalizer): Changing {
  const folds = new Map<string, string>();
  const { cleansText, decomposes, stripsMarks, lowercases } = normalizer;
  if (cleansText || decomposes || stripsMarks || lowercases) {
    for (let codePoint = 1; codePoint <= lastCodePoint; codePoint++) {
      const isHangul = isHangulSyllable(codePoint);
      const mayChange =
        (cleansText && cleanCharacter(codePoint) !== codePoint) ||
        isHangul ||
        isDecomposed(codePoint) ||
        isMark(codePoint) ||
        lowered.has(codePoint);
      if (!mayChange) continue;
      const char = String.fromCodePoint(codePoint);
      const folded = foldCharacter(normalizer, char);
      if (folded !== char) folds.set(char, folded);
    }
  }
  const all = ruleMapOf(normalizer);
  const isSingle = (text: string): boolean => text.length === 1 || [...text].length === 1;
  const rules = new Map([...all].filter(([from]) => isSingle(from)));
  const sequences = new Map(
    [...all].filter(([from]) => {
      const chars = Array.from(from);
      return chars.length > 1 && !rules.has(chars[0]!) && isCluster(chars);
    }),
  );
  return { folds, rules, sequences };
}

function isCluster(chars: readonly string[]): boolean {
  return chars.every(
    (char, i) => i === 0 || isJoined(chars[i - 1]!.codePointAt(0)!, char.codePointAt(0)!),
  );
}

/** What all that is alone becomes by folds and rules. */
export function imageOf({ folds, rules }: Changing, char: string): string {
  return Array.from(folds.get(char) ?? char, (part) => rules.get(part) ?? part).join('');
}

/** The characters that something else becomes; others are there where they do not change. */
export function imagesOf(changing: Changing, { pairs }: Normalizer): ReadonlySet<string> {
  const { folds, rules, sequences } = changing;
  const changed = [...folds.keys(), ...rules.keys()].map((char) => imageOf(changing, char));
  const paired = pairs.map(({ to }) => imageOf(changing, to));
  return new Set([...changed, ...sequences.values(), ...paired].join('') + wordMark);
}

const encoder = new TextEncoder();
const isExtend = rangeTest(clusterExtendRanges);
const isSpace = rangeTest(whitespaceRanges);

/** `alphabet`: the characters of the pieces that texts can reach; null: all of them tell. */
export function compileNormalizer(
  normalizer: Normalizer,
  changing: Changing,
  alphabet: ReadonlySet<string> | null,
): CompiledNormalizer {
  const { folds, rules, sequences } = alphabet === null ? changing : telling(changing, alphabet);
  const lists = [folds, rules, sequences].map((changes) => [...changes]);
  const all = lists.flat();
  const indexed = lists.map((list, which) => {
    const before = lists.slice(0, which).reduce((sum, { length }) => sum + length, 0);
    return list.map(([from], i) => ({ bytes: encoder.encode(from), id: before + i }));
  });
  const trie = compileTrie(indexed);
  const { text, offsets } = textPool(trie.idOrder.map((index) => all[index]![1]));
  const leads = new Uint8Array(2 * leadsBytes);
  [folds, rules].forEach((changes, which) => {
    for (const from of changes.keys()) {
      const lead = encoder.encode(from)[0]!;
      leads[which * leadsBytes + (lead >> 3)]! |= 1 << (lead & 7);
    }
  });
  const hasRules = rules.size + sequences.size > 0;
  const compiled = {
    pairs: Uint8Array.from([
      ...normalizer.pairs.flatMap(({ from, to }) => [...encoder.encode(from + to)]),
      0,
    ]),
    leads,
    trie,
    replacements: offsets,
    replacementText: text,
    classes: compileClasses(hasRules ? clusterClassOf : () => 0),
    hasRules,
  };
  const { pairs, classes } = compiled;
  const arrays = [pairs, leads, trie.stream, trie.codes, trie.labels, offsets, text];
  return { ...compiled, sizeBytes: byteLengths([...arrays, ...Object.values(classes)]) };
}

const leadsBytes = 32;

/** Without what turns characters that are in no piece into such characters. */
function telling(changing: Changing, alphabet: ReadonlySet<string>): Changing {
  const isForeign = (char: string): boolean =>
    !alphabet.has(char) && char !== ' ' && !isSpace(char.codePointAt(0)!);
  const isAllForeign = (text: string): boolean => text !== '' && Array.from(text).every(isForeign);
  const shortestMark = shortestTellingMark(changing, isForeign);
  const isSilent = ([from, to]: readonly [string, string]): boolean =>
    isAllForeign(Array.from(to, (char) => imageOf({ ...changing, folds: none }, char)).join('')) &&
    isAllForeign(Array.from(from, (char) => imageOf(changing, char)).join('')) &&
    isAllForeign(Array.from(from, (char) => changing.rules.get(char) ?? char).join('')) &&
    isForeign(from) &&
    // With a mark behind it, the cluster would lose the mark by the rule alone.
    [from, ...Array.from(to)].every(
      (text) => encoder.encode(text).length + shortestMark > mostClusterBytes,
    );
  const kept = (changes: Changes): Changes => new Map([...changes].filter((one) => !isSilent(one)));
  const { folds, rules, sequences } = changing;
  return { folds: kept(folds), rules: kept(rules), sequences: kept(sequences) };
}

const none: Changes = new Map();

/** Bytes of the shortest character that extends clusters and is, or becomes, something known. */
function shortestTellingMark(changing: Changing, isForeign: (char: string) => boolean): number {
  let shortest = Number.POSITIVE_INFINITY;
  for (let codePoint = 0; codePoint <= lastCodePoint; codePoint++) {
    if (!isExtend(codePoint)) continue;
    const char = String.fromCodePoint(codePoint);
    const ruled = changing.rules.get(char) ?? char;
    if (!Array.from(ruled).every(isForeign)) {
      shortest = Math.min(shortest, encoder.encode(char).length);
    }
  }
  return shortest;
}
