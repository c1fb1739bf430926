/**
 * `lm2mcu_run` as C: the whole forward pass in one function that can be read from top to bottom. It
 * begins with the buffers, each with its shape, place and life; calls have the numbers that the
 * lives are counted in.
 */
import { assertExhaustive, internalError } from '../errors.ts';
import { dtypes } from '../ir/dtypes.ts';
import type { Node } from '../ir/graph.ts';
import type { Buffer, Call, Program, ProgramSegment, Slot } from '../schedule/program.ts';
import type { CNames } from './c-names.ts';
import { commentText, hex, wrap } from './c-text.ts';

export interface RunRequest {
  readonly program: Program;
  readonly names: CNames;
  readonly kernelName: (node: Node) => string;
}

/** The statements of the function's body, indented by two spaces. */
export function runBody(request: RunRequest): string {
  const { program } = request;
  const lines = declarations(request);
  let firstCall = 0;
  for (const segment of program.segments) {
    lines.push('', ...segmentLines(request, segment, firstCall));
    firstCall += segment.calls.length;
  }
  return lines.map((line) => (line === '' ? '' : `  ${line}`)).join('\n');
}

/** `AT` is a macro of the generated file. */
function bufferPointer({ dtype, offset }: Buffer): string {
  return `AT(${dtypes[dtype].c}, ${hex(offset)})`;
}

/** Buffers of one tile, of all tokens, or of the result; scratch stands where it is used. */
function declarations({ program, names }: RunRequest): string[] {
  const state = program.graph.inputs[1];
  return Object.values(program.buffers)
    .filter(({ name, kind }) => kind !== 'scratch' && name !== state)
    .map((buffer) => {
      const { rows, columns, firstCall, lastCall, kind } = buffer;
      const type = `${kind === 'input' ? 'const ' : ''}${dtypes[buffer.dtype].c}`;
      const life = firstCall === lastCall ? `call ${lastCall}` : `calls ${firstCall}-${lastCall}`;
      const comment = `/* (${rows}, ${columns}) ${kind}, ${life} */`;
      return `${type} *const ${names.buffers.get(buffer.name)!} = ${bufferPointer(buffer)}; ${comment}`;
    });
}

function segmentLines(request: RunRequest, segment: ProgramSegment, firstCall: number): string[] {
  const calls = segment.calls.flatMap((call, index) => [
    `/* ${firstCall + index}: ${commentText(call.node?.name ?? `copy of ${call.inputs[0]!.buffer}`)} */`,
    ...wrap(callWords(request, segment, call), segment.rows === 1 ? 2 : 4),
  ]);
  if (segment.rows === 1) return ['/* One row. */', ...calls];
  const step = segment.tileRows;
  return [
    step === 1 ? '/* All tokens. */' : `/* All tokens, ${step} at a time. */`,
    `for (int32_t row = 0; row < tokens; row += ${step}) {`,
    `  const int32_t rows = lm_min(${step}, tokens - row);`,
    ...calls.map((line) => `  ${line}`),
    '}',
  ];
}

/** A statement as the words between which it may be broken into lines. */
function callWords(
  { program, names, kernelName }: RunRequest,
  segment: ProgramSegment,
  { node, inputs, output, scratch }: Call,
): string[] {
  const pointer = (slot: Slot): string => slotPointer(program, segment, slot, names);
  const [row, rows] = segment.rows === 1 ? ['0', '1'] : ['row', 'rows'];
  const stride = (slot: Slot): number => program.buffers[slot.buffer]!.columns;
  const view = (slot: Slot | null | undefined): string => `{${pointer(slot!)}, ${stride(slot!)}}`;
  const matrix = (slot: Slot | null | undefined): string => {
    const isWide = program.buffers[slot!.buffer]!.dtype === 'int16';
    return `(${isWide ? 'lm_wide_rows' : 'lm_rows'})${view(slot)},`;
  };
  const y = [`${pointer(output)},`, String(stride(output))];
  if (node === null) {
    const from = inputs[0]!;
    return ['lm_copy_rows(' + matrix(from), `${rows},`, `${from.columns},`, ...end(y)];
  }
  const scratchPointer = scratch === null ? 'NULL' : bufferPointer(program.buffers[scratch]!);
  const params = `&${names.constants.get(node.output)!}_params,`;
  const start = `${kernelName(node)}(${params}`;
  switch (node.op) {
    case 'linear':
      return [
        start,
        matrix(inputs[0]),
        `${rows},`,
        ...y.with(1, `${y[1]},`),
        `${scratchPointer});`,
      ];
    case 'attention':
      return [
        start,
        `&(lm_attention_tile){.rows = ${rows},`,
        `.row_start = ${row},`,
        `.tokens = tokens,`,
        `.q = ${view(inputs[0])},`,
        `.k = ${view(inputs[1])},`,
        `.v = ${view(inputs[2])},`,
        `.scratch = ${scratchPointer}},`,
        ...end(y),
      ];
    case 'attendInputs':
      return [
        start,
        matrix(inputs[0]),
        `${rows},`,
        matrix(inputs[1]),
        'tokens,',
        `${scratchPointer},`,
        ...end(y),
      ];
    case 'addLayerNorm':
      return [start, matrix(inputs[0]), matrix(inputs[1]), `${rows},`, ...end(y)];
    case 'embedLayerNorm':
      return [
        start,
        `&(lm_token_tile){.ids = ${pointer(inputs[0]!)},`,
        `.rows = ${rows},`,
        `.row_start = ${row},`,
        `.segment_start = state.segment_start},`,
        ...end(y),
      ];
    case 'meanRows':
      return [start, matrix(inputs[0]), 'tokens,', `${pointer(output)});`];
    case 'selectRow':
    case 'concat':
    case 'activation':
    case 'add':
    case 'embed':
    case 'layerNorm':
      throw internalError(`op '${node.op}' has no kernel call`, node.name);
    default:
      return assertExhaustive(node);
  }
}

/** The last words of a call. */
function end(words: readonly string[]): string[] {
  return words.with(-1, `${words.at(-1)});`);
}

function slotPointer(program: Program, segment: ProgramSegment, slot: Slot, names: CNames): string {
  const buffer = program.buffers[slot.buffer]!;
  const terms = [names.buffers.get(slot.buffer)!];
  if (slot.rows === 'last') terms.push(`(tokens - 1) * ${buffer.columns}`);
  const followsTile = slot.rows === 'tile' && buffer.kind !== 'tile' && buffer.rows > 1;
  if (followsTile && segment.rows !== 1) {
    terms.push(buffer.columns === 1 ? 'row' : `row * ${buffer.columns}`);
  }
  if (slot.firstColumn > 0) terms.push(String(slot.firstColumn));
  return terms.join(' + ');
}
