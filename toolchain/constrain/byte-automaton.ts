/**
 * An expression to the smallest deterministic automaton over the bytes of UTF-8: Thompson's
 * construction, then subsets, then minimization. What grows without measure is refused with numbers.
 */
import { userError } from '../errors.ts';
import type { Expression } from './expression.ts';
import { blocksOf } from './minimize.ts';
import { type ByteRanges, utf8Ranges } from './utf8-ranges.ts';

/** Over bytes, deterministic; state 0 is the start, and every state can reach an accepting one. */
export interface ByteAutomaton {
  readonly states: number;
  /** Bytes of a class lead to the same states everywhere. */
  readonly classOfByte: Uint8Array;
  readonly classes: number;
  /** (states, classes) the next state, or −1. */
  readonly next: Int32Array;
  readonly isAccepting: Uint8Array;
}

/** Over bytes, not deterministic; it knows where in the source its edges come from. */
export interface SourceAutomaton {
  readonly start: number;
  readonly end: number;
  readonly free: readonly (readonly number[])[];
  readonly edges: readonly (SourceEdge | undefined)[];
}

/** A state has one edge at most that takes a byte. */
interface SourceEdge {
  readonly first: number;
  readonly last: number;
  readonly to: number;
  readonly origin: string;
}

/** So that no constraint takes more than seconds to compile. */
const mostSourceStates = 200_000;
const mostStates = 10_000;
/** Over all subsets. */
const mostMembers = 20_000_000;

export function sourceAutomaton(expression: Expression): SourceAutomaton {
  const states = sizeOf(expression, new Map());
  if (states > mostSourceStates) throw tooLarge(states);
  const free: number[][] = [];
  const edges: (SourceEdge | undefined)[] = [];
  const newState = (): number => {
    free.push([]);
    edges.push(undefined);
    return free.length - 1;
  };
  /** From `from` by the texts of an expression to the state that is returned. */
  const add = (part: Expression, from: number): number => {
    switch (part.kind) {
      case 'character': {
        const end = newState();
        /** States by the bytes that lead from them to the end: many characters end alike. */
        const known = new Map<string, number>();
        const behind = (ranges: ByteRanges): number => {
          if (ranges.length === 0) return end;
          const key = ranges.join();
          const state = known.get(key) ?? newState();
          if (known.has(key)) return state;
          known.set(key, state);
          const [first, last] = ranges[0]!;
          edges[state] = { first, last, to: behind(ranges.slice(1)), origin: part.origin };
          return state;
        };
        free[from]!.push(...part.set.flatMap(utf8Ranges).map(behind));
        return end;
      }
      case 'sequence':
        return part.parts.reduce((at, one) => add(one, at), from);
      case 'choice': {
        const end = newState();
        for (const option of part.options) {
          const start = newState();
          free[from]!.push(start);
          free[add(option, start)]!.push(end);
        }
        return end;
      }
      case 'repeat': {
        let at = from;
        for (let count = 0; count < part.least; count++) at = add(part.part, at);
        const end = newState();
        free[at]!.push(end);
        if (part.most === Number.POSITIVE_INFINITY) {
          const again = newState();
          free[end]!.push(again);
          free[add(part.part, again)]!.push(end);
          return end;
        }
        for (let count = part.least; count < part.most; count++) {
          const start = newState();
          free[at]!.push(start);
          at = add(part.part, start);
          free[at]!.push(end);
        }
        return end;
      }
    }
  };
  const start = newState();
  return { start, end: add(expression, start), free, edges };
}

/** States that an expression takes, or a little more. */
function sizeOf(expression: Expression, known: Map<Expression, number>): number {
  const before = known.get(expression);
  if (before !== undefined) return before;
  const sum = (parts: readonly Expression[]): number =>
    parts.reduce((total, part) => total + sizeOf(part, known), 0);
  const size = (): number => {
    switch (expression.kind) {
      case 'character':
        return expression.set.flatMap(utf8Ranges).reduce((total, bytes) => total + bytes.length, 1);
      case 'sequence':
        return sum(expression.parts);
      case 'choice':
        return 1 + expression.options.length + sum(expression.options);
      case 'repeat': {
        const { part, least, most } = expression;
        return 2 + (sizeOf(part, known) + 1) * (Number.isFinite(most) ? most : least + 1);
      }
    }
  };
  const found = size();
  known.set(expression, found);
  return found;
}

/** Null: it permits no text. */
export function byteAutomaton(source: SourceAutomaton): ByteAutomaton | null {
  const { classOfByte, classes, firstByte } = byteClasses(source);
  const ids = new Map<string, number>();
  const subsets: Int32Array[] = [];
  const close = closure(source);
  let members = 0;
  const idOf = (seeds: readonly number[]): number => {
    const { subset, seen } = close(seeds);
    members += seen;
    if (members > mostMembers) throw tooManySubsets();
    const key = subset.join();
    const known = ids.get(key);
    if (known !== undefined) return known;
    ids.set(key, subsets.length);
    subsets.push(subset);
    if (subsets.length > mostStates) throw tooManySubsets();
    return subsets.length - 1;
  };
  idOf([source.start]);
  const next: number[] = [];
  for (let state = 0; state < subsets.length; state++) {
    const edges = Array.from(subsets[state]!, (one) => source.edges[one]!).filter(Boolean);
    for (let one = 0; one < classes; one++) {
      const byte = firstByte[one]!;
      const heads = edges.filter(({ first, last }) => first <= byte && byte <= last);
      next.push(heads.length === 0 ? -1 : idOf(heads.map(({ to }) => to)));
    }
  }
  const isAccepting = Uint8Array.from(subsets, (subset) => Number(subset.includes(source.end)));
  return smallest({
    ...{ states: subsets.length, classOfByte, classes, next: Int32Array.from(next), isAccepting },
  });
}

/** Bytes that no edge tells from each other are a class. */
function byteClasses({ edges }: SourceAutomaton) {
  const starts = new Set([0]);
  for (const edge of edges) {
    if (edge === undefined) continue;
    starts.add(edge.first);
    if (edge.last < 0xff) starts.add(edge.last + 1);
  }
  const firstByte = [...starts].toSorted((a, b) => a - b);
  let current = -1;
  const classOfByte = Uint8Array.from({ length: 256 }, (_, byte) =>
    starts.has(byte) ? ++current : current,
  );
  return { classOfByte, classes: firstByte.length, firstByte };
}

/**
 * From some states to all that are reached without a byte, sorted; only those that matter: with an edge,
 * or the end. `seen`: how many were looked at.
 */
function closure({ free, edges, end }: SourceAutomaton) {
  const seenIn = new Int32Array(free.length);
  let round = 0;
  return (seeds: readonly number[]): { readonly subset: Int32Array; readonly seen: number } => {
    round += 1;
    const found: number[] = [];
    const add = (state: number): void => {
      if (seenIn[state] === round) return;
      seenIn[state] = round;
      found.push(state);
    };
    seeds.forEach(add);
    for (let at = 0; at < found.length; at++) free[found[at]!]!.forEach(add);
    const kept = found.filter((state) => state === end || edges[state] !== undefined);
    return { subset: Int32Array.from(kept).sort(), seen: found.length };
  };
}

/** Without states that lead to no end, and each state once; null: the start is one of them. */
function smallest(automaton: ByteAutomaton): ByteAutomaton | null {
  const { classes, next, isAccepting, classOfByte } = automaton;
  const isAlive = liveStates(automaton);
  if (isAlive[0] !== 1) return null;
  const kept = [...isAlive.keys()].filter((state) => isAlive[state] === 1);
  const index = new Map(kept.map((state, at) => [state, at]));
  const edges = kept.flatMap((state, tail) =>
    Array.from({ length: classes }, (_, label) => ({
      tail,
      label,
      head: index.get(next[state * classes + label]!),
    })).filter(({ head }) => head !== undefined),
  );
  const blocks = blocksOf(
    {
      states: kept.length,
      tails: Int32Array.from(edges, ({ tail }) => tail),
      labels: Int32Array.from(edges, ({ label }) => label),
      heads: Int32Array.from(edges, ({ head }) => head!),
    },
    Int32Array.from(kept, (state) => isAccepting[state]!),
  );
  // The start's block comes first, the others as they are met.
  const order = new Map([...new Set(blocks)].map((block, at) => [block, at]));
  const merged = new Int32Array(order.size * classes).fill(-1);
  for (const { tail, label, head } of edges) {
    merged[order.get(blocks[tail]!)! * classes + label] = order.get(blocks[head!]!)!;
  }
  const accepting = new Uint8Array(order.size);
  for (const [at, state] of kept.entries()) {
    accepting[order.get(blocks[at]!)!] = isAccepting[state]!;
  }
  return { states: order.size, classes, classOfByte, next: merged, isAccepting: accepting };
}

function liveStates({ states, classes, next, isAccepting }: ByteAutomaton): Uint8Array {
  const into = Array.from({ length: states }, (): number[] => []);
  for (const [edge, head] of next.entries()) {
    if (head >= 0) into[head]!.push(Math.floor(edge / classes));
  }
  const isAlive = Uint8Array.from(isAccepting);
  const found = [...isAlive.keys()].filter((state) => isAlive[state] === 1);
  for (let state = found.pop(); state !== undefined; state = found.pop()) {
    for (const tail of into[state]!) {
      if (isAlive[tail] === 1) continue;
      isAlive[tail] = 1;
      found.push(tail);
    }
  }
  return isAlive;
}

/** Where in the source the bytes stand that may follow `text`. */
export function originsBehind(source: SourceAutomaton, text: Uint8Array): readonly SourceEdge[] {
  const close = closure(source);
  let { subset } = close([source.start]);
  const edgesOf = (): readonly SourceEdge[] =>
    Array.from(subset, (state) => source.edges[state]).filter((edge) => edge !== undefined);
  for (const byte of text) {
    const heads = edgesOf().filter(({ first, last }) => first <= byte && byte <= last);
    ({ subset } = close(heads.map(({ to }) => to)));
  }
  return edgesOf();
}

function tooManySubsets() {
  return userError({
    code: 'constraint-too-large',
    message: `the constraint takes more than the ${mostStates.toLocaleString('en-US')} states that can be compiled, for it must remember too much of the text`,
    hint: 'Write smaller numbers of repetitions, or options that can be told from each other by how they begin.',
  });
}

function tooLarge(states: number) {
  return userError({
    code: 'constraint-too-large',
    message: `the constraint takes ${states.toLocaleString('en-US')} states as it is written out, more than the ${mostSourceStates.toLocaleString('en-US')} that can be compiled`,
    hint: 'Write smaller numbers of repetitions.',
  });
}
