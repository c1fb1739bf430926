/** The calls of `lm2mcu_run` in C: what run-body.ts leaves to the language. */
import { assertExhaustive, internalError } from '../errors.ts';
import { dtypes } from '../ir/dtypes.ts';
import type { Node } from '../ir/graph.ts';
import type { Buffer, Call, Program, Slot } from '../schedule/program.ts';
import type { CNames, ConstantSuffix } from './c-names.ts';
import { hex, wrap } from './c-text.ts';
import type { NpuImage } from './npu-image.ts';
import { rowsOfSlot, runBody, slotPointer } from './run-body.ts';

export interface RunRequest {
  readonly program: Program;
  readonly names: CNames;
  readonly kernelName: (node: Node) => string;
  /** Null: no call runs on an NPU. */
  readonly image: NpuImage | null;
}

/** The statements of the function's body, indented by two spaces. */
export function runBodyInC(request: RunRequest): string {
  const { program, names } = request;
  return runBody(program, {
    comment: (text) => `/* ${text} */`,
    declaration(buffer, life) {
      const { name, rows, columns, kind, turned } = buffer;
      const type = `${kind === 'input' ? 'const ' : ''}${dtypes[buffer.dtype].c}`;
      const shape = turned ? `(${columns}, ${rows})` : `(${rows}, ${columns})`;
      const comment = `/* ${shape} ${kind}, ${life} */`;
      return `${type} *const ${names.buffers.get(name)!} = ${bufferPointer(buffer)}; ${comment}`;
    },
    loopHead: (variable, begin, end, step) =>
      `for (int32_t ${variable} = ${begin}; ${variable} < ${end}; ${variable} += ${step})`,
    countLine: (count, variable, step) =>
      `const int32_t ${count} = lm_min(${step}, tokens - ${variable});`,
    equals: '==',
    call: (call, depth) =>
      wrap(call.job === null ? callWords(request, call) : jobWords(request, call, call.job), depth),
  });
}

/** `AT` is a macro of the generated file. */
function bufferPointer({ dtype, offset }: Buffer): string {
  return `AT(${dtypes[dtype].c}, ${hex(offset)})`;
}

/** A statement as the words between which it may be broken into lines. */
function callWords({ program, names, kernelName }: RunRequest, call: Call): string[] {
  const { node, inputs, output, scratch, carry } = call;
  const pointer = (slot: Slot): string => slotPointer(program, call, slot, names, 'elements');
  const { first, count } = rowsOfSlot(output, call);
  const stride = (slot: Slot): number => {
    const { turned, rows, columns } = program.buffers[slot.buffer]!;
    return turned ? rows : columns;
  };
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
    const { turned } = program.buffers[output.buffer]!;
    const copy = turned ? 'lm_turn_rows' : 'lm_copy_rows';
    return [`${copy}(${matrix(from)}`, `${count},`, `${from.columns},`, ...end(y)];
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
    case 'windowAttention':
      return [
        start,
        `&(lm_causal_tile){.rows = ${count},`,
        node.op === 'causalAttention'
          ? `.row_start = ${first},`
          : `.row_start = lm_min(${first}, ${node.attrs.rows - 1}),`,
        `.q = ${view(inputs[0])},`,
        `.k = ${view(inputs[1])},`,
        `.v = ${view(inputs[2])},`,
        `.scratch = ${scratchPointer}},`,
        ...end(y),
      ];
    case 'heavyAttention':
      return [
        start,
        `&(lm_heavy_row){.token = ${first},`,
        `.q = ${pointer(inputs[0]!)},`,
        `.keys = ${pointer(inputs[1]!)},`,
        `.key_stride = ${stride(inputs[1]!)},`,
        `.values = ${pointer(inputs[2]!)},`,
        `.value_stride = ${stride(inputs[2]!)},`,
        `.scores = ${names.buffers.get(carry!)!},`,
        `.scratch = ${scratchPointer}},`,
        ...end([y[0]!.slice(0, -1)]),
      ];
    case 'rotary':
      return [start, matrix(inputs[0]), `${count},`, `${first},`, ...end(y)];
    case 'layerNorm':
    case 'rmsNorm':
      return [start, matrix(inputs[0]), `${count},`, ...end(y)];
    case 'add':
    case 'addLayerNorm':
    case 'gatedProduct':
    case 'scaledAdd':
    case 'residualAdd':
      return [start, matrix(inputs[0]), matrix(inputs[1]), `${count},`, ...end(y)];
    case 'lookupRows':
    case 'weightRows':
    case 'clusterRows':
    case 'codebookRows':
      return [
        start,
        `&(lm_token_tile){.ids = ${node.attrs.index === 'token' ? pointer(inputs[0]!) : 'NULL'},`,
        `.rows = ${count},`,
        `.row_start = ${first}},`,
        ...end(y),
      ];
    case 'trigrams':
      return [start, matrix(inputs[0]), `${count},`, `${first},`, 'tokens,', ...end(y)];
    case 'embed':
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
      throw internalError(`op '${node.op}' has no kernel call`, node.name);
    default:
      return assertExhaustive(node);
  }
}

/** The job that ends with `call`. */
function jobWords({ program, names, image }: RunRequest, call: Call, index: number): string[] {
  const { regionBytes } = image!.jobs[index]!;
  const pointers = program.npu!.jobs[index]!.regions.map((slot) => {
    const buffer = program.buffers[slot.buffer]!;
    return buffer.kind === 'scratch'
      ? bufferPointer(buffer)
      : slotPointer(program, call, slot, names, 'elements');
  });
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
