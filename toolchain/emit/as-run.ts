/**
 * `run` as AssemblyScript: the whole forward pass in one function that can be read from top to bottom,
 * the twin of what `c-run.ts` writes in C. Buffers and parameters are addresses in the one memory.
 */
import { assertExhaustive, internalError } from '../errors.ts';
import { dtypes } from '../ir/dtypes.ts';
import type { Node } from '../ir/graph.ts';
import {
  type Call,
  loopsOf,
  type Program,
  type ProgramSegment,
  type Slot,
} from '../schedule/program.ts';
import type { CNames } from './c-names.ts';
import { commentText, hex } from './c-text.ts';
import type { NodeParams } from './wasm-params.ts';

export interface RunRequest {
  readonly program: Program;
  readonly names: CNames;
  readonly kernelName: (node: Node) => string;
  readonly params: (node: Node) => NodeParams;
  readonly arenaAddress: number;
}

/** Words that may not name a variable beside those of C. */
export const assemblyScriptWords: readonly string[] =
  `any as async await boolean catch class debugger declare delete export extends finally function get
  implements import in instanceof interface let module namespace new null number object of package
  private protected public readonly set string super symbol this throw try type typeof undefined var
  with yield rows count row token tokens segmentStart min max load store memory run changetype clz
  i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 usize isize v128 i8x16 i16x8 i32x4 i64x2 tokenize spell`.split(
    /\s+/,
  );

/** The statements of the function's body. */
export function runStatements(request: RunRequest): string {
  const lines = declarations(request);
  let firstCall = 0;
  for (const segment of request.program.segments) {
    lines.push('', ...segmentLines(request, segment, firstCall));
    firstCall += segment.calls.length;
  }
  return lines.map((line) => (line === '' ? '' : `  ${line}`)).join('\n');
}

function declarations({ program, names, arenaAddress }: RunRequest): string[] {
  const state = program.graph.inputs[1];
  return Object.values(program.buffers)
    .filter(({ name, kind }) => kind !== 'scratch' && name !== state)
    .map(({ name, dtype, rows, columns, offset, firstCall, lastCall, kind }) => {
      const life = firstCall === lastCall ? `call ${lastCall}` : `calls ${firstCall}-${lastCall}`;
      const what = `(${rows}, ${columns}) ${dtype} ${kind}, ${life}`;
      return `const ${names.buffers.get(name)!}: usize = ${hex(arenaAddress + offset)}; // ${what}`;
    });
}

function segmentLines(request: RunRequest, segment: ProgramSegment, firstCall: number): string[] {
  const lines = loopsOf(segment.calls).flatMap((calls) =>
    runLines(request, calls, firstCall + segment.calls.indexOf(calls[0]!)),
  );
  if (segment.rows === 1) return ['// One row.', ...lines];
  return loopLines('All tokens', 'row', 'rows', segment.tileRows, lines);
}

/** Calls under one head: those of an inner loop, of the first tile, or of every tile. */
function runLines(request: RunRequest, calls: readonly Call[], firstNumber: number): string[] {
  const { inner, onlyFirst } = calls[0]!;
  const lines = calls.flatMap((call, index) => [
    `// ${firstNumber + index}: ${commentText(call.node?.name ?? `copy of ${call.inputs[0]!.buffer}`)}`,
    callLine(request, call),
  ]);
  if (inner !== null) {
    return loopLines('All tokens again', 'token', 'count', inner.tileRows, lines);
  }
  return onlyFirst ? ['if (row === 0) {', ...lines.map((line) => `  ${line}`), '}'] : lines;
}

function loopLines(
  title: string,
  variable: string,
  count: string,
  step: number,
  body: readonly string[],
): string[] {
  return [
    step === 1 ? `// ${title}.` : `// ${title}, ${step} at a time.`,
    `for (let ${variable}: i32 = 0; ${variable} < tokens; ${variable} += ${step}) {`,
    `  const ${count}: i32 = min<i32>(${step}, tokens - ${variable});`,
    ...body.map((line) => `  ${line}`),
    '}',
  ];
}

/** The rows that a slot stands for. */
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

function callLine(request: RunRequest, call: Call): string {
  const { program, names, kernelName, params, arenaAddress } = request;
  const { node, inputs, output, scratch, carry } = call;
  const { first, count } = rowsOfSlot(output, call);
  /** Address and stride. */
  const view = (slot: Slot | null | undefined): readonly string[] => [
    slotPointer(program, call, slot!, names),
    String(program.buffers[slot!.buffer]!.columns),
  ];
  const y = view(output);
  if (node === null) {
    const from = inputs[0]!;
    return `lm_copy_rows(${[...view(from), count, from.columns, ...y].join(', ')});`;
  }
  const scratchAddress =
    scratch === null ? [] : [hex(arenaAddress + program.buffers[scratch]!.offset)];
  /** An operand that comes block by block: its first row, its rows, and those there are. */
  const block = (slot: Slot | null | undefined): readonly string[] => {
    const rows = rowsOfSlot(slot!, call);
    return [...view(slot), rows.first, rows.count, 'tokens', names.buffers.get(carry!)!];
  };
  const { type, address, rowsAddress } = params(node);
  const p = `changetype<${type}>(${hex(address)})`;
  const args = (): readonly string[] => {
    switch (node.op) {
      case 'linear':
        return [...view(inputs[0]), count, ...y, ...scratchAddress];
      case 'attention':
      case 'normalizedAttention':
        return [...[count, first, 'tokens'], ...inputs.flatMap(view), ...[...scratchAddress, ...y]];
      case 'attendInputs':
        return [...view(inputs[0]), count, ...block(inputs[1]), ...scratchAddress, ...y];
      case 'layerNorm':
        return [...view(inputs[0]), count, ...y, ...scratchAddress];
      case 'add':
      case 'addLayerNorm':
        return [...view(inputs[0]), ...view(inputs[1]), count, ...y, ...scratchAddress];
      case 'lookupRows':
      case 'clusterRows':
      case 'codebookRows': {
        const ids = node.attrs.index === 'token' ? view(inputs[0])[0]! : '0';
        return [ids, count, first, ...y];
      }
      case 'embedLayerNorm': {
        const position =
          inputs[1] === null
            ? [`${hex(rowsAddress)} + ${first} * ${output.columns}`, String(output.columns)]
            : view(inputs[1]);
        const rows = [...view(inputs[0]), ...position, count, first, 'segmentStart'];
        return [...rows, ...y, ...scratchAddress];
      }
      case 'meanRows':
        return [...block(inputs[0]), y[0]!];
      case 'causalAttention':
      case 'rotary':
      case 'gatedProduct':
      case 'residualAdd':
      case 'rmsNorm':
      case 'selectRow':
      case 'concat':
      case 'activation':
      case 'embed':
        throw internalError(`op '${node.op}' has no kernel call`, node.name);
      default:
        return assertExhaustive(node);
    }
  };
  return `${kernelName(node)}(${[p, ...args()].join(', ')});`;
}

/** In bytes; `slot.firstColumn` and rows count elements. */
function slotPointer(program: Program, call: Call, slot: Slot, names: CNames): string {
  const { kind, rows, columns, dtype } = program.buffers[slot.buffer]!;
  const isOfTile = kind === 'tile' || rows === 1;
  const first = !isOfTile
    ? rowsOfSlot(slot, call).first
    : slot.rows === 'last' && rows > 1
      ? `(tokens - 1) % ${rows}`
      : '0';
  const { bytes } = dtypes[dtype];
  const terms = [names.buffers.get(slot.buffer)!];
  if (first !== '0') terms.push(`${first} * ${columns * bytes}`);
  if (slot.firstColumn > 0) terms.push(String(slot.firstColumn * bytes));
  return terms.join(' + ');
}
