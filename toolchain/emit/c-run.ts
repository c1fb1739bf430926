/**
 * `lm2mcu_run` as C: the whole forward pass in one function that can be read from top to bottom, one
 * kernel call a line or a few, with every buffer's shape, place and life in a comment.
 */
import { assertExhaustive, internalError } from '../errors.ts';
import { dtypes } from '../ir/dtypes.ts';
import type { Node } from '../ir/graph.ts';
import type { Buffer, Call, Program, ProgramSegment, Slot } from '../schedule/program.ts';
import { paramsName } from './c-constants.ts';
import { hex, identifier } from './c-text.ts';

export type KernelName = (node: Node) => string;

/** The statements of the function's body, indented by two spaces. */
export function runBody(program: Program, kernelName: KernelName): string {
  const names = bufferNames(program);
  const lines = [
    ...Object.values(program.buffers).map((buffer) => bufferDeclaration(buffer, names)),
  ];
  for (const segment of program.segments) {
    lines.push('', ...segmentLines(program, segment, names, kernelName));
  }
  return lines.map((line) => (line === '' ? '' : `  ${line}`)).join('\n');
}

/** C names of the buffers; an in-place result has a name of its own. */
function bufferNames(program: Program): ReadonlyMap<string, string> {
  return new Map(
    Object.keys(program.buffers).map((name) => [
      name,
      identifier(name.replace('scratch:', 'scratch ').replace('@', ' ')),
    ]),
  );
}

export function bufferPointer(buffer: Buffer): string {
  const type = dtypes[buffer.dtype].c;
  return `(${type} *)(void *)(base + ${hex(buffer.offset)})`;
}

function bufferDeclaration(buffer: Buffer, names: ReadonlyMap<string, string>): string {
  const { rows, columns, firstCall, lastCall, kind } = buffer;
  const constness = kind === 'input' ? 'const ' : '';
  const type = dtypes[buffer.dtype].c;
  const life = `calls ${Math.max(0, firstCall)}-${lastCall}`;
  return `${constness}${type} *const ${names.get(buffer.name)!} = ${bufferPointer(buffer)}; /* (${rows}, ${columns}) ${kind}, ${life} */`;
}

function segmentLines(
  program: Program,
  segment: ProgramSegment,
  names: ReadonlyMap<string, string>,
  kernelName: KernelName,
): string[] {
  const calls = segment.calls.flatMap((call) =>
    callLines(program, segment, call, names, kernelName),
  );
  const title = segment.calls
    .map(({ node }) => node?.name ?? 'copy')
    .filter((name, index, all) => all.indexOf(name) === index);
  const comment = [`/* ${title[0]}`, ...title.slice(1).map((name) => ` * ${name}`)];
  const last = comment.pop()!;
  if (segment.rows === 1) {
    return [...comment, `${last}: one row */`, '{', ...calls.map((line) => `  ${line}`), '}'];
  }
  const step = segment.tileRows;
  return [
    ...comment,
    `${last}: all tokens, ${step} at a time */`,
    `for (int32_t row = 0; row < tokens; row += ${step}) {`,
    `  const int32_t rows = lm_min(${step}, tokens - row);`,
    ...calls.map((line) => `  ${line}`),
    '}',
  ];
}

function callLines(
  program: Program,
  segment: ProgramSegment,
  call: Call,
  names: ReadonlyMap<string, string>,
  kernelName: KernelName,
): string[] {
  const pointer = (slot: Slot): string => slotPointer(program, segment, slot, names);
  const rowsArgument = segment.rows === 1 ? '1' : 'rows';
  const rowArgument = segment.rows === 1 ? '0' : 'row';
  const stride = (slot: Slot): number => program.buffers[slot.buffer]!.columns;
  const view = (slot: Slot): string => `(lm_rows){${pointer(slot)}, ${stride(slot)}}`;
  const { node, inputs, output } = call;
  const y = `${pointer(output)}, ${stride(output)}`;
  if (node === null) {
    const from = inputs[0]!;
    return [`lm_copy_rows(${view(from)}, ${rowsArgument}, ${from.columns}, ${y});`];
  }
  const scratch = call.scratch === null ? 'NULL' : names.get(call.scratch)!;
  const kernel = kernelName(node);
  const p = `&${paramsName(node)}`;
  switch (node.op) {
    case 'linear':
      return [`${kernel}(${p}, ${view(inputs[0]!)}, ${rowsArgument}, ${y}, ${scratch});`];
    case 'attention':
      return [
        `${kernel}(${p},`,
        `    &(lm_attention_tile){.rows = ${rowsArgument},`,
        `                         .row_start = ${rowArgument},`,
        `                         .tokens = tokens,`,
        `                         .q = ${braces(view(inputs[0]!))},`,
        `                         .k = ${braces(view(inputs[1]!))},`,
        `                         .v = ${braces(view(inputs[2]!))},`,
        `                         .scratch = ${scratch}},`,
        `    ${y});`,
      ];
    case 'addLayerNorm':
      return [
        `${kernel}(${p}, ${view(inputs[0]!)},`,
        `    ${view(inputs[1]!)}, ${rowsArgument}, ${y});`,
      ];
    case 'embedLayerNorm':
      return [
        `${kernel}(${p},`,
        `    &(lm_token_tile){.ids = ${pointer(inputs[0]!)},`,
        `                     .rows = ${rowsArgument},`,
        `                     .row_start = ${rowArgument},`,
        `                     .segment_start = segment_start},`,
        `    ${y});`,
      ];
    case 'meanRows':
      return [`${kernel}(${p}, ${view(inputs[0]!)}, tokens, ${pointer(output)});`];
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

/** `(lm_rows){a, b}` as a nested initialiser. */
function braces(view: string): string {
  return view.replace('(lm_rows)', '');
}

function slotPointer(
  program: Program,
  segment: ProgramSegment,
  slot: Slot,
  names: ReadonlyMap<string, string>,
): string {
  const buffer = program.buffers[slot.buffer]!;
  const terms = [names.get(slot.buffer)!];
  if (slot.rows === 'last') terms.push(`(tokens - 1) * ${buffer.columns}`);
  const followsTile = slot.rows === 'tile' && buffer.kind !== 'tile' && buffer.rows > 1;
  if (followsTile && segment.rows !== 1) {
    terms.push(buffer.columns === 1 ? 'row' : `row * ${buffer.columns}`);
  }
  if (slot.firstColumn > 0) terms.push(String(slot.firstColumn));
  return terms.join(' + ');
}
