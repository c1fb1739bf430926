/**
 * The character map of the device: what the basic tokenizer does with each code point, as runs.
 *
 * Made for one vocabulary: characters whose mapped form holds a character outside the alphabet
 * can only end in an unknown word, so they stay as they are and need no entry. White space,
 * punctuation and stripped marks are kept in full, for they decide where words begin and end.
 *
 *     runStarts[i]  low 16 bits of the first code point of run i; planes[p] is plane p's first run
 *     runActions[i] index into actions: kind | isolated << 3 | argument << 4 (signed)
 */
import { internalError } from '../errors.ts';
import { type CharacterRules, characterAction, characterEdges, markRank } from './characters.ts';
import { hangulSyllables, isHangulSyllable } from './hangul.ts';

/** Kinds of action; `kernels/c/tokenizer.c` has the same. */
export const actionKinds = {
  /** Adds the argument to the code point; 0 keeps it. */
  shift: 0,
  space: 1,
  drop: 2,
  /** Drops, and marks before and after are not put in order together. */
  boundary: 3,
  /** Becomes `table[argument + offset in the run]`; 0 keeps it. */
  table: 4,
  /** Becomes the one to three code points that `sequences` has for it. */
  sequence: 5,
  /** Decomposes as a Hangul syllable. */
  hangul: 6,
  /** Is kept, and ordered among its neighbours by the argument. */
  mark: 7,
} as const;

/** In `ascii`: the lower-cased character, with this bit where it is a word of its own. */
export const asciiIsolated = 0x80;
export const asciiSpace = 0x20;
export const asciiDropped = 0;

/** Columns of `CharacterMap.sequences`. */
export const sequenceColumns = 4;

const asciiEnd = 0x80;
const planeCount = 17;
const planeSize = 0x10000;
const lastCodePoint = 0x10ffff;
/** What stands for a character that no token has: one that the clean-up removes. */
const foreign = 0xfffd;

export interface CharacterMap {
  /** What becomes of each ASCII character: see `asciiIsolated`. */
  readonly ascii: Uint8Array;
  readonly planes: Uint16Array;
  readonly runStarts: Uint16Array;
  readonly runActions: Uint8Array;
  readonly actions: Int32Array;
  readonly table: Uint16Array;
  /** Rows of a code point and what it becomes, up to three and 0; sorted. */
  readonly sequences: Uint32Array;
}

/** `alphabet`: the characters of the tokens that some text can reach. */
export function compileCharacterMap(
  rules: CharacterRules,
  alphabet: ReadonlySet<number>,
): CharacterMap {
  const runs = limitActions(mergeIntoTables(atomicRuns(rules, alphabet)));
  const table: number[] = [];
  const actions = new Map<number, number>();
  const runActions = runs.map(({ action, targets }) => {
    const argument = action.kind === 'table' ? table.length : action.argument;
    if (action.kind === 'table') table.push(...targets.flat());
    const code = actionKinds[action.kind] | (Number(action.isIsolated) << 3) | (argument << 4);
    if (!actions.has(code)) actions.set(code, actions.size);
    return actions.get(code)!;
  });
  if (actions.size > maxActions) throw internalError(`${actions.size} character actions`);
  const sequences = runs.filter(({ action }) => action.kind === 'sequence');
  return {
    ascii: Uint8Array.from({ length: asciiEnd }, (_, codePoint) => asciiEntry(codePoint, rules)),
    planes: Uint16Array.from({ length: planeCount + 1 }, (_, plane) => {
      const index = runs.findIndex(({ start }) => start >= plane * planeSize);
      return index === -1 ? runs.length : index;
    }),
    runStarts: Uint16Array.from(runs, ({ start }) => start % planeSize),
    runActions: Uint8Array.from(runActions),
    actions: Int32Array.from(actions.keys()),
    table: Uint16Array.from(table),
    sequences: Uint32Array.from(
      sequences.flatMap(({ start, targets }) =>
        targets.flatMap((row, i) => [start + i, ...[...row, 0, 0].slice(0, sequenceColumns - 1)]),
      ),
    ),
  };
}

function asciiEntry(codePoint: number, rules: CharacterRules): number {
  const action = characterAction(codePoint, rules);
  if (action.kind === 'dropped') return asciiDropped;
  if (action.kind === 'space') return asciiSpace;
  return action.targets[0]! | (action.kind === 'isolated' ? asciiIsolated : 0);
}

interface Action {
  readonly kind: keyof typeof actionKinds;
  readonly isIsolated: boolean;
  readonly argument: number;
}

/** Code points `start..end` with one action. */
interface Run {
  readonly start: number;
  readonly end: number;
  readonly action: Action;
  /** Of a `sequence` and a `table`: what each code point becomes; else empty. */
  readonly targets: readonly (readonly number[])[];
}

/** The longest runs of one action each, without tables; no run crosses a plane. */
function atomicRuns(rules: CharacterRules, alphabet: ReadonlySet<number>): readonly Run[] {
  const runs: Run[] = [];
  const decomposesHangul = rules.stripAccents && hasHangul(rules, alphabet);
  const ordersMarks = rules.stripAccents && [...alphabet].some((char) => markRank(char) > 0);
  const edges = runEdges(rules, alphabet);
  for (const [index, start] of edges.entries()) {
    const { action, targets } =
      start < asciiEnd // is looked up in `ascii`
        ? simple('shift')
        : decomposesHangul && isHangulSyllable(start)
          ? simple('hangul')
          : mapCharacter(start, rules, alphabet, ordersMarks);
    const end = edges[index + 1] ?? lastCodePoint + 1;
    const last = runs.at(-1);
    const continues =
      last !== undefined &&
      start % planeSize !== 0 &&
      action.kind !== 'sequence' &&
      last.action.kind === action.kind &&
      last.action.isIsolated === action.isIsolated &&
      last.action.argument === action.argument;
    if (continues) runs[runs.length - 1] = { ...last, end };
    else runs.push({ start, end, action, targets });
  }
  return runs;
}

/** From each of these up to the next all code points have one action. */
function runEdges(rules: CharacterRules, alphabet: ReadonlySet<number>): readonly number[] {
  const planes = Array.from({ length: planeCount }, (_, plane) => plane * planeSize);
  const known = [...alphabet].flatMap((char) => [char, char + 1]);
  const edges = new Set([...characterEdges(rules), ...planes, ...known, asciiEnd]);
  return [...edges].filter((edge) => edge <= lastCodePoint).sort((a, b) => a - b);
}

function hasHangul(rules: CharacterRules, alphabet: ReadonlySet<number>): boolean {
  for (let codePoint = hangulSyllables.first; codePoint <= hangulSyllables.last; codePoint++) {
    const action = characterAction(codePoint, rules);
    if (action.kind === 'word' && action.targets.every((jamo) => alphabet.has(jamo))) return true;
  }
  return false;
}

function mapCharacter(
  codePoint: number,
  rules: CharacterRules,
  alphabet: ReadonlySet<number>,
  ordersMarks: boolean,
): Pick<Run, 'action' | 'targets'> {
  const action = characterAction(codePoint, rules);
  if (action.kind === 'space') return simple('space');
  if (action.kind === 'dropped') {
    return simple(ordersMarks && action.isBoundary ? 'boundary' : 'drop');
  }
  const isIsolated = action.kind === 'isolated';
  const { targets } = action;
  const [target] = targets;
  const isKnown = targets.every((char) => alphabet.has(char));
  if (!isKnown)
    return simple('shift', alphabet.has(codePoint) ? foreign - codePoint : 0, isIsolated);
  if (targets.length === 1 && target === codePoint) {
    const rank = markRank(codePoint);
    return rank > 0 && ordersMarks ? simple('mark', rank) : simple('shift', 0, isIsolated);
  }
  const isOrdered = ordersMarks && targets.some((char) => markRank(char) > 0);
  if (targets.length === 1 && target! < planeSize && !isOrdered) {
    return simple('shift', target! - codePoint, isIsolated);
  }
  return { ...simple('sequence', 0, isIsolated), targets: [targets] };
}

function simple(
  kind: Action['kind'],
  argument = 0,
  isIsolated = false,
): Pick<Run, 'action' | 'targets'> {
  return { action: { kind, isIsolated, argument }, targets: [] };
}

/** Bytes of a run and of an action of its own in the compiled map. */
const runBytes = 3;
const actionBytes = 4;
const tableEntryBytes = 2;
const longestTable = 1024;

/** Joins neighbouring shifts into tables where that is smaller, by dynamic programming. */
function mergeIntoTables(runs: readonly Run[]): readonly Run[] {
  const costs = [0];
  /** The first run of the table that ends before run `i`, or `i - 1` where it stays alone. */
  const joinedFrom = [0];
  for (let end = 1; end <= runs.length; end++) {
    const last = runs[end - 1]!;
    const ownBytes = runBytes + (last.action.argument === 0 ? 0 : actionBytes);
    costs[end] = costs[end - 1]! + ownBytes;
    joinedFrom[end] = end - 1;
    for (let from = end - 1; from >= 0 && canJoin(runs[from]!, last); from--) {
      const length = last.end - runs[from]!.start;
      if (length > longestTable) break;
      const cost = costs[from]! + runBytes + actionBytes + length * tableEntryBytes;
      if (cost >= costs[end]! || from === end - 1) continue;
      costs[end] = cost;
      joinedFrom[end] = from;
    }
  }
  const merged: Run[] = [];
  for (let end = runs.length; end > 0; end = joinedFrom[end]!) {
    merged.push(joinRuns(runs.slice(joinedFrom[end]!, end)));
  }
  return merged.reverse();
}

function canJoin(run: Run, last: Run): boolean {
  return (
    run.action.kind === 'shift' &&
    last.action.kind === 'shift' &&
    run.action.isIsolated === last.action.isIsolated &&
    last.end <= planeSize
  );
}

function joinRuns(runs: readonly Run[]): Run {
  const [first] = runs;
  if (runs.length === 1) return first!;
  return {
    start: first!.start,
    end: runs.at(-1)!.end,
    action: { kind: 'table', isIsolated: first!.action.isIsolated, argument: 0 },
    targets: runs.flatMap(shiftTargets),
  };
}

/** Each code point of a shift, as a list of its own. */
function shiftTargets({ start, end, action }: Run): readonly (readonly number[])[] {
  return Array.from({ length: end - start }, (_, i) => [start + i + action.argument]);
}

/** Runs have one byte for their action. */
const maxActions = 0x100;

/** Where a vocabulary needs too many actions, the shortest tables and shifts become sequences. */
function limitActions(runs: readonly Run[]): readonly Run[] {
  const keyOf = ({ start, action: { kind, isIsolated, argument } }: Run) =>
    `${kind} ${isIsolated} ${kind === 'table' ? start : argument}`;
  const sizes = new Map<string, number>();
  for (const run of runs) {
    const key = keyOf(run);
    const { kind, argument } = run.action;
    const isFold = kind === 'table' || (kind === 'shift' && argument !== 0);
    const size = isFold ? run.end - run.start : Number.POSITIVE_INFINITY;
    sizes.set(key, (sizes.get(key) ?? 0) + size);
  }
  const sequenceActions = 2; // isolated or not
  const excess = sizes.size + sequenceActions - maxActions;
  if (excess <= 0) return runs;
  const shortest = [...sizes].sort((a, b) => a[1] - b[1] || (a[0] < b[0] ? -1 : 1));
  const converted = new Set(shortest.slice(0, excess).map(([key]) => key));
  return runs.map((run): Run => {
    if (!converted.has(keyOf(run))) return run;
    const targets = run.action.kind === 'table' ? run.targets : shiftTargets(run);
    return { ...run, action: { ...run.action, kind: 'sequence', argument: 0 }, targets };
  });
}
