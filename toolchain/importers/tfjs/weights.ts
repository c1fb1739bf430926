/** The weights of a TensorFlow.js model: groups of files, each one stream of bytes cut anywhere. */
import { userError } from '../../errors.ts';
import { type ModelFiles, quote } from '../files.ts';
import { lazyValue, type NumberArray, sizeOf, type Value } from '../primitive/value.ts';
import { halfToFloat } from '../safetensors.ts';
import type { TfjsModel, TfjsWeight } from './schema.ts';

const storedBytes: Readonly<Record<string, number>> = {
  ...{ float32: 4, int32: 4, bool: 1, uint8: 1, uint16: 2, float16: 2 },
};

/** A file of the same folder, so that a manifest cannot name files elsewhere. */
const fileName = /^[\w-][\w.-]*$/;

export function readWeights(
  groups: TfjsModel['weightsManifest'],
  file: string,
  files: ModelFiles,
): ReadonlyMap<string, Value> {
  const values = new Map<string, Value>();
  for (const { paths, weights } of groups) {
    const bytes = joined(paths.map((path) => shard(path, file, files)));
    let offset = 0;
    for (const weight of weights) {
      const size = storedSize(weight, file);
      if (offset + size > bytes.length) {
        throw badWeights(
          `${quote(weight.name)} ends at byte ${offset + size} of ${paths.join(' + ')}, which has ${bytes.length} bytes`,
          file,
        );
      }
      values.set(weight.name, valueOfWeight(weight, bytes.subarray(offset, offset + size)));
      offset += size;
    }
    if (offset !== bytes.length) {
      throw badWeights(
        `${paths.join(' + ')} has ${bytes.length} bytes, its weights need ${offset}`,
        file,
      );
    }
  }
  return values;
}

function shard(path: string, file: string, files: ModelFiles): Uint8Array {
  const bytes = fileName.test(path) ? files.read(path) : undefined;
  if (bytes !== undefined) return bytes;
  throw userError({
    code: 'missing-file',
    message: `the weights in ${quote(path)} are not beside the model`,
    where: file,
    hint: 'Copy all files that the converter wrote into one folder.',
  });
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const [first] = parts;
  if (parts.length === 1) return first!;
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    result.set(part, offset);
    offset += part.length;
  }
  return result;
}

function storedSize({ name, shape, dtype, quantization }: TfjsWeight, file: string): number {
  const bytes = storedBytes[quantization?.dtype ?? dtype];
  if (bytes === undefined) {
    throw userError({
      code: 'unsupported-model',
      message: `the weight ${quote(name)} has the type ${quote(dtype)}, which is not read`,
      where: file,
      hint: `Read are ${Object.keys(storedBytes).join(', ')}.`,
    });
  }
  return sizeOf(shape) * bytes;
}

function valueOfWeight(weight: TfjsWeight, bytes: Uint8Array): Value {
  const { name, shape, dtype, quantization } = weight;
  const type = dtype === 'bool' ? 'bool' : dtype === 'int32' ? 'int' : 'float';
  const read = (): NumberArray => {
    const stored = elements(quantization?.dtype ?? dtype, bytes);
    if (quantization === undefined || quantization.dtype === 'float16') return stored;
    const { scale = 1, min = 0 } = quantization;
    return type === 'float'
      ? Float32Array.from(stored, (code) => code * scale + min)
      : Int32Array.from(stored, (code) => Math.round(code * scale + min));
  };
  return lazyValue(type, shape, read, { name });
}

function elements(dtype: string, bytes: Uint8Array): NumberArray {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const count = bytes.length / storedBytes[dtype]!;
  const each = <T extends NumberArray>(array: T, at: (offset: number) => number): T => {
    const step = array.BYTES_PER_ELEMENT;
    for (let i = 0; i < count; i++) array[i] = at(i * step);
    return array;
  };
  switch (dtype) {
    case 'float32':
      return each(new Float32Array(count), (offset) => view.getFloat32(offset, true));
    case 'int32':
      return each(new Int32Array(count), (offset) => view.getInt32(offset, true));
    case 'uint16':
      return each(new Uint16Array(count), (offset) => view.getUint16(offset, true));
    case 'float16':
      return Float32Array.from({ length: count }, (_, i) =>
        halfToFloat(view.getUint16(i * 2, true)),
      );
    default:
      return bytes.slice();
  }
}

function badWeights(message: string, where: string) {
  return userError({
    code: 'bad-tfjs',
    message: `the weights do not fit the model: ${message}`,
    where,
    hint: 'A file may be cut off, or of another conversion: copy all of them again.',
  });
}
