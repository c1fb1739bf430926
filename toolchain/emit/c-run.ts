/**
 * `lm2mcu_run` as C: the whole forward pass in one function that can be read from top to bottom. It
 * begins with the buffers, each with its shape, place and life; calls have the numbers that the
 * lives are counted in.
 */
import { assertExhaustive, internalError } from '../errors.ts';
import { dtypes } from '../ir/dtypes.ts';
import type { Node } from '../ir/graph.ts';
import {
  type Buffer,
  type Call,
  keepsState,
  loopsOf,
  type Program,
  type ProgramSegment,
  type Slot,
} from '../schedule/program.ts';
import type { CNames, ConstantSuffix } from './c-names.ts';
import { commentText, hex, wrap } from './c-text.ts';
import type { NpuImage } from './npu-image.ts';

export interface RunRequest {
  readonly program: Program;
  readonly names: CNames;
  readonly kernelName: (node: Node) => string;
  /** Null: no call runs on an NPU. */
  readonly image: NpuImage | null;
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
  const lines = loopsOf(segment.calls).flatMap((calls) =>
    runLines(request, segment, calls, firstCall + segment.calls.indexOf(calls[0]!)),
  );
  if (segment.rows === 1) return ['/* One row. */', ...lines];
  return keepsState(request.program)
    ? loopLines('All new tokens', 'row', 'start', 'rows', segment.tileRows, lines)
    : loopLines('All tokens', 'row', '0', 'rows', segment.tileRows, lines);
}

/** Calls under one head: those of an inner loop, of the first tile, or of every tile. */
function runLines(
  request: RunRequest,
  segment: ProgramSegment,
  calls: readonly Call[],
  firstNumber: number,
): string[] {
  const { inner, onlyFirst } = calls[0]!;
  const depth = (segment.rows === 1 ? 2 : 4) + (inner !== null || onlyFirst ? 2 : 0);
  const lines = calls.flatMap((call, index) => {
    const comment = `/* ${firstNumber + index}: ${commentText(call.node?.name ?? `copy of ${call.inputs[0]!.buffer}`)} */`;
    if (call.job === null) return [comment, ...wrap(callWords(request, call), depth)];
    const isLast = calls[index + 1]?.job !== call.job;
    return isLast ? [comment, ...wrap(jobWords(request, call, call.job), depth)] : [comment];
  });
  if (inner !== null) {
    return loopLines('All tokens again', 'token', '0', 'count', inner.tileRows, lines);
  }
  return onlyFirst ? ['if (row == 0) {', ...lines.map((line) => `  ${line}`), '}'] : lines;
}

function loopLines(
  title: string,
  variable: string,
  begin: string,
  count: string,
  step: number,
  body: readonly string[],
): string[] {
  return [
    step === 1 ? `/* ${title}. */` : `/* ${title}, ${step} at a time. */`,
    `for (int32_t ${variable} = ${begin}; ${variable} < tokens; ${variable} += ${step}) {`,
    ...(isUsed(count, body)
      ? [`  const int32_t ${count} = lm_min(${step}, tokens - ${variable});`]
      : []),
    ...body.map((line) => `  ${line}`),
    '}',
  ];
}

/** Jobs of an NPU do not ask how many rows are left. */
function isUsed(name: string, body: readonly string[]): boolean {
  const word = new RegExp(`\\b${name}\\b`);
  return body.some((line) => !line.trimStart().startsWith('/*') && word.test(line));
}

/** The rows that a slot stands for, as C expressions. */
function rowsOfSlot(
  { rows }: Pick<Slot, 'rows'>,
  { inner }: Call,
): { readonly first: string; readonly count: string } {
  switch (rows) {
    case 'tile':
      return inner === null ? { first: 'row', count: 'rows' } : { first: 'token', count: 'count' };
    case 'outer':
      return { first: 'row', count: 'rows' };
    case 'all':
      return { first: '0', count: 'tokens' };
    case 'past':
      return { first: '0', count: 'row + rows' };
    case 'first':
      return { first: '0', count: '1' };
    case 'last':
      return { first: '(tokens - 1)', count: '1' };
    default:
      return assertExhaustive(rows);
  }
}

/** A statement as the words between which it may be broken into lines. */
function callWords({ program, names, kernelName }: RunRequest, call: Call): string[] {
  const { node, inputs, output, scratch, carry } = call;
  const pointer = (slot: Slot): string => slotPointer(program, call, slot, names);
  const { first, count } = rowsOfSlot(output, call);
  const stride = (slot: Slot): number => program.buffers[slot.buffer]!.columns;
  const view = (slot: Slot | null | undefined): string => `{${pointer(slot!)}, ${stride(slot!)}}`;
  const matrix = (slot: Slot | null | undefined): string => {
    const isWide = program.buffers[slot!.buffer]!.dtype === 'int16';
    return `(${isWide ? 'lm_wide_rows' : 'lm_rows'})${view(slot)},`;
  };
  /** An operand that comes block by block. */
  const block = (slot: Slot | null | undefined): string[] => {
    const rows = rowsOfSlot(slot!, call);
    return [
      `&(lm_block){.x = ${view(slot)},`,
      `.first = ${rows.first},`,
      `.rows = ${rows.count},`,
      '.tokens = tokens,',
      `.carry = ${names.buffers.get(carry!)!}},`,
    ];
  };
  /** A constant that has a row for each token there can be. */
  const constantRows = (suffix: ConstantSuffix): string => {
    const { columns } = output;
    return `{${names.constants.get(node!.output)!}_${suffix} + ${first} * ${columns}, ${columns}}`;
  };
  const y = [`${pointer(output)},`, String(stride(output))];
  if (node === null) {
    const from = inputs[0]!;
    return ['lm_copy_rows(' + matrix(from), `${count},`, `${from.columns},`, ...end(y)];
  }
  const scratchPointer = scratch === null ? 'NULL' : bufferPointer(program.buffers[scratch]!);
  const attentionTile = (): string[] => [
    `&(lm_attention_tile){.rows = ${count},`,
    `.row_start = ${first},`,
    '.tokens = tokens,',
    `.q = ${view(inputs[0])},`,
    `.k = ${view(inputs[1])},`,
    `.v = ${view(inputs[2])},`,
    `.scratch = ${scratchPointer}},`,
  ];
  const params = `&${names.constants.get(node.output)!}_params,`;
  const start = `${kernelName(node)}(${params}`;
  if (call.attention !== null) {
    return [
      `if (!lm_npu_attention_s8_s8(&${names.attentions[call.attention]!},`,
      ...attentionTile(),
      ...y.with(-1, `${y.at(-1)!}))`),
      'return LM2MCU_ERROR_NPU;',
    ];
  }
  switch (node.op) {
    case 'linear':
      return [
        start,
        matrix(inputs[0]),
        `${count},`,
        ...y.with(1, `${y[1]},`),
        `${scratchPointer});`,
      ];
    case 'attention':
    case 'normalizedAttention':
      return [start, ...attentionTile(), ...end(y)];
    case 'attendInputs':
      return [
        start,
        matrix(inputs[0]),
        `${count},`,
        ...block(inputs[1]),
        `${scratchPointer},`,
        ...end(y),
      ];
    case 'causalAttention':
      return [
        start,
        `&(lm_causal_tile){.rows = ${count},`,
        `.row_start = ${first},`,
        `.q = ${view(inputs[0])},`,
        `.k = ${view(inputs[1])},`,
        `.v = ${view(inputs[2])},`,
        `.scratch = ${scratchPointer}},`,
        ...end(y),
      ];
    case 'rotary':
      return [start, matrix(inputs[0]), `${count},`, `${first},`, ...end(y)];
    case 'layerNorm':
    case 'rmsNorm':
      return [start, matrix(inputs[0]), `${count},`, ...end(y)];
    case 'add':
    case 'addLayerNorm':
    case 'gatedProduct':
    case 'residualAdd':
      return [start, matrix(inputs[0]), matrix(inputs[1]), `${count},`, ...end(y)];
    case 'lookupRows':
    case 'clusterRows':
    case 'codebookRows':
      return [
        start,
        `&(lm_token_tile){.ids = ${node.attrs.index === 'token' ? pointer(inputs[0]!) : 'NULL'},`,
        `.rows = ${count},`,
        `.row_start = ${first}},`,
        ...end(y),
      ];
    case 'embedLayerNorm':
      return [
        start,
        `&(lm_embedding_tile){.word = ${view(inputs[0])},`,
        `.position = ${inputs[1] === null ? constantRows('position') : view(inputs[1])},`,
        `.rows = ${count},`,
        `.row_start = ${first},`,
        `.segment_start = state.segment_start},`,
        ...end(y),
      ];
    case 'meanRows':
      return [start, ...block(inputs[0]), `${pointer(output)});`];
    case 'selectRow':
    case 'concat':
    case 'activation':
    case 'embed':
      throw internalError(`op '${node.op}' has no kernel call`, node.name);
    default:
      return assertExhaustive(node);
  }
}

/** The job that ends with `call`. */
function jobWords({ program, names, image }: RunRequest, call: Call, index: number): string[] {
  const { regionBytes } = image!.jobs[index]!;
  const pointers = program.npu!.jobs[index]!.regions.map((slot) =>
    slotPointer(program, call, slot, names),
  );
  const words = (items: readonly string[]) =>
    items.map((item, at) => (at < items.length - 1 ? `${item},` : item));
  return [
    `if (!lm_npu_run(&${names.jobs[index]!},`,
    '(void *const[]){(void *)(uintptr_t)model_npu_constants,',
    ...words(pointers).with(-1, `${pointers.at(-1)!}},`),
    '(const uint32_t[]){sizeof model_npu_constants,',
    ...words(regionBytes.slice(1).map((bytes) => `${bytes}u`)).with(
      -1,
      `${regionBytes.at(-1)!}u}))`,
    ),
    'return LM2MCU_ERROR_NPU;',
  ];
}

/** The last words of a call. */
function end(words: readonly string[]): string[] {
  return words.with(-1, `${words.at(-1)});`);
}

function slotPointer(program: Program, call: Call, slot: Slot, names: CNames): string {
  const { kind, rows, columns } = program.buffers[slot.buffer]!;
  if (kind === 'scratch') return bufferPointer(program.buffers[slot.buffer]!);
  const isOfTile = kind === 'tile' || rows === 1;
  const first = !isOfTile
    ? rowsOfSlot(slot, call).first
    : slot.rows === 'last' && rows > 1
      ? `(tokens - 1 - ${keepsState(program) ? 'start' : '0'}) % ${rows}`
      : '0';
  const terms = [names.buffers.get(slot.buffer)!];
  if (first !== '0') terms.push(columns === 1 ? first : `${first} * ${columns}`);
  if (slot.firstColumn > 0) terms.push(String(slot.firstColumn));
  return terms.join(' + ');
}
