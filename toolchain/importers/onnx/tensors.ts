/** Tensors of an ONNX file, and of the files beside it, as values that are read when asked for. */
import { userError } from '../../errors.ts';
import { type ModelFiles, quote } from '../files.ts';
import {
  type ElementType,
  lazyValue,
  type NumberArray,
  shapeText,
  sizeOf,
  type Value,
} from '../primitive/value.ts';
import { halfToFloat } from '../safetensors.ts';
import type { OnnxTensor } from './schema.ts';

interface DataType {
  readonly type: ElementType;
  readonly name: string;
  readonly bytes: number;
  /** From little-endian bytes. */
  read(view: DataView, count: number): NumberArray;
}

function dataType(
  name: string,
  type: ElementType,
  bytes: number,
  empty: (count: number) => NumberArray,
  at: (view: DataView, offset: number) => number,
): DataType {
  return {
    ...{ name, type, bytes },
    read: (view, count) => {
      const result = empty(count);
      for (let i = 0; i < count; i++) result[i] = at(view, i * bytes);
      return result;
    },
  };
}

const floats = (count: number) => new Float32Array(count);
const integers = (count: number) => new Float64Array(count);

/** By TensorProto.DataType. */
export const dataTypes: Readonly<Record<number, DataType>> = {
  1: {
    ...dataType('float32', 'float', 4, floats, (view, at) => view.getFloat32(at, true)),
    read: (view, count) => float32s(view, count),
  },
  2: dataType(
    'uint8',
    'int',
    1,
    (n) => new Uint8Array(n),
    (view, at) => view.getUint8(at),
  ),
  3: dataType(
    'int8',
    'int',
    1,
    (n) => new Int8Array(n),
    (view, at) => view.getInt8(at),
  ),
  4: dataType(
    'uint16',
    'int',
    2,
    (n) => new Uint16Array(n),
    (view, at) => view.getUint16(at, true),
  ),
  5: dataType(
    'int16',
    'int',
    2,
    (n) => new Int16Array(n),
    (view, at) => view.getInt16(at, true),
  ),
  6: dataType(
    'int32',
    'int',
    4,
    (n) => new Int32Array(n),
    (view, at) => view.getInt32(at, true),
  ),
  7: dataType('int64', 'int', 8, integers, (view, at) => Number(view.getBigInt64(at, true))),
  9: dataType(
    'bool',
    'bool',
    1,
    (n) => new Uint8Array(n),
    (view, at) => view.getUint8(at),
  ),
  10: dataType('float16', 'float', 2, floats, (view, at) => halfToFloat(view.getUint16(at, true))),
  11: dataType('float64', 'float', 8, floats, (view, at) => view.getFloat64(at, true)),
  12: dataType('uint32', 'int', 4, integers, (view, at) => view.getUint32(at, true)),
  13: dataType('uint64', 'int', 8, integers, (view, at) => Number(view.getBigUint64(at, true))),
  16: dataType('bfloat16', 'float', 2, floats, (view, at) => {
    const bits = new DataView(new ArrayBuffer(4));
    bits.setUint32(0, view.getUint16(at, true) << 16);
    return bits.getFloat32(0);
  }),
};

/** The bytes themselves where they lie aligned in a little-endian machine, else a copy. */
function float32s(view: DataView, count: number): Float32Array {
  const isLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
  if (view.byteOffset % 4 === 0 && isLittleEndian) {
    return new Float32Array(view.buffer as ArrayBuffer, view.byteOffset, count);
  }
  const result = new Float32Array(count);
  for (let i = 0; i < count; i++) result[i] = view.getFloat32(i * 4, true);
  return result;
}

export function readTensor(
  tensor: OnnxTensor,
  name: string,
  file: string,
  files: ModelFiles,
): Value {
  const type = dataTypes[tensor.dataType];
  const where = `${file}, tensor ${quote(name)}`;
  if (type === undefined) {
    throw userError({
      code: 'unsupported-model',
      message: `the tensor ${quote(name)} has the element type ${tensor.dataType}, which is not read`,
      where,
      hint: `Read are ${Object.values(dataTypes)
        .map((one) => one.name)
        .join(', ')}.`,
    });
  }
  const shape = tensor.dims;
  const count = sizeOf(shape);
  if (
    !shape.every((size) => Number.isSafeInteger(size) && size >= 0) ||
    !Number.isSafeInteger(count)
  ) {
    throw badTensor(where, `has the shape ${shapeText(shape)}`);
  }
  const read = dataOf(tensor, type, count, where, files);
  return lazyValue(type.type, shape, read, { name: name === '' ? undefined : name });
}

const externalLocation = 1;

/** Checks that there are `count` elements; reads them later. */
function dataOf(
  tensor: OnnxTensor,
  type: DataType,
  count: number,
  where: string,
  files: ModelFiles,
): () => NumberArray {
  const fromBytes = (bytes: Uint8Array): (() => NumberArray) => {
    if (bytes.length !== count * type.bytes) {
      throw badTensor(where, `has ${bytes.length} bytes, its shape needs ${count * type.bytes}`);
    }
    return () => type.read(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), count);
  };
  if (tensor.location === externalLocation) {
    return fromBytes(externalBytes(tensor, count * type.bytes, where, files));
  }
  if (tensor.raw !== undefined && tensor.raw.length > 0) return fromBytes(tensor.raw);
  const lists = [tensor.floats, tensor.doubles, tensor.int32s, tensor.int64s, tensor.uint64s];
  const elements = lists.find((list) => list.length > 0) ?? [];
  if (elements.length !== count) {
    throw badTensor(where, `has ${elements.length} elements, its shape needs ${count}`);
  }
  // Halves are stored as the integers of their bits.
  const isHalf = type.name === 'float16' && tensor.int32s.length > 0;
  return () => {
    const values = isHalf ? elements.map(halfToFloat) : elements;
    return type.type === 'float'
      ? Float32Array.from(values)
      : type.name === 'int8'
        ? Int8Array.from(values)
        : type.type === 'bool' || type.name === 'uint8'
          ? Uint8Array.from(values)
          : Float64Array.from(values);
  };
}

/** A file of the same folder, so that a model cannot name files elsewhere. */
const fileName = /^(\.\/)?[\w-][\w.-]*$/;

function externalBytes(
  tensor: OnnxTensor,
  sizeBytes: number,
  where: string,
  files: ModelFiles,
): Uint8Array {
  const entries = new Map(tensor.external.map(({ key, value }) => [key, value]));
  const location = (entries.get('location') ?? '').replace(/^\.\//, '');
  const bytes = fileName.test(location) ? files.read(location) : undefined;
  if (bytes === undefined) {
    throw userError({
      code: 'missing-file',
      message: `its weights are in ${quote(location)}, which is not beside it`,
      where,
      hint: 'Copy all files of the export into one folder.',
    });
  }
  const offset = Number(entries.get('offset') ?? 0);
  const length = Number(entries.get('length') ?? sizeBytes);
  const isInside =
    Number.isSafeInteger(offset) && offset >= 0 && length >= 0 && offset + length <= bytes.length;
  if (!isInside) {
    throw badTensor(where, `is at byte ${offset} of ${location}, which has ${bytes.length} bytes`);
  }
  return bytes.subarray(offset, offset + length);
}

function badTensor(where: string, message: string) {
  return userError({
    code: 'bad-onnx',
    message: `a tensor ${message}`,
    where,
    hint: 'The file may be cut off: copy it again, or export the model anew.',
  });
}
