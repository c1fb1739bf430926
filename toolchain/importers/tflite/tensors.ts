/** Tensors of a TensorFlow Lite file. Field numbers are those of its schema (schema.fbs, version 3). */
import { userError } from '../../errors.ts';
import { quote } from '../files.ts';
import {
  type ElementType,
  lazyValue,
  type NumberArray,
  shapeText,
  sizeOf,
  type Value,
} from '../primitive/value.ts';
import { halfToFloat } from '../safetensors.ts';
import type { Table } from './flatbuffer.ts';

export interface TfliteTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** −1 where the size is not known; as `shape` where it is. */
  readonly signature: readonly number[];
  /** TensorType. */
  readonly type: number;
  readonly buffer: number;
  readonly scales: readonly number[];
  readonly zeroPoints: readonly number[];
  readonly axis: number;
}

export function readTensor(table: Table): TfliteTensor {
  const quantization = table.table(4);
  const shape = table.int32s(0);
  const signature = table.int32s(7);
  return {
    name: table.text(3),
    shape,
    signature: signature.length === shape.length ? signature : shape,
    type: table.int8(1),
    buffer: table.uint32(2),
    scales: quantization?.float32s(2) ?? [],
    zeroPoints: quantization?.int64s(3) ?? [],
    axis: quantization?.int32(6) ?? 0,
  };
}

interface Stored {
  readonly type: ElementType;
  readonly bytes: number;
  read(view: DataView, count: number): NumberArray;
}

function stored<T extends NumberArray>(
  type: ElementType,
  bytes: number,
  empty: (count: number) => T,
  at: (view: DataView, offset: number) => number,
): Stored {
  return {
    ...{ type, bytes },
    read: (view, count) => {
      const result = empty(count);
      for (let i = 0; i < count; i++) result[i] = at(view, i * bytes);
      return result;
    },
  };
}

const floats = (count: number) => new Float32Array(count);

/** By TensorType. */
const types: Readonly<Record<number, Stored>> = {
  0: stored('float', 4, floats, (view, at) => view.getFloat32(at, true)),
  1: stored('float', 2, floats, (view, at) => halfToFloat(view.getUint16(at, true))),
  2: stored(
    'int',
    4,
    (n) => new Int32Array(n),
    (view, at) => view.getInt32(at, true),
  ),
  3: stored(
    'int',
    1,
    (n) => new Uint8Array(n),
    (view, at) => view.getUint8(at),
  ),
  4: stored(
    'int',
    8,
    (n) => new Float64Array(n),
    (view, at) => Number(view.getBigInt64(at, true)),
  ),
  6: stored(
    'bool',
    1,
    (n) => new Uint8Array(n),
    (view, at) => view.getUint8(at),
  ),
  7: stored(
    'int',
    2,
    (n) => new Int16Array(n),
    (view, at) => view.getInt16(at, true),
  ),
  9: stored(
    'int',
    1,
    (n) => new Int8Array(n),
    (view, at) => view.getInt8(at),
  ),
};

export const int8Type = 9;

export function elementTypeOf(type: number): ElementType {
  return types[type]?.type ?? 'float';
}

/** The stored elements, which quantization gives a real value. */
export function constantOf(tensor: TfliteTensor, bytes: Uint8Array, file: string): Value {
  const type = types[tensor.type];
  const where = `${file}, tensor ${quote(tensor.name)}`;
  if (type === undefined) {
    throw userError({
      code: 'unsupported-model',
      message: `the tensor ${quote(tensor.name)} has the type ${tensor.type}, which is not read`,
      where,
      hint: 'Read are float32, float16, int8, uint8, int16, int32, int64 and bool.',
    });
  }
  const count = sizeOf(tensor.shape);
  if (!tensor.shape.every((size) => size >= 0) || bytes.length !== count * type.bytes) {
    throw userError({
      code: 'bad-tflite',
      message: `the tensor ${quote(tensor.name)} is ${shapeText(tensor.shape)} and has ${bytes.length} bytes`,
      where,
      hint: 'The file may be cut off: copy it again, or convert the model anew.',
    });
  }
  const read = () => type.read(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), count);
  return lazyValue(type.type, tensor.shape, read, { name: tensor.name });
}
