/**
 * The element types, one row each: size in memory, range and what each backend calls them.
 *
 * An int4 takes a byte in an array and two share one on the chip (`packedBytes`), where no C type
 * holds it: only constants are int4.
 */
export const dtypes = {
  float32: { bytes: 4, min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY, c: 'float' },
  int4: { bytes: 1, min: -8, max: 7, c: 'int8_t' },
  int8: { bytes: 1, min: -128, max: 127, c: 'int8_t' },
  uint8: { bytes: 1, min: 0, max: 255, c: 'uint8_t' },
  int16: { bytes: 2, min: -32768, max: 32767, c: 'int16_t' },
  uint16: { bytes: 2, min: 0, max: 65535, c: 'uint16_t' },
  int32: { bytes: 4, min: -(2 ** 31), max: 2 ** 31 - 1, c: 'int32_t' },
} as const;

export type DType = keyof typeof dtypes;

const arrayTypes = {
  float32: Float32Array,
  int4: Int8Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
} as const satisfies Record<DType, unknown>;

export type TypedArrayOf<D extends DType> = InstanceType<(typeof arrayTypes)[D]>;
export type TypedArray = TypedArrayOf<DType>;

/** What a matrix takes on the chip; rows of int4 are padded to whole bytes. */
export function packedBytes(dtype: DType, rows: number, columns: number): number {
  return rows * (dtype === 'int4' ? Math.ceil(columns / 2) : columns * dtypes[dtype].bytes);
}

/** A zeroed array of `length` elements. */
export function allocate<D extends DType>(dtype: D, length: number): TypedArrayOf<D> {
  return new arrayTypes[dtype](length) as TypedArrayOf<D>;
}

/** A view of `length` elements on `buffer`; `byteOffset` must be a multiple of the element size. */
export function viewBytes<D extends DType>(
  dtype: D,
  buffer: ArrayBufferLike,
  byteOffset: number,
  length: number,
): TypedArrayOf<D> {
  return new arrayTypes[dtype](buffer as ArrayBuffer, byteOffset, length) as TypedArrayOf<D>;
}
