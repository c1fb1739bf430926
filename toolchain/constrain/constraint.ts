/**
 * What the generated text may be, compiled for a vocabulary: tables for the chip, read by
 * `kernels/c/constraint.c` and its twin `generate/constrained.ts`.
 *
 * Tokens by class, rows of (class, step to the next state), which states share that count along a text, and
 * how many tokens a state is away from a text that is complete. The alternative, an automaton over bytes,
 * needs the vocabulary once more, as a trie that it walks for every token: 8,113 nodes for 4,096 tokens.
 */
import { userError } from '../errors.ts';
import { decodeBpe, tokenizeBpe } from '../tokenizer/bpe/encode.ts';
import type { BpeTokenizer } from '../tokenizer/bpe/tokenizer.ts';
import type { Tokenizer } from '../tokenizer/parse.ts';
import {
  type ByteAutomaton,
  byteAutomaton,
  originsBehind,
  type SourceAutomaton,
  sourceAutomaton,
} from './byte-automaton.ts';
import { commandExpression, parseCommands } from './commands.ts';
import type { Expression } from './expression.ts';
import { parseSchema } from './json-schema.ts';
import { parsePattern } from './pattern.ts';
import {
  distancesOf,
  type TokenAutomaton,
  type TokenVocabulary,
  tokenAutomaton,
  usedBytes,
} from './token-automaton.ts';

export const constraintKinds = ['json-schema', 'pattern', 'commands'] as const;
export type ConstraintKind = (typeof constraintKinds)[number];

/** As the user gave it. */
export interface ConstraintSource {
  readonly kind: ConstraintKind;
  /** The schema, the pattern, or the commands, one a line. */
  readonly text: string;
  /** For messages: the file it came from. */
  readonly file?: string;
}

export interface Constraint {
  readonly kind: ConstraintKind;
  /** Compact ids of the tokens that have a class, ascending; null: all of the vocabulary have one. */
  readonly tokens: Uint16Array | null;
  /** Of each of these tokens. `neverClass`: it leads nowhere. */
  readonly classes: Uint8Array | Uint16Array;
  readonly classCount: number;
  /** Classes from there on have one token each. */
  readonly firstSingle: number;
  /** (states) the row of edges of each state; state 0 is the start. */
  readonly rows: Uint16Array;
  /** (rows + 1) the first edge of each row. */
  readonly rowStarts: Uint16Array;
  /** (edges) */
  readonly edgeClasses: Uint8Array | Uint16Array;
  /** (edges) what to add to the state for the next one, modulo 2^16; so states may share a row. */
  readonly edgeSteps: Uint16Array;
  /** (states) the fewest tokens to a text that is complete; 0: it is. */
  readonly distances: Uint16Array;
  /** Whether the model can say that a text ends. */
  readonly hasEnd: boolean;
}

const neverClass = 0;
/** Of the tokens that end a text: permitted where it is complete. */
export const endClass = 1;
const firstClass = 2;

export interface ConstraintRequest {
  readonly source: ConstraintSource;
  readonly tokenizer: Tokenizer;
  /** Vocabulary id of each compact id. */
  readonly idOrder: Int32Array;
  /** Compact ids. */
  readonly endTokens: readonly number[];
  /** Tokens of the context. */
  readonly maxTokens: number;
}

export interface CompiledConstraint {
  readonly constraint: Constraint;
  readonly notes: readonly string[];
}

export function compileConstraint(request: ConstraintRequest): CompiledConstraint {
  const { source, tokenizer, endTokens, maxTokens } = request;
  if (tokenizer.kind !== 'bpe') throw needsBpe();
  const vocabulary = vocabularyOf(request, tokenizer);
  const written = writtenOut(source);
  if (source.kind === 'commands') checkCommands(source.text, vocabulary);
  const bytes = byteAutomaton(written);
  if (bytes === null) throw permitsNothing('permits no text');
  const automaton = tokenAutomaton(bytes, vocabulary);
  if (automaton === null) throw unsayable(written, bytes, vocabulary);
  if (automaton.rows[0]!.length === 0) throw permitsNothing('permits only the empty text');
  const constraint = pack(automaton, request);
  const least = constraint.distances[0]!;
  if (least >= maxTokens) throw tooLong(least, maxTokens);
  return {
    constraint,
    notes: [
      ...missingNotes(bytes, vocabulary),
      ...(endTokens.length === 0 && hasOpenEnd(automaton) ? [noEndToken] : []),
    ],
  };
}

/** Bytes in flash. */
export function constraintBytes({ tokens, ...arrays }: Constraint): number {
  const { classes, rows, rowStarts, edgeClasses, edgeSteps, distances } = arrays;
  return [tokens, classes, rows, rowStarts, edgeClasses, edgeSteps, distances].reduce(
    (sum, array) => sum + (array?.byteLength ?? 0),
    0,
  );
}

function writtenOut(source: ConstraintSource): SourceAutomaton {
  try {
    return sourceAutomaton(expressionOf(source));
  } catch (cause) {
    // The stack ends before any limit of ours.
    throw cause instanceof RangeError ? nestedTooDeeply() : cause;
  }
}

function expressionOf({ kind, text, file }: ConstraintSource): Expression {
  switch (kind) {
    case 'json-schema':
      return parseSchema(text, file);
    case 'pattern':
      return parsePattern(text, 'the pattern').expression;
    case 'commands':
      return commandExpression(parseCommands(text));
  }
}

function vocabularyOf(
  { idOrder, endTokens }: ConstraintRequest,
  tokenizer: BpeTokenizer,
): TokenVocabulary {
  const index = new Map(Array.from(idOrder, (id, at) => [id, at]));
  // What is tokenized here stands behind other text.
  const inner: BpeTokenizer = { ...tokenizer, prefix: 'never' };
  return {
    bytes: Array.from(idOrder, (id, at) => {
      const text = endTokens.includes(at) ? [] : decodeBpe(tokenizer, [id]);
      return text.length === 0 ? null : Uint8Array.from(text);
    }),
    tokensOf: (text) => {
      const whole = decodeWhole(text);
      return whole === null ? null : tokenizeBpe(inner, whole).map((id) => index.get(id) ?? -1);
    },
  };
}

/** Null: it begins or ends inside a character. */
function decodeWhole(text: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(text);
  } catch {
    return null; // that is what `fatal` says
  }
}

function pack(
  automaton: TokenAutomaton,
  { source, idOrder, endTokens }: ConstraintRequest,
): Constraint {
  const { rows, tokensOfClass } = automaton;
  const isSingle = (label: number): boolean => tokensOfClass[label]!.length === 1;
  const labels = [...tokensOfClass.keys()].toSorted(
    (a, b) => Number(isSingle(a)) - Number(isSingle(b)) || a - b,
  );
  const classOfLabel = new Map(labels.map((label, at) => [label, at + firstClass]));
  const classOf = new Map<number, number>(endTokens.map((token) => [token, endClass]));
  for (const [label, tokens] of tokensOfClass.entries()) {
    for (const token of tokens) classOf.set(token, classOfLabel.get(label)!);
  }
  const classCount = firstClass + labels.length;
  const toArray = (classes: readonly number[]): Uint8Array | Uint16Array =>
    classCount > 0x100 ? Uint16Array.from(classes) : Uint8Array.from(classes);
  const classesOf = (tokens: readonly number[]) =>
    toArray(tokens.map((token) => classOf.get(token) ?? neverClass));
  const listed = [...classOf.keys()].toSorted((a, b) => a - b);
  const every = classesOf([...idOrder.keys()]);
  const few = classesOf(listed);
  const isListed = few.byteLength + 2 * listed.length < every.byteLength;
  const shared = shareRows(rows, classOfLabel);
  return {
    kind: source.kind,
    tokens: isListed ? Uint16Array.from(listed) : null,
    classes: isListed ? few : every,
    classCount,
    firstSingle: firstClass + labels.filter((label) => !isSingle(label)).length,
    rows: shared.rows,
    rowStarts: shared.rowStarts,
    edgeClasses: toArray(shared.edges.map(([label]) => label)),
    edgeSteps: Uint16Array.from(shared.edges, ([, step]) => step),
    distances: Uint16Array.from(distancesOf(automaton)),
    hasEnd: endTokens.length > 0,
  };
}

type Step = readonly [label: number, step: number];

/** Rows that differ only in where they begin are one. */
function shareRows(rows: TokenAutomaton['rows'], classOfLabel: ReadonlyMap<number, number>) {
  const known = new Map<string, number>();
  const rowStarts = [0];
  const edges: Step[] = [];
  const rowOf = rows.map((row, state) => {
    const steps = row
      .map(({ label, to }): Step => [classOfLabel.get(label)!, (to - state) & 0xffff])
      .toSorted(([a], [b]) => a - b);
    const key = steps.join();
    const index = known.get(key) ?? known.size;
    if (known.has(key)) return index;
    known.set(key, index);
    edges.push(...steps);
    rowStarts.push(edges.length);
    return index;
  });
  if (edges.length > mostEdges) throw tooManyEdges(edges.length);
  return { rows: Uint16Array.from(rowOf), rowStarts: Uint16Array.from(rowStarts), edges };
}

/** Rows begin at 16 bits. */
const mostEdges = 0xffff;

/** Whether a text that is complete may go on. */
function hasOpenEnd({ rows, isAccepting }: TokenAutomaton): boolean {
  return rows.some((row, state) => isAccepting[state] && row.length > 0);
}

const noEndToken =
  'The model has no end token: where a text that is permitted may go on, it does, up to --max-new tokens.';

/** Of bytes that no token has. */
function missingNotes(bytes: ByteAutomaton, vocabulary: TokenVocabulary): readonly string[] {
  const has = new Set(vocabulary.bytes.flatMap((text) => [...(text ?? [])]));
  const missing = usedBytes(bytes).filter((byte) => !has.has(byte));
  if (missing.length === 0) return [];
  const names = missing.slice(0, 5).map((byte) => `0x${byte.toString(16).padStart(2, '0')}`);
  const more = missing.length > names.length ? ', …' : '';
  return [
    `The vocabulary has no token with ${missing.length} of the bytes that the constraint permits (${names.join(', ')}${more}): texts with them are not generated.`,
  ];
}

/** How far tokens get into a text. */
function sayable(text: Uint8Array, { bytes }: TokenVocabulary): number {
  const known = new Set(bytes.map((token) => (token === null ? '' : latin1(token))));
  const longest = bytes.reduce((most, token) => Math.max(most, token?.length ?? 0), 0);
  const whole = latin1(text);
  const ends = [0];
  for (const start of ends) {
    for (let end = start + 1; end <= Math.min(whole.length, start + longest); end++) {
      if (known.has(whole.slice(start, end)) && !ends.includes(end)) ends.push(end);
    }
  }
  return Math.max(...ends);
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

function checkCommands(file: string, vocabulary: TokenVocabulary): void {
  for (const { text, origin } of parseCommands(file)) {
    const bytes = new TextEncoder().encode(text);
    const end = sayable(bytes, vocabulary);
    if (end < bytes.length) throw cannotSay(bytes, end, origin);
  }
}

/** By one of the shortest texts that are permitted, for which tokens are missing as for any other. */
function unsayable(written: SourceAutomaton, bytes: ByteAutomaton, vocabulary: TokenVocabulary) {
  const text = shortestText(bytes);
  const end = sayable(text, vocabulary);
  const edges = originsBehind(written, text.subarray(0, end));
  const origin = edges.find(({ first, last }) => first <= text[end]! && text[end]! <= last)?.origin;
  return cannotSay(text, end, origin ?? 'the constraint');
}

function shortestText({ classes, classOfByte, next, isAccepting }: ByteAutomaton): Uint8Array {
  const texts = new Map<number, readonly number[]>([[0, []]]);
  for (const [state, text] of texts) {
    if (isAccepting[state] === 1) return Uint8Array.from(text);
    for (let label = 0; label < classes; label++) {
      const to = next[state * classes + label]!;
      if (to >= 0 && !texts.has(to)) texts.set(to, [...text, classOfByte.indexOf(label)]);
    }
  }
  return new Uint8Array();
}

function cannotSay(text: Uint8Array, end: number, origin: string) {
  const before = new TextDecoder().decode(text.subarray(0, end));
  // From the first byte of the character on.
  let start = end;
  while (start > 0 && (text[start]! & 0xc0) === 0x80) start--;
  const [character] = new TextDecoder().decode(text.subarray(start));
  const behind = end === 0 ? 'at the start of a text' : `behind ${JSON.stringify(before)}`;
  return userError({
    code: 'constraint-not-sayable',
    message: `the vocabulary has no tokens that say ${JSON.stringify(character)} ${behind}, as the constraint demands`,
    where: origin,
    hint: 'Permit only characters that the tokenizer knows; lm2mcu inspect <model> says how many tokens it has.',
  });
}

function permitsNothing(problem: string) {
  return userError({
    code: 'constraint-permits-nothing',
    message: `the constraint ${problem}`,
    hint: 'Give one that at least one text meets.',
  });
}

function nestedTooDeeply() {
  return userError({
    code: 'constraint-too-large',
    message: 'the constraint is nested too deeply',
    hint: 'Write it with fewer groups, or schemas, within each other.',
  });
}

function tooLong(least: number, maxTokens: number) {
  return userError({
    code: 'constraint-too-long',
    message: `the shortest text that the constraint permits takes ${least} tokens, and with a prompt it must fit into ${maxTokens}`,
    hint: 'Build with a larger --max-tokens, or permit shorter texts.',
  });
}

function tooManyEdges(edges: number) {
  return userError({
    code: 'constraint-too-large',
    message: `the constraint needs a table of ${edges.toLocaleString('en-US')} entries, more than the ${mostEdges.toLocaleString('en-US')} that the chip can address`,
    hint: 'Write smaller numbers of repetitions, or fewer options.',
  });
}

function needsBpe() {
  return userError({
    code: 'constraint-needs-bpe',
    message:
      'a constraint needs a tokenizer of byte-level BPE: the tokens of this model do not say what text they make',
    hint: 'Build a model with a tokenizer.json of BPE, or leave the constraint out.',
  });
}
