/**
 * A BERT encoder as ONNX, quantized as `quantize_dynamic` of onnxruntime does: int8 weights a tensor,
 * activations quantized as they come, attention in float. Weights are random: they cost the same.
 */
import { makeRandom } from '../../tokenizer/samples.ts';
import type { EncoderSize } from '../models.ts';

/** `hidden`: every row of the last layer; `classification`: the pooler and two classes. */
export type OnnxOutput = 'hidden' | 'classification';

/** onnx.proto: TensorProto.DataType. */
const types = { float: 1, int8: 3, int64: 7 } as const;

export function onnxEncoder(size: EncoderSize, output: OnnxOutput): Uint8Array {
  const { layers, width, heads, feedForward, positions, vocabulary } = size;
  const random = makeRandom(1);
  const nodes: Uint8Array[] = [];
  const tensors: Uint8Array[] = [];
  let count = 0;

  const constant = (
    type: keyof typeof types,
    shape: readonly number[],
    data: ArrayBufferView,
  ): string => {
    const name = `c${count++}`;
    const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    tensors.push(
      message([
        ...shape.map((dim) => int(1, dim)),
        int(2, types[type]),
        text(8, name),
        bytes(9, raw),
      ]),
    );
    return name;
  };
  const scalar = (value: number): string => constant('float', [], Float32Array.of(value));
  const integers = (values: readonly number[]): string =>
    constant('int64', [values.length], BigInt64Array.from(values, BigInt));
  const randomInt8 = (shape: readonly [number, number]): string =>
    constant(
      'int8',
      shape,
      Int8Array.from({ length: shape[0] * shape[1] }, () => random(255) - 127),
    );
  const floats = (length: number, centre: number): string =>
    constant(
      'float',
      [length],
      Float32Array.from({ length }, () => centre + (random(201) - 100) / 1000),
    );
  const op = (
    type: string,
    inputs: readonly string[],
    attributes: readonly Uint8Array[] = [],
    outputs = 1,
  ): readonly string[] => {
    const names = Array.from({ length: outputs }, () => `v${count++}`);
    nodes.push(
      message([
        ...inputs.map((name) => text(1, name)),
        ...names.map((name) => text(2, name)),
        text(4, type),
        ...attributes.map((attribute) => bytes(5, attribute)),
      ]),
    );
    return names;
  };
  const one = (type: string, inputs: readonly string[], ...attributes: Uint8Array[]): string =>
    op(type, inputs, attributes)[0]!;

  const quantized = (x: string) => op('DynamicQuantizeLinear', [x], [], 3);
  /** y = x·w + b of x quantized. */
  const product = (
    [x, scale, zero]: readonly string[],
    inputs: number,
    outputs: number,
  ): string => {
    const weightScale = scalar(1 / (80 * Math.sqrt(inputs)));
    const weight = randomInt8([inputs, outputs]);
    const sum = one('MatMulInteger', [x!, weight, zero!]);
    const real = one('Cast', [sum], intAttribute('to', types.float));
    const scaled = one('Mul', [real, one('Mul', [scale!, weightScale])]);
    return one('Add', [floats(outputs, 0), scaled]);
  };
  const linear = (x: string, inputs: number, outputs: number) =>
    product(quantized(x), inputs, outputs);
  const norm = (x: string): string =>
    one(
      'LayerNormalization',
      [x, floats(width, 1), floats(width, 0)],
      intAttribute('axis', -1),
      floatAttribute('epsilon', 1e-12),
    );
  const rows = (table: string, indexes: string): string =>
    one('DequantizeLinear', [
      one('Gather', [table, indexes], intAttribute('axis', 0)),
      scalar(0.01),
      constant('int8', [], Int8Array.of(0)),
    ]);

  const words = rows(randomInt8([vocabulary, width]), 'ids');
  const places = rows(randomInt8([positions, width]), 'positions');
  let x = norm(one('Add', [one('Add', [words, places]), floats(width, 0)]));
  for (let layer = 0; layer < layers; layer++) {
    const input = quantized(x);
    const split = integers([1, -1, heads, width / heads]);
    const headsOf = (order: readonly number[]): string =>
      one(
        'Transpose',
        [one('Reshape', [product(input, width, width), split])],
        intsAttribute('perm', order),
      );
    const query = headsOf([0, 2, 1, 3]);
    const key = headsOf([0, 2, 3, 1]);
    const value = headsOf([0, 2, 1, 3]);
    const scores = one('Div', [one('MatMul', [query, key]), scalar(Math.sqrt(width / heads))]);
    const weights = one('Softmax', [scores], intAttribute('axis', -1));
    const mixed = one(
      'Transpose',
      [one('MatMul', [weights, value])],
      intsAttribute('perm', [0, 2, 1, 3]),
    );
    const joined = one('Reshape', [mixed, integers([1, -1, width])]);
    x = norm(one('Add', [linear(joined, width, width), x]));
    const wide = linear(x, width, feedForward);
    const error = one('Erf', [one('Div', [wide, scalar(Math.SQRT2)])]);
    const gated = one('Mul', [wide, one('Add', [error, scalar(1)])]);
    const active = one('Mul', [gated, scalar(0.5)]);
    x = norm(one('Add', [linear(active, feedForward, width), x]));
  }
  if (output === 'classification') {
    const first = one('Gather', [x, integers([0])], intAttribute('axis', 1));
    const pooled = one('Tanh', [linear(first, width, width)]);
    x = linear(pooled, width, 2);
  }
  nodes.push(message([text(1, x), text(2, 'output'), text(4, 'Identity')]));
  const graph = message([
    ...nodes.map((node) => bytes(1, node)),
    text(2, 'encoder'),
    ...tensors.map((tensor) => bytes(5, tensor)),
    bytes(11, valueInfo('ids', types.int64)),
    bytes(11, valueInfo('positions', types.int64)),
    bytes(12, valueInfo('output', types.float)),
  ]);
  return message([int(1, 8), bytes(7, graph), bytes(8, message([text(1, ''), int(2, 17)]))]);
}

function valueInfo(name: string, type: number): Uint8Array {
  const dimensions = type === types.int64 ? ['1', 'tokens'] : ['1', 'rows', 'columns'];
  const shape = message(
    dimensions.map((dim) => bytes(1, message([dim === '1' ? int(1, 1) : text(2, dim)]))),
  );
  const tensor = message([int(1, type), bytes(2, shape)]);
  return message([text(1, name), bytes(2, message([bytes(1, tensor)]))]);
}

/** onnx.proto: AttributeProto, with the types FLOAT, INT and INTS. */
function floatAttribute(name: string, value: number): Uint8Array {
  const field = Buffer.concat([tag(2, 5), Buffer.from(Float32Array.of(value).buffer)]);
  return message([text(1, name), field, int(20, 1)]);
}

function intAttribute(name: string, value: number): Uint8Array {
  return message([text(1, name), int(3, value), int(20, 2)]);
}

function intsAttribute(name: string, values: readonly number[]): Uint8Array {
  return message([text(1, name), ...values.map((value) => int(8, value)), int(20, 7)]);
}

/** Protocol Buffers: a message is its fields, one after the other. */
function message(fields: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(fields);
}

function tag(field: number, wire: number): Uint8Array {
  return varint(BigInt(field * 8 + wire));
}

function varint(value: bigint): Uint8Array {
  const out: number[] = [];
  let rest = BigInt.asUintN(64, value);
  for (; rest > 127n; rest >>= 7n) out.push(Number(rest & 127n) | 128);
  return Uint8Array.from([...out, Number(rest)]);
}

function int(field: number, value: number): Uint8Array {
  return Buffer.concat([tag(field, 0), varint(BigInt(value))]);
}

function bytes(field: number, value: Uint8Array): Uint8Array {
  return Buffer.concat([tag(field, 2), varint(BigInt(value.length)), value]);
}

function text(field: number, value: string): Uint8Array {
  return bytes(field, new TextEncoder().encode(value));
}
