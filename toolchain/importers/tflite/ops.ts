/** TensorFlow Lite's ops as primitives, by their number in BuiltinOperator. */
import { userError } from '../../errors.ts';
import type { PrimitiveBuilder } from '../primitive/build.ts';
import { addWindow } from '../primitive/compose.ts';
import type { BinaryName, UnaryName } from '../primitive/elementwise.ts';
import type { ReduceKind } from '../primitive/graph.ts';
import { integers, listOf, scalar, type Value } from '../primitive/value.ts';
import type { Table } from './flatbuffer.ts';

export interface TfliteContext {
  readonly builder: PrimitiveBuilder;
  readonly options: Table | undefined;
  /** Real values; '' where absent. */
  readonly inputs: readonly string[];
  readonly outputTypes: readonly ('float' | 'int' | 'bool')[];
  constant(name: string): Value | undefined;
}

/** Returns the outputs. */
export type TfliteConverter = (context: TfliteContext) => readonly string[];

interface OpRow {
  readonly name: string;
  readonly least: number;
  readonly convert: TfliteConverter;
}

const row = (name: string, least: number, convert: TfliteConverter): OpRow => ({
  ...{ name, least, convert },
});

const unary = (name: string, of: UnaryName): OpRow =>
  row(name, 1, ({ builder, inputs }) => [builder.add('unary', { function: of }, [inputs[0]!])]);

/** Arithmetic may have an activation behind it. */
const binary = (name: string, of: BinaryName, hasActivation = false): OpRow =>
  row(name, 2, ({ builder, inputs, options }) => {
    const x = builder.add('binary', { function: of }, [inputs[0]!, inputs[1]!]);
    return [hasActivation ? activated(builder, x, options?.int8(0) ?? 0) : x];
  });

const reduce = (name: string, kind: ReduceKind): OpRow =>
  row(name, 2, ({ builder, inputs, options }) => [
    builder.add('reduce', { kind, keepAxes: options?.int8(0) === 1 }, [inputs[0]!, inputs[1]!]),
  ]);

const identity = (name: string): OpRow =>
  row(name, 1, ({ builder, inputs }) => [builder.add('identity', {}, [inputs[0]!])]);

/** ActivationFunctionType. */
function activated(builder: PrimitiveBuilder, x: string, activation: number): string {
  const functions: Readonly<Record<number, UnaryName>> = {
    ...{ 1: 'relu', 3: 'relu6', 4: 'hyperbolicTangent' },
  };
  if (activation === 0) return x;
  const name = functions[activation];
  return name === undefined
    ? builder.add('opaque', { what: 'activation' }, [x])
    : builder.add('unary', { function: name }, [x]);
}

function opaque(context: TfliteContext): readonly string[] {
  return context.outputTypes.map(() =>
    context.builder.add(
      'opaque',
      { what: 'op' },
      context.inputs.filter((name) => name !== ''),
    ),
  );
}

/** x·Wᵀ + b; without `keep_num_dims` all but the last axis become one. */
const fullyConnected: TfliteConverter = ({ builder, inputs, options, constant }) => {
  const [x = '', weight = '', bias = ''] = inputs;
  const columns = constant(weight)?.shape[1];
  const flat =
    options?.int8(2) === 1 || columns === undefined
      ? x
      : builder.add('reshape', { zeroCopies: false }, [x, builder.integers([-1, columns])]);
  const product = builder.add('matmul', {}, [flat, builder.add('swapLastAxes', {}, [weight])]);
  const sum = bias === '' ? product : builder.add('binary', { function: 'add' }, [product, bias]);
  return [activated(builder, sum, options?.int8(0) ?? 0)];
};

const batchMatmul: TfliteConverter = ({ builder, inputs, options }) => {
  const operands = [0, 1].map((index) =>
    options?.int8(index) === 1 ? builder.add('swapLastAxes', {}, [inputs[index]!]) : inputs[index]!,
  );
  return [builder.add('matmul', {}, operands)];
};

const stack: TfliteConverter = ({ builder, inputs, options }) => {
  const axis = options?.int32(1) ?? 0;
  const axes = builder.integers([axis]);
  const parts = inputs.map((input) => builder.add('unsqueeze', {}, [input, axes]));
  return [builder.add('concat', { axis }, parts)];
};

const unpack: TfliteConverter = ({ builder, inputs, options, outputTypes }) =>
  outputTypes.map((_, index) => {
    const at = builder.constant(scalar('int', index));
    return builder.add('gather', { axis: options?.int32(1) ?? 0 }, [inputs[0]!, at]);
  });

const split =
  (x: number, axisInput: number, sizes: number | null): TfliteConverter =>
  (context) => {
    const { builder, inputs, outputTypes, constant } = context;
    const value = constant(inputs[axisInput]!);
    if (value === undefined) return opaque(context);
    const axis = listOf(value)[0] ?? 0;
    const operands = sizes === null ? [inputs[x]!] : [inputs[x]!, inputs[sizes]!];
    return outputTypes.map((_, index) =>
      builder.add('split', { axis, index, count: outputTypes.length }, operands),
    );
  };

const gather: TfliteConverter = (context) => {
  const { builder, inputs, options } = context;
  if ((options?.int32(1) ?? 0) !== 0) return opaque(context);
  return [builder.add('gather', { axis: options?.int32(0) ?? 0 }, [inputs[0]!, inputs[1]!])];
};

const slice: TfliteConverter = ({ builder, inputs }) => [
  addWindow(builder, inputs[0]!, inputs[1]!, inputs[2]!),
];

const stridedSlice: TfliteConverter = ({ builder, inputs, options }) => {
  const mask = (field: number): number => options?.int32(field) ?? 0;
  const attrs = {
    ...{ beginMask: mask(0), endMask: mask(1), ellipsisMask: mask(2) },
    ...{ newAxisMask: mask(3), shrinkAxisMask: mask(4) },
  };
  return [builder.add('stridedSlice', attrs, inputs.slice(0, 4))];
};

const oneHot: TfliteConverter = ({ builder, inputs, options }) => {
  const axes = builder.integers([0]);
  const [on, off] = [inputs[2]!, inputs[3]!].map((name) =>
    builder.add('unsqueeze', {}, [name, axes]),
  ) as [string, string];
  const values = builder.add('concat', { axis: 0 }, [off, on]);
  const attrs = { axis: options?.int32(0, -1) ?? -1 };
  return [builder.add('oneHot', attrs, [inputs[0]!, inputs[1]!, values])];
};

const squeeze: TfliteConverter = ({ builder, inputs, options }) => {
  const axes = options?.int32s(0) ?? [];
  const more = axes.length === 0 ? [] : [builder.constant(integers(axes))];
  return [builder.add('squeeze', {}, [inputs[0]!, ...more])];
};

const moving = (
  name: string,
  op: 'expand' | 'tile' | 'gatherNd' | 'range' | 'fill' | 'cumsum' | 'where',
  count: number,
): OpRow =>
  row(name, count, ({ builder, inputs }) => [builder.add(op, {}, inputs.slice(0, count))]);

export const tfliteOps: Readonly<Record<number, OpRow>> = {
  0: binary('ADD', 'add', true),
  2: row('CONCATENATION', 1, ({ builder, inputs, options }) => [
    builder.add('concat', { axis: options?.int32(0) ?? 0 }, inputs),
  ]),
  6: identity('DEQUANTIZE'),
  7: row('EMBEDDING_LOOKUP', 2, ({ builder, inputs }) => [
    builder.add('gather', { axis: 0 }, [inputs[1]!, inputs[0]!]),
  ]),
  9: row('FULLY_CONNECTED', 2, fullyConnected),
  14: unary('LOGISTIC', 'sigmoid'),
  18: binary('MUL', 'multiply', true),
  19: unary('RELU', 'relu'),
  21: unary('RELU6', 'relu6'),
  22: row('RESHAPE', 2, ({ builder, inputs }) => [
    builder.add('reshape', { zeroCopies: false }, [inputs[0]!, inputs[1]!]),
  ]),
  25: row('SOFTMAX', 1, (context) =>
    context.options?.float32(0, 1) === 1
      ? [context.builder.add('softmax', { axis: -1 }, [context.inputs[0]!])]
      : opaque(context),
  ),
  28: unary('TANH', 'hyperbolicTangent'),
  36: row('GATHER', 2, gather),
  39: row('TRANSPOSE', 2, ({ builder, inputs }) => [
    builder.add('transpose', { order: null }, [inputs[0]!, inputs[1]!]),
  ]),
  40: reduce('MEAN', 'mean'),
  41: binary('SUB', 'subtract', true),
  42: binary('DIV', 'divide', true),
  43: row('SQUEEZE', 1, squeeze),
  45: row('STRIDED_SLICE', 4, stridedSlice),
  47: unary('EXP', 'exponential'),
  49: row('SPLIT', 2, split(1, 0, null)),
  53: row('CAST', 1, ({ builder, inputs, outputTypes }) => [
    builder.add('cast', { to: outputTypes[0] ?? 'float' }, [inputs[0]!]),
  ]),
  55: binary('MAXIMUM', 'maximum'),
  57: binary('MINIMUM', 'minimum'),
  58: binary('LESS', 'less'),
  59: unary('NEG', 'negative'),
  61: binary('GREATER', 'greater'),
  62: binary('GREATER_EQUAL', 'greaterOrEqual'),
  63: binary('LESS_EQUAL', 'lessOrEqual'),
  64: moving('SELECT', 'where', 3),
  65: row('SLICE', 3, slice),
  66: unary('SIN', 'sine'),
  69: moving('TILE', 'tile', 2),
  70: row('EXPAND_DIMS', 2, ({ builder, inputs }) => [
    builder.add('unsqueeze', {}, [inputs[0]!, inputs[1]!]),
  ]),
  71: binary('EQUAL', 'equal'),
  72: binary('NOT_EQUAL', 'notEqual'),
  73: unary('LOG', 'logarithm'),
  74: reduce('SUM', 'sum'),
  75: unary('SQRT', 'squareRoot'),
  76: unary('RSQRT', 'inverseSquareRoot'),
  77: row('SHAPE', 1, ({ builder, inputs }) => [
    builder.add('shape', { start: 0, end: Number.MAX_SAFE_INTEGER }, [inputs[0]!]),
  ]),
  78: binary('POW', 'power'),
  81: reduce('REDUCE_PROD', 'product'),
  82: reduce('REDUCE_MAX', 'max'),
  83: row('PACK', 1, stack),
  84: binary('LOGICAL_OR', 'or'),
  85: row('ONE_HOT', 4, oneHot),
  86: binary('LOGICAL_AND', 'and'),
  87: unary('LOGICAL_NOT', 'not'),
  88: row('UNPACK', 1, unpack),
  89: reduce('REDUCE_MIN', 'min'),
  90: binary('FLOOR_DIV', 'floorDivide'),
  91: reduce('REDUCE_ANY', 'max'),
  92: unary('SQUARE', 'square'),
  94: moving('FILL', 'fill', 2),
  95: binary('FLOOR_MOD', 'modulo'),
  96: moving('RANGE', 'range', 3),
  99: binary('SQUARED_DIFFERENCE', 'squaredDifference'),
  101: unary('ABS', 'absolute'),
  102: row('SPLIT_V', 3, split(0, 2, 1)),
  107: moving('GATHER_ND', 'gatherNd', 2),
  108: unary('COS', 'cosine'),
  114: identity('QUANTIZE'),
  123: moving('SELECT_V2', 'where', 3),
  126: row('BATCH_MATMUL', 2, batchMatmul),
  128: moving('CUMSUM', 'cumsum', 2),
  130: moving('BROADCAST_TO', 'expand', 2),
  140: reduce('REDUCE_ALL', 'min'),
  150: row('GELU', 1, ({ builder, inputs, options }) => [
    builder.add('gelu', { tanh: options?.int8(0) === 1 }, [inputs[0]!]),
  ]),
};

export function convertOp(code: number, custom: string, context: TfliteContext): readonly string[] {
  const op = tfliteOps[code];
  const present = context.inputs.filter((name) => name !== '').length;
  if (op === undefined || custom !== '') return opaque(context);
  if (present >= op.least) return op.convert(context);
  throw userError({
    code: 'bad-tflite',
    message: `${op.name} has ${present} operands, it needs ${op.least}`,
    where: `operator ${op.name}`,
    hint: 'The file may be damaged: convert the model anew.',
  });
}
