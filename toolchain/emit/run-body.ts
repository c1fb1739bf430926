/**
 * The forward pass as one function that can be read from top to bottom, whatever the language: buffers
 * with their shapes and lives, loops over rows, and calls with the numbers that the lives are counted in.
 * What a language writes differently is its `RunLanguage`.
 */
import { assertExhaustive } from '../errors.ts';
import { dtypes } from '../ir/dtypes.ts';
import {
  type Buffer,
  type Call,
  keepsState,
  loopsOf,
  type Program,
  type ProgramSegment,
  type Slot,
} from '../schedule/program.ts';
import type { CNames } from './c-names.ts';
import { commentText } from './c-text.ts';

export interface RunLanguage {
  comment(text: string): string;
  /** `life`: the calls from the first that writes the buffer to the last that reads it. */
  declaration(buffer: Buffer, life: string): string;
  /** `variable` goes over the tokens from `begin` to before `end`, `step` at a time. */
  loopHead(variable: string, begin: string, end: string, step: number): string;
  /** How many of the `step` tokens from `variable` on there are. */
  countLine(count: string, variable: string, step: number): string;
  readonly equals: string;
  /** Of a job its last call stands for all. `depth`: spaces before a line of it. */
  call(call: Call, depth: number): readonly string[];
}

/** The statements of the function's body, indented by two spaces. */
export function runBody(program: Program, language: RunLanguage): string {
  const lines = declarations(program, language);
  let firstCall = 0;
  for (const segment of program.segments) {
    lines.push('', ...segmentLines(program, segment, language, firstCall));
    firstCall += segment.calls.length;
  }
  return lines.map((line) => (line === '' ? '' : `  ${line}`)).join('\n');
}

/** Buffers of one tile, of all tokens, or of the result; scratch stands where it is used. */
function declarations({ graph, buffers }: Program, { declaration }: RunLanguage): string[] {
  const state = graph.inputs[1];
  return Object.values(buffers)
    .filter(({ name, kind }) => kind !== 'scratch' && name !== state)
    .map((buffer) => {
      const { firstCall, lastCall } = buffer;
      const isOne = firstCall === lastCall;
      return declaration(buffer, isOne ? `call ${lastCall}` : `calls ${firstCall}-${lastCall}`);
    });
}

function segmentLines(
  program: Program,
  segment: ProgramSegment,
  language: RunLanguage,
  firstCall: number,
): readonly string[] {
  const lines = loopsOf(segment.calls).flatMap((calls) =>
    runLines(segment, language, calls, firstCall + segment.calls.indexOf(calls[0]!)),
  );
  if (segment.rows === 1) return [language.comment('One row.'), ...lines];
  const [title, begin] = keepsState(program) ? ['All new tokens', 'start'] : ['All tokens', '0'];
  const loop = { title: title!, variable: 'row', begin: begin!, end: 'tokens', count: 'rows' };
  return loopLines(language, { ...loop, step: segment.tileRows }, lines);
}

/** Calls under one head: those of an inner loop, of the first tile, or of every tile. */
function runLines(
  segment: ProgramSegment,
  language: RunLanguage,
  calls: readonly Call[],
  firstNumber: number,
): readonly string[] {
  const { inner, onlyFirst } = calls[0]!;
  const depth = (segment.rows === 1 ? 2 : 4) + (inner !== null || onlyFirst ? 2 : 0);
  const lines = calls.flatMap((call, index) => {
    const what = call.node?.name ?? `copy of ${call.inputs[0]!.buffer}`;
    const title = language.comment(`${firstNumber + index}: ${commentText(what)}`);
    const goesOn = call.job !== null && calls[index + 1]?.job === call.job;
    return goesOn ? [title] : [title, ...language.call(call, depth)];
  });
  if (inner !== null) {
    const { over, tileRows: step } = inner;
    const range =
      over === 'tokens'
        ? { title: 'All tokens again', begin: '0', end: 'tokens' }
        : { title: 'The rows of the tile', begin: 'row', end: 'row + rows' };
    return loopLines(language, { ...range, variable: 'token', count: 'count', step }, lines);
  }
  if (!onlyFirst) return lines;
  return [`if (row ${language.equals} 0) {`, ...lines.map((line) => `  ${line}`), '}'];
}

interface Loop {
  readonly title: string;
  readonly variable: string;
  readonly begin: string;
  readonly end: string;
  /** The name of how many there are. */
  readonly count: string;
  readonly step: number;
}

function loopLines(
  { comment, loopHead, countLine }: RunLanguage,
  { title, variable, begin, end, count, step }: Loop,
  body: readonly string[],
): readonly string[] {
  return [
    comment(step === 1 ? `${title}.` : `${title}, ${step} at a time.`),
    `${loopHead(variable, begin, end, step)} {`,
    ...(isUsed(count, body) ? [`  ${countLine(count, variable, step)}`] : []),
    ...body.map((line) => `  ${line}`),
    '}',
  ];
}

/** Jobs of an NPU do not ask how many rows are left. */
function isUsed(name: string, body: readonly string[]): boolean {
  const word = new RegExp(`\\b${name}\\b`);
  return body.some((line) => !/^\s*\/[*/]/.test(line) && word.test(line));
}

/** The rows that a slot stands for, as expressions. */
export function rowsOfSlot(
  { rows }: Pick<Slot, 'rows'>,
  { inner }: Call,
): { readonly first: string; readonly count: string } {
  switch (rows) {
    case 'tile':
      if (inner === null) return { first: 'row', count: 'rows' };
      return { first: 'token', count: inner.tileRows === 1 ? '1' : 'count' };
    case 'outer':
      return { first: 'row', count: 'rows' };
    case 'all':
      return { first: '0', count: 'tokens' };
    case 'past':
      return { first: '0', count: 'row + rows' };
    case 'ring':
      return { first: 'token', count: '1' };
    case 'first':
      return { first: '0', count: '1' };
    case 'last':
      return { first: '(tokens - 1)', count: '1' };
    default:
      return assertExhaustive(rows);
  }
}

/** Where a slot begins: offsets count elements, as C does, or bytes. */
export function slotPointer(
  program: Program,
  call: Call,
  slot: Slot,
  names: CNames,
  offsets: 'elements' | 'bytes',
): string {
  const { kind, turned, rows, columns, dtype, ring } = program.buffers[slot.buffer]!;
  const isOfTile = kind === 'tile' || rows === 1;
  const rowInTile = (): string => {
    if (slot.rows === 'last' && rows > 1) {
      return `(tokens - 1 - ${keepsState(program) ? 'start' : '0'}) % ${rows}`;
    }
    return call.inner?.over === 'tile' && slot.rows === 'tile' ? '(token - row)' : '0';
  };
  const row = (): string =>
    ring !== null && slot.rows === 'ring'
      ? `lm_ring_row(token, ${ring.rows}, ${ring.pinned})`
      : rowsOfSlot(slot, call).first;
  const first = isOfTile ? rowInTile() : row();
  const unit = offsets === 'bytes' ? dtypes[dtype].bytes : 1;
  const stride = turned ? unit : columns * unit;
  const terms = [names.buffers.get(slot.buffer)!];
  if (first !== '0') terms.push(stride === 1 ? first : `${first} * ${stride}`);
  if (slot.firstColumn > 0) terms.push(String(slot.firstColumn * unit));
  return terms.join(' + ');
}
