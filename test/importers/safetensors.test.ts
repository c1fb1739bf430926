import { expect, test } from 'vitest';
import {
  parseSafetensors,
  type StoredTensor,
  toFloat32,
} from '../../toolchain/importers/safetensors.ts';
import { joinSafetensors } from './model-files.ts';

function stored(
  dtype: string,
  elements: ArrayBufferView & { readonly length: number },
): StoredTensor {
  const data = new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength);
  const entry = { dtype, shape: [elements.length], data_offsets: [0, data.length] };
  const bytes = joinSafetensors(JSON.stringify({ x: entry }), data);
  return parseSafetensors(bytes, 'x.safetensors').get('x')!;
}

const all16 = Uint16Array.from({ length: 65536 }, (_, bits) => bits);

/** IEEE binary16, from its definition. */
function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 0x3ff;
  return exponent === 0
    ? sign * fraction * 2 ** -24
    : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

test('every finite float16 is converted exactly', () => {
  const finite = all16.filter((bits) => (bits & 0x7c00) !== 0x7c00);
  expect(finite.length).toBe(2 * 31 * 1024);
  const values = toFloat32(stored('F16', finite));
  expect(values.every((value, index) => Object.is(value, halfValue(finite[index]!)))).toBe(true);
});

test('every finite bfloat16 is converted exactly', () => {
  const finite = all16.filter((bits) => (bits & 0x7f80) !== 0x7f80);
  const values = new Uint32Array(toFloat32(stored('BF16', finite)).buffer);
  expect(values.every((bits, index) => bits === finite[index]! * 65536)).toBe(true);
});

test('infinities and NaN of any float type are refused', () => {
  for (const bits of [0x7c00, 0xfc00, 0x7e01]) {
    expect(() => toFloat32(stored('F16', Uint16Array.of(0, bits)))).toThrow(/element 1 of "x" is/);
  }
  for (const bits of [0x7f80, 0xff80, 0x7fc1]) {
    expect(() => toFloat32(stored('BF16', Uint16Array.of(bits)))).toThrow(/element 0 of "x" is/);
  }
  expect(() => toFloat32(stored('F32', Float32Array.of(1, Number.NaN)))).toThrow(/NaN/);
  expect(() => toFloat32(stored('F64', Float64Array.of(1e300)))).toThrow(/Infinity/);
});

test('doubles and small integers are read, other types are not', () => {
  expect(toFloat32(stored('F64', Float64Array.of(1 / 3)))).toEqual(Float32Array.of(1 / 3));
  expect(toFloat32(stored('I8', Int8Array.of(-128, 127)))).toEqual(Float32Array.of(-128, 127));
  expect(toFloat32(stored('U16', Uint16Array.of(65535)))).toEqual(Float32Array.of(65535));
  expect(() => toFloat32(stored('I64', BigInt64Array.of(1n)))).toThrow(/stored as I64/);
});

test('a file in a larger buffer, at any offset, reads the same', () => {
  const file = joinSafetensors(
    '{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}  ',
    new Uint8Array(Float32Array.of(0.5).buffer),
  );
  for (let offset = 0; offset < 8; offset++) {
    const pool = Buffer.alloc(file.length + 20, 0xff);
    pool.set(file, offset);
    const bytes = pool.subarray(offset, offset + file.length);
    expect(toFloat32(parseSafetensors(bytes, 'f').get('x')!)).toEqual(Float32Array.of(0.5));
  }
});

test('tensors without elements, scalars and metadata are fine', () => {
  const header =
    '{"__metadata__":{"format":"pt"},"e":{"dtype":"F32","shape":[0,7],"data_offsets":[0,0]},"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}';
  const tensors = parseSafetensors(joinSafetensors(header, new Uint8Array(4)), 'f');
  expect([...tensors.keys()].sort()).toEqual(['e', 's']);
  expect(toFloat32(tensors.get('s')!)).toEqual(Float32Array.of(0));
});
