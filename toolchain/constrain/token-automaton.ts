/**
 * What the bytes of a text may be, to which tokens may follow each other: the automaton over the tokens
 * of a vocabulary, without states from which no tokens lead to an end.
 *
 * Where the text can go on in one way only, and the vocabulary has a token of every byte, the tokens are
 * those that the tokenizer would make of it: a model has seen those, and they are fewer.
 */
import { userError } from '../errors.ts';
import type { ByteAutomaton } from './byte-automaton.ts';
import { blocksOf } from './minimize.ts';

/** State 0 is the start. */
export interface TokenAutomaton {
  /** A row a state: classes of tokens, and the state behind each. */
  readonly rows: readonly (readonly TokenEdge[])[];
  readonly isAccepting: readonly boolean[];
  /** Tokens of a class lead to the same states everywhere; every other token leads nowhere. */
  readonly tokensOfClass: readonly (readonly number[])[];
}

export interface TokenEdge {
  readonly label: number;
  readonly to: number;
}

export interface TokenVocabulary {
  /** What each token stands for; null: it is no text. */
  readonly bytes: readonly (Uint8Array | null)[];
  /** The tokenizer's tokens of a text; null: it is no whole text. */
  readonly tokensOf: (text: Uint8Array) => readonly number[] | null;
}

/** So that no constraint takes more than seconds to compile. */
const mostEdges = 6_000_000;

/** Null: no tokens make any text that is permitted. */
export function tokenAutomaton(
  bytes: ByteAutomaton,
  vocabulary: TokenVocabulary,
): TokenAutomaton | null {
  const explored = explore(bytes, vocabulary);
  const isAlive = liveStates(explored);
  if (!isAlive[0]) return null;
  const kept = explored.rows.map((row, state) =>
    isAlive[state] ? row.filter(({ to }) => isAlive[to]) : [],
  );
  const states = reachable(kept).toSorted(
    (a, b) => explored.byteStates[a]! - explored.byteStates[b]!,
  );
  const index = new Map(states.map((state, at) => [state, at]));
  return minimized({
    rows: states.map((state) =>
      kept[state]!.map(({ label, to }) => ({ label, to: index.get(to)! })),
    ),
    isAccepting: states.map((state) => explored.isAccepting[state]!),
    tokensOfClass: explored.tokensOfClass,
  });
}

/** All that tokens lead to, a class a token; states are numbered as they are met. */
function explore(
  bytes: ByteAutomaton,
  vocabulary: TokenVocabulary,
): TokenAutomaton & { readonly byteStates: readonly number[] } {
  const trie = trieOf(vocabulary.bytes);
  const saysEveryByte = usedBytes(bytes).every((byte) => trie.next[0]!.get(byte)?.tokens.length);
  const index = new Map([[0, 0]]);
  const found = [0];
  const rows: TokenEdge[][] = [];
  let edges = 0;
  for (let at = 0; at < found.length; at++) {
    const walked = walk(bytes, trie, found[at]!);
    const usual = saysEveryByte ? usualToken(bytes, vocabulary, found[at]!) : null;
    const only = walked.find(({ label }) => label === usual);
    const row = (only === undefined ? walked : [only]).map(({ label, to }) => {
      if (!index.has(to)) index.set(to, found.push(to) - 1);
      return { label, to: index.get(to)! };
    });
    edges += row.length;
    if (edges > mostEdges) throw tooManyEdges();
    rows.push(row);
  }
  return {
    rows,
    isAccepting: found.map((state) => bytes.isAccepting[state] === 1),
    tokensOfClass: vocabulary.bytes.map((_, token) => [token]),
    byteStates: found,
  };
}

interface TrieNode {
  readonly byte: number;
  readonly children: TrieNode[];
  /** Those that end here. */
  readonly tokens: number[];
}

interface Trie {
  readonly root: TrieNode;
  /** Children of the root by their byte. */
  readonly next: readonly [ReadonlyMap<number, TrieNode>];
}

function trieOf(texts: readonly (Uint8Array | null)[]): Trie {
  const newNode = (byte: number): TrieNode => ({ byte, children: [], tokens: [] });
  const root = newNode(0);
  for (const [token, text] of texts.entries()) {
    if (text === null || text.length === 0) continue;
    let node = root;
    for (const byte of text) {
      const child = node.children.find((one) => one.byte === byte) ?? newNode(byte);
      if (!node.children.includes(child)) node.children.push(child);
      node = child;
    }
    node.tokens.push(token);
  }
  return { root, next: [new Map(root.children.map((child) => [child.byte, child]))] };
}

/** Where each token leads from a state; the tokens in order. */
function walk(bytes: ByteAutomaton, { root }: Trie, start: number): readonly TokenEdge[] {
  const found: TokenEdge[] = [];
  const visit = (node: TrieNode, state: number): void => {
    for (const child of node.children) {
      const to = bytes.next[state * bytes.classes + bytes.classOfByte[child.byte]!]!;
      if (to < 0) continue;
      for (const label of child.tokens) found.push({ label, to });
      visit(child, to);
    }
  };
  visit(root, start);
  return found.sort((a, b) => a.label - b.label);
}

/** Bytes that some text has. */
export function usedBytes({ classes, classOfByte, next }: ByteAutomaton): readonly number[] {
  const isUsed = new Set<number>();
  for (const [edge, to] of next.entries()) if (to >= 0) isUsed.add(edge % classes);
  return Array.from({ length: 256 }, (_, byte) => byte).filter((byte) =>
    isUsed.has(classOfByte[byte]!),
  );
}

/** More bytes do not change what the first token is. */
const mostForced = 64;

/** The first token that the tokenizer makes of what must follow; null: that may depend on what is behind. */
function usualToken(
  bytes: ByteAutomaton,
  vocabulary: TokenVocabulary,
  start: number,
): number | null {
  const text: number[] = [];
  let state = start;
  let isEnd = false;
  while (text.length < mostForced) {
    const byte = onlyByte(bytes, state);
    isEnd = byte === null && bytes.isAccepting[state] === 1 && isLast(bytes, state);
    if (byte === null) break;
    text.push(byte);
    state = bytes.next[state * bytes.classes + bytes.classOfByte[byte]!]!;
  }
  if (text.length === 0) return null;
  const tokens = vocabulary.tokensOf(Uint8Array.from(text));
  return tokens !== null && (tokens.length > 1 || isEnd) ? tokens[0]! : null;
}

/** The byte that must follow; null: there are several, or the text may end. */
function onlyByte(bytes: ByteAutomaton, state: number): number | null {
  if (bytes.isAccepting[state] === 1) return null;
  const row = bytes.next.subarray(state * bytes.classes, (state + 1) * bytes.classes);
  const label = row.findIndex((to) => to >= 0);
  if (row.some((to, other) => to >= 0 && other !== label)) return null;
  const byte = bytes.classOfByte.indexOf(label);
  return bytes.classOfByte.lastIndexOf(label) === byte ? byte : null;
}

function isLast({ classes, next }: ByteAutomaton, state: number): boolean {
  return next.subarray(state * classes, (state + 1) * classes).every((to) => to < 0);
}

function liveStates({ rows, isAccepting }: TokenAutomaton): readonly boolean[] {
  return distancesOf({ rows, isAccepting }).map(Number.isFinite);
}

/** The fewest tokens from each state to an accepting one. */
export function distancesOf({
  rows,
  isAccepting,
}: Pick<TokenAutomaton, 'rows' | 'isAccepting'>): readonly number[] {
  const into = rows.map((): number[] => []);
  for (const [state, row] of rows.entries()) for (const { to } of row) into[to]!.push(state);
  const distances = isAccepting.map((accepts) => (accepts ? 0 : Number.POSITIVE_INFINITY));
  const found = [...rows.keys()].filter((state) => isAccepting[state]);
  for (const state of found) {
    for (const before of into[state]!) {
      if (Number.isFinite(distances[before]!)) continue;
      distances[before] = distances[state]! + 1;
      found.push(before);
    }
  }
  return distances;
}

function reachable(rows: readonly (readonly TokenEdge[])[]): readonly number[] {
  const found = new Set([0]);
  for (const state of found) for (const { to } of rows[state]!) found.add(to);
  return [...found];
}

/** Tokens that do the same become a class, states that do the same a state. */
function minimized(automaton: TokenAutomaton): TokenAutomaton {
  const classed = joinClasses(automaton);
  const edges = classed.rows.flatMap((row, tail) => row.map((edge) => ({ ...edge, tail })));
  const blocks = blocksOf(
    {
      states: classed.rows.length,
      tails: Int32Array.from(edges, ({ tail }) => tail),
      labels: Int32Array.from(edges, ({ label }) => label),
      heads: Int32Array.from(edges, ({ to }) => to),
    },
    Int32Array.from(classed.isAccepting, Number),
  );
  const order = new Map([...new Set(blocks)].map((block, at) => [block, at]));
  const first = [...order.keys()].map((block) => blocks.indexOf(block));
  // States that are one now may have been what told tokens from each other.
  return joinClasses({
    rows: first.map((state) =>
      classed.rows[state]!.map(({ label, to }) => ({ label, to: order.get(blocks[to]!)! })),
    ),
    isAccepting: first.map((state) => classed.isAccepting[state]!),
    tokensOfClass: classed.tokensOfClass,
  });
}

/** Labels that lead to the same states everywhere become one; those that lead nowhere vanish. */
function joinClasses({ rows, isAccepting, tokensOfClass }: TokenAutomaton): TokenAutomaton {
  const unused = 0;
  const classOf = new Int32Array(tokensOfClass.length);
  let last = unused;
  for (const row of rows) {
    /** What becomes of a class's labels that lead to a state. */
    const split = new Map<string, number>();
    for (const { label, to } of row) {
      const key = `${classOf[label]} ${to}`;
      const known = split.get(key) ?? ++last;
      split.set(key, known);
      classOf[label] = known;
    }
  }
  const labelsOf = new Map<number, number[]>();
  for (const [label, one] of classOf.entries()) {
    if (one === unused) continue;
    const labels = labelsOf.get(one) ?? [];
    labelsOf.set(one, labels);
    labels.push(label);
  }
  const order = new Map([...labelsOf.keys()].map((one, at) => [one, at]));
  return {
    rows: rows.map((row) => {
      const targets = new Map(row.map(({ label, to }) => [order.get(classOf[label]!)!, to]));
      return [...targets].map(([label, to]) => ({ label, to })).sort((a, b) => a.label - b.label);
    }),
    isAccepting,
    tokensOfClass: [...labelsOf.values()].map((labels) =>
      labels.flatMap((label) => tokensOfClass[label]!).sort((a, b) => a - b),
    ),
  };
}

function tooManyEdges() {
  return userError({
    code: 'constraint-too-large',
    message: `the constraint permits tokens in more than ${mostEdges.toLocaleString('en-US')} places`,
    hint: 'Write smaller numbers of repetitions.',
  });
}
