/**
 * The calls of `run` in AssemblyScript: what run-body.ts leaves to the language. Buffers and parameters
 * are addresses in the one memory.
 */
import { assertExhaustive, internalError } from '../errors.ts';
import type { Node } from '../ir/graph.ts';
import type { Buffer, Call, Program, Slot } from '../schedule/program.ts';
import type { CNames } from './c-names.ts';
import { hex } from './c-text.ts';
import { rowsOfSlot, runBody, slotPointer } from './run-body.ts';
import type { PlacedParams } from './wasm-params.ts';

export interface RunRequest {
  readonly program: Program;
  readonly names: CNames;
  readonly kernelName: (node: Node) => string;
  readonly params: (node: Node) => PlacedParams;
  readonly arenaAddress: number;
}

/** Words that may not name a variable beside those of C. */
export const assemblyScriptWords: readonly string[] =
  `any as async await boolean catch class debugger declare delete export extends finally function get
  implements import in instanceof interface let module namespace new null number object of package
  private protected public readonly set string super symbol this throw try type typeof undefined var
  with yield rows count row token tokens segmentStart start min max load store memory run changetype clz
  i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 usize isize v128 i8x16 i16x8 i32x4 i64x2 tokenize spell choose randomState
  isForced isOver isComplete placeOfText segmentStartOfTokens tokensAreTruncated`.split(/\s+/);

/** The statements of the function's body. */
export function runStatements(request: RunRequest): string {
  const { program, names, arenaAddress } = request;
  return runBody(program, {
    comment: (text) => `// ${text}`,
    declaration({ name, dtype, rows, columns, offset, kind }, life) {
      const what = `(${rows}, ${columns}) ${dtype} ${kind}, ${life}`;
      return `const ${names.buffers.get(name)!}: usize = ${hex(arenaAddress + offset)}; // ${what}`;
    },
    loopHead: (variable, begin, end, step) =>
      `for (let ${variable}: i32 = ${begin}; ${variable} < ${end}; ${variable} += ${step})`,
    countLine: (count, variable, step) =>
      `const ${count}: i32 = min<i32>(${step}, tokens - ${variable});`,
    equals: '===',
    call: (call) => [callLine(request, call)],
  });
}

/** The function that copies rows into a buffer. */
export function copyOf({ turned }: Pick<Buffer, 'turned'>): string {
  return turned ? 'lm_turn_rows' : 'lm_copy_rows';
}

function callLine(request: RunRequest, call: Call): string {
  const { program, names, kernelName, params, arenaAddress } = request;
  const { node, inputs, output, scratch, carry } = call;
  const { first, count } = rowsOfSlot(output, call);
  /** Address and stride, in elements. */
  const view = (slot: Slot | null | undefined): readonly string[] => {
    const { turned, rows, columns } = program.buffers[slot!.buffer]!;
    const pointer = slotPointer(program, call, slot!, names, 'bytes');
    return [pointer, String(turned ? rows : columns)];
  };
  const y = view(output);
  if (node === null) {
    const from = inputs[0]!;
    return `${copyOf(program.buffers[output.buffer]!)}(${[...view(from), count, from.columns, ...y].join(', ')});`;
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
      case 'causalAttention':
      case 'windowAttention': {
        const held =
          node.op === 'causalAttention' ? first : `min(${first}, ${node.attrs.rows - 1})`;
        return [count, held, ...inputs.flatMap(view), ...scratchAddress, ...y];
      }
      case 'heavyAttention':
        return [
          ...[first, view(inputs[0])[0]!, ...view(inputs[1]), ...view(inputs[2])],
          ...[names.buffers.get(carry!)!, ...scratchAddress, y[0]!],
        ];
      case 'rotary':
        return [...view(inputs[0]), count, first, ...y];
      case 'attendInputs':
        return [...view(inputs[0]), count, ...block(inputs[1]), ...scratchAddress, ...y];
      case 'layerNorm':
      case 'rmsNorm':
        return [...view(inputs[0]), count, ...y, ...scratchAddress];
      case 'add':
      case 'addLayerNorm':
      case 'gatedProduct':
      case 'scaledAdd':
      case 'residualAdd':
        return [...view(inputs[0]), ...view(inputs[1]), count, ...y, ...scratchAddress];
      case 'lookupRows':
      case 'weightRows':
      case 'clusterRows':
      case 'codebookRows': {
        const ids = node.attrs.index === 'token' ? view(inputs[0])[0]! : '0';
        return [ids, count, first, ...y];
      }
      case 'trigrams':
        return [...view(inputs[0]), count, first, 'tokens', ...y];
      case 'embed':
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
      case 'selectRow':
      case 'concat':
      case 'activation':
        throw internalError(`op '${node.op}' has no kernel call`, node.name);
      default:
        return assertExhaustive(node);
    }
  };
  return `${kernelName(node)}(${[p, ...args()].join(', ')});`;
}
