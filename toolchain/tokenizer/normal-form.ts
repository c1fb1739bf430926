/**
 * Unicode's normal forms (UAX 15) of Unicode 9.0, which Hugging Face's tokenizers have: decomposition,
 * canonical order of marks, composition. Defined here by its three steps, not by `String.normalize`,
 * for a newer Unicode composes and orders characters that 9.0 did not know; what one character of 9.0
 * decomposes into is the same for ever, so that is asked of it.
 */
import { hangul, isHangulSyllable } from './hangul.ts';
import { parseRanges, rangeTest } from './packed.ts';
import { decomposedRanges, markRanges } from './unicode-tables.ts';

export const normalFormNames = ['NFC', 'NFD', 'NFKC', 'NFKD'] as const;
export type NormalFormName = (typeof normalFormNames)[number];

export interface NormalForm {
  readonly name: NormalFormName;
  /** First what the library calls Nmt: control characters go, odd spaces become spaces. */
  readonly cleansText: boolean;
}

/** Conjoining letters (Jamo) and syllables. */
export function isHangul(codePoint: number): boolean {
  return isHangulSyllable(codePoint) || (codePoint >= 0x1100 && codePoint <= 0x11ff);
}

export function composes({ name }: Pick<NormalForm, 'name'>): boolean {
  return name === 'NFC' || name === 'NFKC';
}

export function isCompatible({ name }: Pick<NormalForm, 'name'>): boolean {
  return name === 'NFKC' || name === 'NFKD';
}

function codePointsOf(text: string): readonly number[] {
  return Array.from(text, (char) => char.codePointAt(0)!);
}

const isDecomposed = rangeTest(decomposedRanges);

/** What a character is decomposed into, all the way; Hangul too. */
export function decomposition(form: NormalForm, codePoint: number): readonly number[] {
  const cleaned = form.cleansText ? cleanCharacter(codePoint) : codePoint;
  if (cleaned === undefined) return [];
  if (!isHangulSyllable(cleaned) && !isDecomposed(cleaned)) return [cleaned];
  return codePointsOf(String.fromCodePoint(cleaned).normalize(isCompatible(form) ? 'NFKD' : 'NFD'));
}

/** First and last code points of what Nmt drops, and of what it turns into spaces. */
const droppedByNmt = [
  [0x01, 0x08],
  [0x0b, 0x0b],
  [0x0e, 0x1f],
  [0x7f, 0x7f],
  [0x8f, 0x8f],
  [0x9f, 0x9f],
] as const;
const spacesOfNmt = [
  [0x09, 0x0a],
  [0x0c, 0x0d],
  [0x1680, 0x1680],
  [0x200b, 0x200f],
  [0x2028, 0x2029],
  [0x2581, 0x2581],
  [0xfeff, 0xfeff],
  [0xfffd, 0xfffd],
] as const;

/** The library's Nmt; undefined: the character goes. */
export function cleanCharacter(codePoint: number): number | undefined {
  const isIn = (ranges: readonly (readonly [number, number])[]): boolean =>
    ranges.some(([first, last]) => codePoint >= first && codePoint <= last);
  if (isIn(droppedByNmt)) return undefined;
  return isIn(spacesOfNmt) ? 0x20 : codePoint;
}

/** What the steps need to know of pairs of characters. */
interface Properties {
  /** By mark: the rank of its combining class, from 1 on. Others are starters, of rank 0. */
  readonly ranks: ReadonlyMap<number, number>;
  /** By `pairKey`: the character that two become. */
  readonly composites: ReadonlyMap<number, number>;
}

function pairKey(first: number, second: number): number {
  return first * 2 ** 21 + second;
}

let known: Properties | undefined;

export function characterProperties(): Properties {
  known ??= { ranks: combiningRanks(), composites: primaryComposites() };
  return known;
}

export function rankOf(codePoint: number): number {
  return characterProperties().ranks.get(codePoint) ?? 0;
}

/** `String.normalize` sorts the marks: those of one class stay as they stood. */
function combiningRanks(): ReadonlyMap<number, number> {
  const last = '\u0345'; // has the highest class
  const marks = parseRanges(markRanges)
    .map((codePoint) => String.fromCodePoint(codePoint))
    .filter((mark) => mark.normalize('NFD') === mark)
    .filter((mark) => mark === last || (last + mark).normalize('NFD') !== last + mark);
  const sorted = Array.from(marks.join('').normalize('NFD'));
  let rank = 0;
  return new Map(
    sorted.map((mark, i) => {
      const before = sorted[i - 1];
      if (before === undefined || (mark + before).normalize('NFD') !== mark + before) rank++;
      return [mark.codePointAt(0)!, rank];
    }),
  );
}

function primaryComposites(): ReadonlyMap<number, number> {
  const composites = new Map<number, number>();
  for (const codePoint of parseRanges(decomposedRanges)) {
    const pair = canonicalParts(codePoint);
    const char = String.fromCodePoint(codePoint);
    if (pair.length === 2 && char.normalize('NFC') === char) {
      composites.set(pairKey(pair[0]!, pair[1]!), codePoint);
    }
  }
  return composites;
}

/**
 * What a character is first decomposed into canonically: two characters, the first of which may be
 * decomposed again; one, or several at once; itself: it is not.
 */
export function canonicalParts(codePoint: number): readonly number[] {
  const parts = Array.from(String.fromCodePoint(codePoint).normalize('NFD'));
  const first = Array.from(parts.slice(0, -1).join('').normalize('NFC'));
  return codePointsOf(first.length === 1 ? first[0]! + parts.at(-1)! : parts.join(''));
}

/** The character that two become, or undefined. */
export function compose(first: number, second: number): number | undefined {
  const { syllables, leading, vowels, trailing } = hangul;
  const lead = first - leading.first;
  const vowel = second - vowels.first;
  if (lead >= 0 && lead < leading.count && vowel >= 0 && vowel < vowels.count) {
    return syllables.first + (lead * vowels.count + vowel) * trailing.count;
  }
  const tail = second - trailing.none;
  const isOpen = isHangulSyllable(first) && (first - syllables.first) % trailing.count === 0;
  if (isOpen && tail > 0 && tail < trailing.count) return first + tail;
  return characterProperties().composites.get(pairKey(first, second));
}

export function toNormalForm(form: NormalForm, text: string): string {
  const decomposed = Array.from(text, (char) => decomposition(form, char.codePointAt(0)!)).flat();
  const ordered = inCanonicalOrder(decomposed);
  const chars = composes(form) ? composed(ordered) : ordered;
  return chars.map((codePoint) => String.fromCodePoint(codePoint)).join('');
}

/** Each run of marks sorted by rank; those of one rank stay as they stand (Unicode D109). */
function inCanonicalOrder(codePoints: readonly number[]): readonly number[] {
  const ordered: number[] = [];
  let run: { readonly codePoint: number; readonly rank: number }[] = [];
  const endRun = (): void => {
    run.sort((a, b) => a.rank - b.rank);
    for (const { codePoint } of run) ordered.push(codePoint);
    run = [];
  };
  for (const codePoint of codePoints) {
    const rank = rankOf(codePoint);
    if (rank === 0) endRun();
    run.push({ codePoint, rank });
  }
  endRun();
  return ordered;
}

/** A starter takes in what composes with it and is not blocked from it (Unicode D117). */
function composed(codePoints: readonly number[]): readonly number[] {
  const result: number[] = [];
  let starter = -1; // its place in `result`
  let lastRank = 0; // of what is kept behind the starter
  for (const codePoint of codePoints) {
    const rank = rankOf(codePoint);
    const isBlocked = starter < 0 || (result.length > starter + 1 && lastRank >= rank);
    const composite = isBlocked ? undefined : compose(result[starter]!, codePoint);
    if (composite !== undefined) {
      result[starter] = composite;
      continue;
    }
    if (rank === 0) starter = result.length;
    lastRank = rank;
    result.push(codePoint);
  }
  return result;
}
