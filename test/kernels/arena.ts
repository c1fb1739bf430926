/** All the memory of one kernel call as one block of bytes, pointers as offsets into it. */
import { type DType, dtypes, type TypedArray, viewBytes } from '../../toolchain/ir/dtypes.ts';
import type { Matrix } from '../../toolchain/ir/graph.ts';
import { randomInt } from './random.ts';

export interface Region {
  readonly offset: number;
  readonly size: number;
}

export interface Arena {
  readonly bytes: Uint8Array<ArrayBuffer>;
  used: number;
  /** What the kernel may touch. */
  readonly regions: Region[];
}

export const NULL = -1;
/** Bytes that no kernel may write lie around every buffer. */
const GUARD_BYTES = 24;
const GUARD_VALUE = 0xa5;

export function createArena(capacityBytes: number): Arena {
  return { bytes: new Uint8Array(capacityBytes).fill(GUARD_VALUE), used: GUARD_BYTES, regions: [] };
}

/** Reserves `size` bytes at an address that is a multiple of `alignment` and of nothing more. */
export function reserve(arena: Arena, size: number, alignment: number): number {
  const step = alignment * randomInt(0, 16 / alignment - 1);
  const offset = Math.ceil(arena.used / 16) * 16 + step;
  arena.used = offset + size + GUARD_BYTES;
  arena.regions.push({ offset, size });
  return offset;
}

/** Copies an array into the arena, at an alignment, by default that of its elements. */
export function place(
  arena: Arena,
  data: TypedArray,
  alignment: number = data.BYTES_PER_ELEMENT,
): number {
  const offset = reserve(arena, data.byteLength, alignment);
  arena.bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
  return offset;
}

/** Bytes that a kernel reads as words. */
export function placeWords(arena: Arena, data: TypedArray): number {
  return place(arena, data, 4);
}

/** A matrix whose rows lie `stride` elements apart; the bytes between them are not part of it. */
export function reserveMatrix(
  arena: Arena,
  dtype: DType,
  rows: number,
  columns: number,
  stride: number,
): number {
  const size = dtypes[dtype].bytes;
  return reserve(arena, ((rows - 1) * stride + columns) * size, size);
}

/** The matrix at a byte offset of the arena, or of a copy of its bytes. */
export function matrixAt(
  bytes: Uint8Array<ArrayBuffer>,
  dtype: DType,
  offset: number,
  rows: number,
  columns: number,
  stride = columns,
): Matrix {
  const length = (rows - 1) * stride + columns;
  return { data: viewBytes(dtype, bytes.buffer, offset, length), offset: 0, rows, columns, stride };
}
