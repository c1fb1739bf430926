/**
 * The pieces that a text falls into before tokens are merged: what the regular expressions of GPT-2
 * and cl100k (Llama 3, Qwen 2) match, in their order of alternatives:
 *
 *   gpt2    's|'t|'re|'ve|'m|'ll|'d | ?L+ | ?N+ | ?others+ | spaces not before a word | spaces
 *   cl100k  the same in any case | [^\r\nLN]?L+ | N{1,3} | ?others+[\r\n]* | spaces up to the last
 *           line break | spaces not before a word | spaces
 */
import { rangeTest } from '../packed.ts';
import {
  letterRanges,
  newNumberRanges,
  numberRanges,
  whitespaceRanges,
} from '../unicode-tables.ts';
import { wordMark } from '../word-mark.ts';
import type { SplitRule } from './tokenizer.ts';

/** Classes of characters; `kernels/c/bpe.c` has the same, and `end` behind a text. */
export const characterClasses = { other: 0, letter: 1, number: 2, space: 3, end: 4 } as const;
export type CharacterClass = (typeof characterClasses)[keyof typeof characterClasses];

const isLetter = rangeTest(letterRanges);
const isNumber = rangeTest(numberRanges);
const isNewNumber = rangeTest(newNumberRanges);
const isSpace = rangeTest(whitespaceRanges);

/** Class of each code point, asked for once; a number of Unicode 17.0 is marked `newNumber`. */
const known = new Uint8Array(0x11_0000).fill(0xff);
const newNumber = characterClasses.end + 1;

/** The regular expressions are of Unicode 16.0, single digits of 17.0. */
export function classOf(codePoint: number, { isolatesDigits }: SplitRule): CharacterClass {
  if (known[codePoint] === 0xff) known[codePoint] = lookUp(codePoint);
  const found = known[codePoint]!;
  if (found !== newNumber) return found as CharacterClass; // `lookUp` gives no other
  return isolatesDigits ? characterClasses.number : characterClasses.other;
}

function lookUp(codePoint: number): number {
  if (isLetter(codePoint)) return characterClasses.letter;
  if (isNumber(codePoint)) return characterClasses.number;
  if (isSpace(codePoint)) return characterClasses.space;
  return isNewNumber(codePoint) ? newNumber : characterClasses.other;
}

const space = 0x20;
const lineBreaks: readonly number[] = [0x0a, 0x0d];
const contractions = ['s', 't', 'm', 'd', 're', 've', 'll'];

/** `text` as code points; the pieces are its parts, in order. */
export function splitPieces(
  text: readonly number[],
  rule: SplitRule,
): readonly (readonly number[])[] {
  const pieces: (readonly number[])[] = [];
  for (let start = 0; start < text.length; ) {
    const end = pieceEnd(text, start, rule);
    pieces.push(text.slice(start, end));
    start = end;
  }
  return pieces;
}

function pieceEnd(text: readonly number[], start: number, rule: SplitRule): number {
  if (rule.words === 'none') return text.length;
  if (rule.words === 'marks') {
    const next = text.indexOf(wordMark.codePointAt(0)!, start + 1);
    return next === -1 ? text.length : next;
  }
  const { letter, number, space: spaceClass, other, end: endClass } = characterClasses;
  const isCl100k = rule.words === 'cl100k';
  const classAt = (at: number): CharacterClass =>
    at < text.length ? classOf(text[at]!, rule) : endClass;
  const first = text[start]!;
  const firstClass = classAt(start);
  const nextClass = classAt(start + 1);
  if (rule.isolatesDigits && firstClass === number) return start + 1;
  const contraction = contractionLength(text, start, isCl100k);
  if (contraction > 0) return start + contraction;

  const leads = {
    [letter]: isCl100k
      ? firstClass !== letter && firstClass !== number && !lineBreaks.includes(first)
      : first === space,
    [number]: !isCl100k && !rule.isolatesDigits && first === space,
    [other]: first === space,
    [spaceClass]: false,
    [endClass]: false,
  }[nextClass];
  const runClass = leads ? nextClass : firstClass;
  let end = leads ? start + 1 : start;
  if (runClass !== spaceClass) {
    const from = end;
    const most = runClass === number && rule.mostDigits > 0 ? rule.mostDigits : text.length;
    while (end - from < most && classAt(end) === runClass) end++;
    if (isCl100k && runClass === other) while (lineBreaks.includes(text[end]!)) end++;
    return end;
  }
  while (classAt(end) === spaceClass) end++;
  const isolated = rule.isolatesDigits && classAt(end) === number;
  if (isCl100k) {
    const run = text.slice(start, end);
    const lastBreak = Math.max(...lineBreaks.map((char) => run.lastIndexOf(char)));
    if (lastBreak >= 0) return start + lastBreak + 1;
  }
  return end === text.length || isolated || end === start + 1 ? end : end - 1;
}

/** Characters of "'s", "'ll" and their like; 0: there is none here. */
function contractionLength(text: readonly number[], start: number, inAnyCase: boolean): number {
  if (text[start] !== 0x27) return 0;
  const letters = text.slice(start + 1, start + 3).map((char) => foldLetter(char, inAnyCase));
  const found = contractions.find((word) => letters.join('').startsWith(word));
  return found === undefined ? 0 : 1 + found.length;
}

/** The long s (U+017F) folds to s. */
function foldLetter(codePoint: number, inAnyCase: boolean): string {
  if (inAnyCase && codePoint === 0x17f) return 's';
  const char = String.fromCodePoint(codePoint);
  return inAnyCase && codePoint < 0x80 ? char.toLowerCase() : char;
}
