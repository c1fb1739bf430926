/**
 * A normal form to tables for the device (`kernels/c/normal_form.h`).
 *
 * Characters are runs, each with a value: below `mappedFirst` a class of `formClasses` (a rank is a
 * class of its own), from there on the row of its first character, one more for each that follows:
 *
 *   shifted   one row for all of the run: what the first becomes; the others what follows it
 *   single    the character that it becomes, which may be decomposed again; itself: it is a starter
 *   stable    as pair, and composed again where nothing stands beside it: it stays as it is
 *   pair      the first of two characters, likewise, and in `tailOf` which of `tails` the second is;
 *             the tail 0: there is none
 *   sequence  where in `text` what it becomes stands, all the way: UTF-8, ended by NUL
 *
 * `composites` are the characters that two become, by their seconds (`groups`, the tails from the
 * second on), sorted by their firsts; these are found in the rows.
 */
import { internalError } from '../errors.ts';
import { hangul, isHangulSyllable } from './hangul.ts';
import {
  canonicalParts,
  characterProperties,
  compose,
  composes,
  decomposition,
  type NormalForm,
  rankOf,
} from './normal-form.ts';
import { byteLengths } from './sizes.ts';
import { textPool } from './text-pool.ts';

/** `kernels/c/normal_form.h` has the same. */
export const formClasses = {
  /** No mark, and decomposed into nothing. */
  starter: 0,
  /** From 1 on: marks, by their ranks. */
  mostMarks: 60,
  /** A starter that may become one with the character before it. */
  joining: 61,
  syllable: 62,
} as const;
export const mappedFirst = 63;

export interface CompiledNormalForm {
  readonly planes: Uint16Array;
  readonly runStarts: Uint16Array;
  readonly runValues: Uint16Array;
  /** Low 16 bits of shifted, single and pair; offsets of sequences. */
  readonly rows: Uint16Array;
  readonly tailOf: Uint8Array;
  readonly tails: Uint32Array;
  readonly text: Uint8Array;
  /** Low 16 bits; the plane is that of the tail. */
  readonly composites: Uint16Array;
  readonly groups: Uint16Array;
  /** The first row of each kind but the first. */
  readonly firstRows: {
    readonly single: number;
    readonly stable: number;
    readonly pair: number;
    readonly sequence: number;
  };
  readonly composes: boolean;
  readonly sizeBytes: number;
}

const planeSize = 0x1_0000;
const planeCount = 17;

/** What is stored of a character. */
type Entry =
  | { readonly kind: 'class'; readonly value: number }
  | { readonly kind: 'single'; readonly target: number }
  | { readonly kind: 'stable' | 'pair'; readonly first: number; readonly second: number }
  | { readonly kind: 'sequence'; readonly text: string };

export function compileNormalForm(form: NormalForm): CompiledNormalForm {
  const runs = cheapestRuns(stretchesOf(form));
  const of = (kind: RunKind) => runs.filter((run) => run.kind === kind);
  const rowsOf = (kind: RunKind) => of(kind).flatMap(charactersOf);
  const shifts = of('shifted').map(({ parts }) => targetOf(parts[0]!, 0));
  const singles = rowsOf('single').map(({ stretch, offset }) => targetOf(stretch, offset));
  const stable = rowsOf('stable').map(({ stretch, offset }) => pairOf(stretch, offset));
  const others = rowsOf('pair').map(({ stretch, offset }) => pairOf(stretch, offset));
  const pairs = [...stable, ...others];
  const { text, offsets } = textPool(rowsOf('sequence').map(sequenceOf));
  const composed = compositesOf(form);
  const tails = [...new Set([0, ...composed.keys(), ...pairs.map(({ second }) => second)])];
  if (tails.length > 0x100) throw internalError(`${tails.length} second characters`);
  const firstRows = {
    single: shifts.length,
    stable: shifts.length + singles.length,
    pair: shifts.length + singles.length + stable.length,
    sequence: shifts.length + singles.length + pairs.length,
  };
  const groupSizes = [...composed.values()].map((group) => group.length);
  const arrays = {
    planes: Uint16Array.from({ length: planeCount + 1 }, (_, plane) => {
      const run = runs.findIndex(({ parts }) => parts[0]!.start >= plane * planeSize);
      return run === -1 ? runs.length : run;
    }),
    runStarts: Uint16Array.from(runs, ({ parts }) => parts[0]!.start),
    runValues: runValuesOf(runs, firstRows),
    rows: Uint16Array.from([...shifts, ...singles, ...pairs.map(({ first }) => first), ...offsets]),
    tailOf: Uint8Array.from(pairs, ({ second }) => tails.indexOf(second)),
    tails: Uint32Array.from(tails),
    text,
    composites: Uint16Array.from([...composed.values()].flat()),
    groups: Uint16Array.from([0, ...groupSizes], (_, i) =>
      groupSizes.slice(0, i).reduce((sum, size) => sum + size, 0),
    ),
  };
  return {
    ...arrays,
    firstRows,
    composes: composes(form),
    sizeBytes: byteLengths(Object.values(arrays)),
  };
}

/** Neighbours with one class, or that become neighbours, or are of one kind each. */
interface Stretch {
  readonly start: number;
  readonly length: number;
  /** Of the first. */
  readonly entry: Entry;
}

function stretchesOf(form: NormalForm): readonly Stretch[] {
  const joining = joiningStarters(form);
  const stretches: { start: number; length: number; entry: Entry }[] = [];
  for (let codePoint = 0; codePoint < planeCount * planeSize; codePoint++) {
    const entry = entryOf(form, joining, codePoint);
    const last = stretches.at(-1);
    const continues =
      last !== undefined && codePoint % planeSize !== 0 && follows(entry, last.entry, last.length);
    if (continues) last.length++;
    else stretches.push({ start: codePoint, length: 1, entry });
  }
  return stretches;
}

function follows(entry: Entry, first: Entry, offset: number): boolean {
  if (entry.kind === 'class') return first.kind === 'class' && first.value === entry.value;
  return (
    entry.kind === 'single' && first.kind === 'single' && entry.target === first.target + offset
  );
}

type RunKind = 'class' | 'shifted' | 'single' | 'stable' | 'pair' | 'sequence';

interface Run {
  readonly kind: RunKind;
  readonly parts: readonly Stretch[];
}

const runBytes = 4;
const rowBytes = { single: 2, stable: 3, pair: 3, sequence: 2 } as const;
/** More starters than so many are never cheaper within another run. */
const mostFilled = 8;
const mostParts = 64;

/** What a stretch costs in a run of a kind with others; infinite: it cannot be in one. */
function bytesIn(kind: keyof typeof rowBytes, { entry, length }: Stretch): number {
  const isStarter = entry.kind === 'class' && entry.value === formClasses.starter;
  const isFilling = isStarter && length <= mostFilled && kind !== 'sequence';
  const isPair = kind === 'pair' && (entry.kind === 'single' || entry.kind === 'stable');
  const fits = entry.kind === kind || isFilling || isPair;
  return fits ? rowBytes[kind] * length : Number.POSITIVE_INFINITY;
}

/** The cheapest way to cut the stretches into runs, by dynamic programming from the end. */
function cheapestRuns(stretches: readonly Stretch[]): readonly Run[] {
  const costs = new Array<number>(stretches.length + 1).fill(0);
  const choices = new Array<{ readonly kind: RunKind; readonly end: number }>(stretches.length);
  for (let start = stretches.length - 1; start >= 0; start--) {
    const first = stretches[start]!;
    const consider = (kind: RunKind, end: number, bytes: number): void => {
      const cost = runBytes + bytes + costs[end]!;
      if (cost >= costs[start]!) return;
      costs[start] = cost;
      choices[start] = { kind, end };
    };
    costs[start] = Number.POSITIVE_INFINITY;
    if (first.entry.kind === 'class') consider('class', start + 1, 0);
    if (first.entry.kind === 'single') consider('shifted', start + 1, rowBytes.single);
    for (const kind of ['stable', 'single', 'pair', 'sequence'] as const) {
      let bytes = 0;
      for (let end = start; end < Math.min(stretches.length, start + mostParts); end++) {
        const isOtherPlane = stretches[end]!.start >> 16 !== first.start >> 16;
        bytes += isOtherPlane ? Number.POSITIVE_INFINITY : bytesIn(kind, stretches[end]!);
        if (bytes === Number.POSITIVE_INFINITY) break;
        consider(kind, end + 1, bytes);
      }
    }
  }
  const runs: Run[] = [];
  for (let at = 0; at < stretches.length; at = choices[at]!.end) {
    runs.push({ kind: choices[at]!.kind, parts: stretches.slice(at, choices[at]!.end) });
  }
  return runs;
}

function runValuesOf(
  runs: readonly Run[],
  firstRows: CompiledNormalForm['firstRows'],
): Uint16Array {
  const nextRow = { shifted: 0, ...firstRows };
  return Uint16Array.from(runs, ({ kind, parts }) => {
    const { entry } = parts[0]!;
    if (kind === 'class') return (entry as Extract<Entry, { kind: 'class' }>).value;
    const row = nextRow[kind];
    nextRow[kind] +=
      kind === 'shifted' ? 1 : parts.reduce((sum, stretch) => sum + stretch.length, 0);
    return mappedFirst + row;
  });
}

/** A character of a run, as the `offset`th of a stretch. */
interface Character {
  readonly stretch: Stretch;
  readonly offset: number;
}

function charactersOf({ parts }: Run): readonly Character[] {
  return parts.flatMap((stretch) =>
    Array.from({ length: stretch.length }, (_, offset) => ({ stretch, offset })),
  );
}

/** What it becomes, by the low 16 bits; itself where it is a starter. */
function targetOf({ start, entry }: Stretch, offset: number): number {
  const own = (start + offset) % planeSize;
  if (entry.kind !== 'single') return own;
  const target = entry.target + offset;
  if (target === own) throw internalError(`U+${own.toString(16)} seems to become itself`);
  return target;
}

function pairOf(stretch: Stretch, offset: number) {
  const { entry } = stretch;
  const isPair = entry.kind === 'pair' || entry.kind === 'stable';
  return isPair ? entry : { first: targetOf(stretch, offset), second: 0 };
}

function sequenceOf({ stretch: { entry } }: Character): string {
  return (entry as Extract<Entry, { kind: 'sequence' }>).text;
}

function entryOf(form: NormalForm, joining: ReadonlySet<number>, codePoint: number): Entry {
  const isSurrogate = codePoint >= 0xd800 && codePoint <= 0xdfff;
  if (isSurrogate) return { kind: 'class', value: formClasses.starter };
  if (isHangulSyllable(codePoint)) return { kind: 'class', value: formClasses.syllable };
  const parts = decomposition(form, codePoint);
  if (parts.length === 1 && parts[0] === codePoint) {
    const starter = joining.has(codePoint) ? formClasses.joining : formClasses.starter;
    return { kind: 'class', value: rankOf(codePoint) || starter };
  }
  const canonical = canonicalParts(codePoint);
  const isCanonical = isSame(parts, decomposition({ name: 'NFD', cleansText: false }, codePoint));
  if (isCanonical && canonical.length === 2) {
    const [first, second] = canonical;
    if (first! >> 16 !== second! >> 16) throw internalError('a pair of characters of two planes');
    const isStable =
      composes(form) && !joining.has(parts[0]!) && compose(first!, second!) === codePoint;
    return { kind: isStable ? 'stable' : 'pair', first: first!, second: second! };
  }
  if (parts.length === 1 && parts[0]! < planeSize) return { kind: 'single', target: parts[0]! };
  return { kind: 'sequence', text: String.fromCodePoint(...parts) };
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

/** Starters that may be the second of two characters that become one. */
function joiningStarters(form: NormalForm): ReadonlySet<number> {
  if (!composes(form)) return new Set();
  const { vowels, trailing } = hangul;
  const range = (first: number, count: number): readonly number[] =>
    Array.from({ length: count }, (_, i) => first + i);
  return new Set([
    ...[...characterProperties().composites.values()].map((char) => canonicalParts(char)[1]!),
    ...range(vowels.first, vowels.count),
    ...range(trailing.none + 1, trailing.count - 1),
  ]);
}

/** By second character, in order: what it makes, sorted by the first characters. */
function compositesOf(form: NormalForm): ReadonlyMap<number, readonly number[]> {
  const groups = new Map<number, number[]>();
  if (!composes(form)) return groups;
  const rows = [...characterProperties().composites.values()].flatMap((composite) => {
    const entry = entryOf(form, new Set(), composite);
    // Of others the first character is decomposed for compatibility, and never there.
    const isPair = entry.kind === 'pair' || entry.kind === 'stable';
    return isPair ? [{ composite, ...entry }] : [];
  });
  rows.sort((a, b) => a.second - b.second || a.first - b.first);
  for (const { composite, second } of rows) {
    if (composite >> 16 !== second >> 16) throw internalError(`a composite of another plane`);
    groups.set(second, [...(groups.get(second) ?? []), composite]);
  }
  return groups;
}
