/** Text to the words that are tokenized, as Hugging Face's normalizers and pre-tokenizers make them. */
import { isWhitespace } from '../added-tokens.ts';
import { isHangulSyllable } from '../hangul.ts';
import { cleanCharacter, toNormalForm } from '../normal-form.ts';
import { parseMap, rangeTest } from '../packed.ts';
import { decomposedRanges, lowercaseMap, markRanges } from '../unicode-tables.ts';
import { wordMark } from '../word-mark.ts';
import { mostClusterBytes } from './charsmap.ts';
import { isJoined } from './clusters.ts';
import type { Normalizer, UnigramTokenizer } from './tokenizer.ts';

/** `isFirst`: the text begins with this part of it. */
export function wordsOf(
  { normalizer, words }: UnigramTokenizer,
  part: string,
  isFirst: boolean,
): readonly string[] {
  const normalized = normalize(normalizer, part);
  const chunks = words.splitsAtWhitespace ? splitAtWhitespace(normalized) : [normalized];
  const takesPrefix = words.prefix === 'always' || (words.prefix === 'first' && isFirst);
  return chunks
    .filter((chunk) => chunk !== '')
    .flatMap((chunk) => {
      const marked = chunk.replaceAll(' ', wordMark);
      const whole = takesPrefix && !marked.startsWith(wordMark) ? wordMark + marked : marked;
      return words.splitsAtMarks ? whole.split(beforeMark) : [whole];
    });
}

const beforeMark = new RegExp(`(?!^)(?=${wordMark})`, 'u');

function splitAtWhitespace(text: string): readonly string[] {
  const chunks = [''];
  for (const char of text) {
    if (isWhitespace(char)) chunks.push('');
    else chunks[chunks.length - 1] += char;
  }
  return chunks;
}

export function normalize(normalizer: Normalizer, text: string): string {
  const replaced = normalizer.pairs.reduce(
    (changed, { from, to }) => changed.replaceAll(from, to),
    text,
  );
  const { normalForm } = normalizer;
  const normal = normalForm === null ? replaced : toNormalForm(normalForm, replaced);
  const characters = Array.from(normal, (char) => foldCharacter(normalizer, char)).join('');
  const ruled = applyRules(normalizer, characters);
  const stripped = normalizer.stripsRight ? stripRight(ruled) : ruled;
  return normalizer.collapsesSpaces ? stripped.replaceAll(/ {2,}/g, ' ') : stripped;
}

function stripRight(text: string): string {
  const chars = Array.from(text);
  while (chars.length > 0 && isWhitespace(chars.at(-1)!)) chars.pop();
  return chars.join('');
}

const isDecomposed = rangeTest(decomposedRanges);
const isMark = rangeTest(markRanges);
const lowered = parseMap(lowercaseMap);

/** Nmt, decomposition, marks and case: what they make of one character. */
export function foldCharacter(
  { cleansText, decomposes, stripsMarks, lowercases }: Normalizer,
  read: string,
): string {
  const cleaned = cleansText ? cleanCharacter(read.codePointAt(0)!) : read.codePointAt(0)!;
  if (cleaned === undefined) return '';
  const char = String.fromCodePoint(cleaned);
  const parts = Array.from(decomposes ? decompose(char) : char, (part) => part.codePointAt(0)!);
  const kept = stripsMarks ? parts.filter((part) => !isMark(part)) : parts;
  const folded = lowercases ? kept.flatMap((part) => lowered.get(part) ?? part) : kept;
  return String.fromCodePoint(...folded);
}

function decompose(char: string): string {
  const codePoint = char.codePointAt(0)!;
  return isHangulSyllable(codePoint) || isDecomposed(codePoint) ? char.normalize('NFKD') : char;
}

const ruleMaps = new WeakMap<Normalizer, ReadonlyMap<string, string>>();

/** The replacement of each sequence of characters. */
export function ruleMapOf(normalizer: Normalizer): ReadonlyMap<string, string> {
  const known = ruleMaps.get(normalizer);
  if (known !== undefined) return known;
  const map = new Map(normalizer.rules);
  ruleMaps.set(normalizer, map);
  return map;
}

const encoder = new TextEncoder();

/**
 * A short cluster becomes what the shortest sequence that it begins with becomes, all of it (it loses
 * its accents where its first character has a rule); of others each character goes by itself.
 */
function applyRules(normalizer: Normalizer, text: string): string {
  const rules = ruleMapOf(normalizer);
  if (rules.size === 0) return text;
  return clustersOf(text)
    .map((cluster) => {
      if (cluster.length === 1) return rules.get(cluster[0]!) ?? cluster[0]!;
      const isShort = encoder.encode(cluster.join('')).length <= mostClusterBytes;
      const prefixes = cluster.map((_, i) => cluster.slice(0, i + 1).join(''));
      const prefix = isShort ? prefixes.find((one) => rules.has(one)) : undefined;
      if (prefix !== undefined) return rules.get(prefix)!;
      return cluster.map((char) => rules.get(char) ?? char).join('');
    })
    .join('');
}

function clustersOf(text: string): readonly (readonly string[])[] {
  const clusters: string[][] = [];
  let before: string | undefined;
  for (const char of text) {
    const joins = before !== undefined && isJoined(before.codePointAt(0)!, char.codePointAt(0)!);
    if (joins) clusters.at(-1)!.push(char);
    else clusters.push([char]);
    before = char;
  }
  return clusters;
}
