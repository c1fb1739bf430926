// SPDX-License-Identifier: Apache-2.0
/** What follows the sums of a linear: bias, requantization by column, zero point, clamp, table. */
import { clamp, highWords, requantize } from './fixed_point';

/**
 * Parameters of a linear (toolchain/emit/wasm-params.ts writes them). Stored weights are
 * `weightOffset` too large; what that adds to a sum is taken off it by the sum of the row.
 *
 * `scales` has 80 bytes for every four outputs: 2^d, multiplier, 2^(30 + d) as int64 twice, and
 * −2^(d − 1), where d = shift + 1 − n and n is the column's own right shift.
 */
@unmanaged
export class Linear {
  inputs: i32;
  outputs: i32;
  weights: usize;
  weightOffset: i32;
  /** (outputs), filled up to a multiple of eight. */
  bias: usize;
  scales: usize;
  /** After `scales`, to the right; 0: shifts of the columns are too far apart, or sums too large. */
  shift: i32;
  /** (outputs), filled up: multiplier and shift, where there are no `scales`. */
  requants: usize;
  zeroPoint: i32;
  min: i32;
  max: i32;
  /** (256) by value + 128; 0: none. */
  table: usize;
}

const SCALE_BYTES: usize = 80;

/** Bytes of a row as int16, filled up to a multiple of eight. */
export function wideOffset(inputs: i32): i32 {
  return ((inputs + 7) & ~7) * 2;
}

/** What the weights' offset adds to the sums of a row, of int16 `stride` bytes apart. */
export function sumsOfRows(p: Linear, x: usize, stride: i32, rows: i32, sums: usize): void {
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    if (p.weightOffset !== 0) sum = p.weightOffset * sumOfWide(x + <usize>(row * stride), p.inputs);
    store<i32>(sums + 4 * <usize>row, sum);
  }
}

function sumOfWide(x: usize, inputs: i32): i32 {
  let sums = i32x4.splat(0);
  let i = 0;
  for (; i + 8 <= inputs; i += 8) {
    sums = i32x4.add(sums, i32x4.extadd_pairwise_i16x8_s(v128.load(x + 2 * <usize>i)));
  }
  let sum = sumOfLanes(sums);
  for (; i < inputs; i++) sum += load<i16>(x + 2 * <usize>i);
  return sum;
}

export function sumOfLanes(x: v128): i32 {
  const pairs = i32x4.add(x, i32x4.shuffle(x, x, 2, 3, 0, 1));
  return i32x4.extract_lane(pairs, 0) + i32x4.extract_lane(pairs, 1);
}

/**
 * Eight columns of `rows` rows: sums (rows, 8) become outputs. `rowSums`: what the weights' offset added
 * to the sums of each row; `yStride` in bytes.
 */
export function finishRows(
  p: Linear, column: i32, sums: usize, rowSums: usize, rows: i32,
  y: usize, yStride: usize, isWide: bool,
): void {
  const bias = p.bias + 4 * <usize>column;
  const low = v128.load(bias), high = v128.load(bias, 16);
  const scales = p.scales + <usize>(column >> 2) * SCALE_BYTES;
  for (let row = 0; row < rows; row++, sums += 32, rowSums += 4, y += yStride) {
    const offset = v128.load32_splat(rowSums);
    const a = i32x4.sub(i32x4.add(v128.load(sums), low), offset);
    const b = i32x4.sub(i32x4.add(v128.load(sums, 16), high), offset);
    let columns: v128;
    if (p.shift === 16) {
      // The upper halves are what is left after the shift.
      const rounding = i32x4.splat(1 << 15);
      columns = i16x8.shuffle(
        scaleColumns(a, scales, rounding), scaleColumns(b, scales + SCALE_BYTES, rounding),
        1, 3, 5, 7, 9, 11, 13, 15,
      );
    } else if (p.shift !== 0) {
      const rounding = i32x4.splat(1 << (p.shift - 1));
      columns = i16x8.narrow_i32x4_s(
        i32x4.shr_s(scaleColumns(a, scales, rounding), p.shift),
        i32x4.shr_s(scaleColumns(b, scales + SCALE_BYTES, rounding), p.shift),
      );
    } else {
      columns = columnByColumn(p, column, a, b);
    }
    if (isWide) storeWide(p, column, columns, y);
    else storeNarrow(p, column, columns, y);
  }
}

/**
 * With n, the right shift of a column, and u = floor((2^d·sum·multiplier + 2^(30 + d)) / 2^32), in
 * units of 2^(1 − d) doubling high products, this is what is shifted by `shift`, with ties away from
 * zero: u + 2^(shift − 1) − [u < 0]·2^(d − 1).
 */
// @ts-ignore: decorator
@inline
function scaleColumns(sums: v128, scales: usize, rounding: v128): v128 {
  const shifted = i32x4.mul(sums, v128.load(scales));
  const multipliers = v128.load(scales, 16);
  const low = i64x2.add(i64x2.extmul_low_i32x4_s(shifted, multipliers), v128.load(scales, 32));
  const high = i64x2.add(i64x2.extmul_high_i32x4_s(shifted, multipliers), v128.load(scales, 48));
  const u = highWords(low, high);
  const fixup = v128.and(i32x4.shr_s(u, 31), v128.load(scales, 64));
  return i32x4.add(i32x4.add(u, fixup), rounding);
}

/** The same for any shift and any sum, as int16, saturated. */
function columnByColumn(p: Linear, column: i32, a: v128, b: v128): v128 {
  const requants = p.requants + 8 * <usize>column;
  let y = i16x8.splat(0);
  y = i16x8.replace_lane(y, 0, oneColumn(i32x4.extract_lane(a, 0), requants));
  y = i16x8.replace_lane(y, 1, oneColumn(i32x4.extract_lane(a, 1), requants + 8));
  y = i16x8.replace_lane(y, 2, oneColumn(i32x4.extract_lane(a, 2), requants + 16));
  y = i16x8.replace_lane(y, 3, oneColumn(i32x4.extract_lane(a, 3), requants + 24));
  y = i16x8.replace_lane(y, 4, oneColumn(i32x4.extract_lane(b, 0), requants + 32));
  y = i16x8.replace_lane(y, 5, oneColumn(i32x4.extract_lane(b, 1), requants + 40));
  y = i16x8.replace_lane(y, 6, oneColumn(i32x4.extract_lane(b, 2), requants + 48));
  return i16x8.replace_lane(y, 7, oneColumn(i32x4.extract_lane(b, 3), requants + 56));
}

function oneColumn(sum: i32, requant: usize): i16 {
  return <i16>clamp(requantize(sum, load<i32>(requant), load<i32>(requant, 4)), -32768, 32767);
}

/** Stores as many of eight columns as there are. */
// @ts-ignore: decorator
@inline
function storeNarrow(p: Linear, column: i32, columns: v128, y: usize): void {
  let moved = i16x8.add_sat_s(columns, i16x8.splat(<i16>p.zeroPoint));
  if (p.min !== -128 || p.max !== 127) {
    moved = i16x8.min_s(i16x8.max_s(moved, i16x8.splat(<i16>p.min)), i16x8.splat(<i16>p.max));
  }
  const bytes = i8x16.narrow_i16x8_s(moved, moved);
  if (column + 8 <= p.outputs) v128.store64_lane(y, bytes, 0);
  else storePart(y, i64x2.extract_lane(bytes, 0), p.outputs - column);
}

// @ts-ignore: decorator
@inline
function storeWide(p: Linear, column: i32, columns: v128, y: usize): void {
  const clamped = i16x8.min_s(
    i16x8.max_s(columns, i16x8.splat(<i16>p.min)),
    i16x8.splat(<i16>p.max),
  );
  const left = 2 * (p.outputs - column);
  if (left >= 16) {
    v128.store(y, clamped);
    return;
  }
  storePart(y, i64x2.extract_lane(clamped, 0), min(8, left));
  if (left > 8) storePart(y + 8, i64x2.extract_lane(clamped, 1), left - 8);
}

/** The lowest `count` bytes, at most eight. */
export function storePart(y: usize, bytes: i64, count: i32): void {
  for (let i = 0; i < count; i++, bytes >>= 8) store<u8>(y + <usize>i, <u8>bytes);
}

/** y = table[y + 128]. */
export function lookUp(p: Linear, rows: i32, y: usize, yStride: i32): void {
  const table = p.table + 128;
  for (let row = 0; row < rows; row++) {
    let at = y + <usize>(row * yStride);
    const end = at + <usize>p.outputs;
    for (; at + 4 <= end; at += 4) {
      store<u8>(at, load<u8>(table + <usize>(<i32>load<i8>(at))));
      store<u8>(at, load<u8>(table + <usize>(<i32>load<i8>(at, 1))), 1);
      store<u8>(at, load<u8>(table + <usize>(<i32>load<i8>(at, 2))), 2);
      store<u8>(at, load<u8>(table + <usize>(<i32>load<i8>(at, 3))), 3);
    }
    for (; at < end; at++) store<u8>(at, load<u8>(table + <usize>(<i32>load<i8>(at))));
  }
}
