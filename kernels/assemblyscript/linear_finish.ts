// SPDX-License-Identifier: Apache-2.0
/** What follows the sums of a linear: bias, requantization by column, zero point, clamp, table. */
import { clamp, highWords, requantize } from './fixed_point';

/**
 * Parameters of a linear (toolchain/emit/wasm-params.ts writes them). Stored weights are
 * `weightOffset` too large.
 *
 * `scales` has 80 bytes for every four outputs: 2^d, multiplier, 2^(30 + d) + 2^(31 + shift) +
 * zeroPoint·2^(32 + shift) as int64, and −2^(d − 1), where d = shift + 1 − n and n is the column's own
 * right shift.
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

/** Eight columns of `rows` rows: sums (rows, 8), bias included, become outputs. `yStride` in bytes. */
export function finishRows(
  p: Linear, column: i32, sums: usize, rows: i32, y: usize, yStride: usize, isWide: bool,
): void {
  const shift = p.shift, left = p.outputs - column;
  const least = i16x8.splat(<i16>p.min), most = i16x8.splat(<i16>p.max);
  if (shift === 0) {
    const zeroPoint = i16x8.splat(<i16>p.zeroPoint);
    for (let row = 0; row < rows; row++, sums += 32, y += yStride) {
      const columns = columnByColumn(p, column, v128.load(sums), v128.load(sums, 16));
      const moved = i16x8.add_sat_s(columns, zeroPoint);
      storeEight(i16x8.min_s(i16x8.max_s(moved, least), most), y, left, isWide);
    }
    return;
  }
  const scales = p.scales + <usize>(column >> 2) * SCALE_BYTES;
  const left0 = v128.load(scales), left1 = v128.load(scales, SCALE_BYTES);
  const factor0 = v128.load(scales, 16), factor1 = v128.load(scales, SCALE_BYTES + 16);
  const offset0 = v128.load(scales, 32), offset1 = v128.load(scales, SCALE_BYTES + 32);
  const offset2 = v128.load(scales, 48), offset3 = v128.load(scales, SCALE_BYTES + 48);
  const fixup0 = v128.load(scales, 64), fixup1 = v128.load(scales, SCALE_BYTES + 64);
  const isWhole = isWide
    ? p.min === i16.MIN_VALUE && p.max === i16.MAX_VALUE
    : p.min === i8.MIN_VALUE && p.max === i8.MAX_VALUE;
  if (shift === 16 && isWhole) {
    // The usual case: the upper halves are what is left, and storing clamps.
    for (let row = 0; row < rows; row++, sums += 32, y += yStride) {
      const a = scaleFour(v128.load(sums), left0, factor0, offset0, offset2, fixup0);
      const b = scaleFour(v128.load(sums, 16), left1, factor1, offset1, offset3, fixup1);
      storeEight(i16x8.shuffle(a, b, 1, 3, 5, 7, 9, 11, 13, 15), y, left, isWide);
    }
    return;
  }
  for (let row = 0; row < rows; row++, sums += 32, y += yStride) {
    const a = scaleFour(v128.load(sums), left0, factor0, offset0, offset2, fixup0);
    const b = scaleFour(v128.load(sums, 16), left1, factor1, offset1, offset3, fixup1);
    const columns = i16x8.narrow_i32x4_s(i32x4.shr_s(a, shift), i32x4.shr_s(b, shift));
    storeEight(i16x8.min_s(i16x8.max_s(columns, least), most), y, left, isWide);
  }
}

/**
 * With n, the right shift of a column, and u = floor((2^d·sum·multiplier + 2^(30 + d)) / 2^32), in
 * units of 2^(1 − d) doubling high products, this is what is shifted by `shift`, with ties away from
 * zero: u + 2^(shift − 1) − [sum < 0]·2^(d − 1). (Where u is not negative though the sum is, both give 0.)
 * The zero point is added before the shift, too.
 */
// @ts-ignore: decorator
@inline
function scaleFour(
  sums: v128, left: v128, factors: v128, lowOffset: v128, highOffset: v128, fixup: v128,
): v128 {
  const shifted = i32x4.mul(sums, left);
  const low = i64x2.add(i64x2.extmul_low_i32x4_s(shifted, factors), lowOffset);
  const high = i64x2.add(i64x2.extmul_high_i32x4_s(shifted, factors), highOffset);
  return i32x4.add(highWords(low, high), v128.and(i32x4.shr_s(sums, 31), fixup));
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

/** As many of eight int16 as are `left`, as int8 or int16. */
// @ts-ignore: decorator
@inline
export function storeEight(x: v128, y: usize, left: i32, isWide: bool): void {
  if (!isWide) {
    const bytes = i8x16.narrow_i16x8_s(x, x);
    if (left >= 8) v128.store64_lane(y, bytes, 0);
    else storePart(y, i64x2.extract_lane(bytes, 0), left);
    return;
  }
  if (left >= 8) {
    v128.store(y, x);
    return;
  }
  storePart(y, i64x2.extract_lane(x, 0), min(8, 2 * left));
  if (left > 4) storePart(y + 8, i64x2.extract_lane(x, 1), 2 * left - 8);
}

/** The lowest `count` bytes, at most eight. */
function storePart(y: usize, bytes: i64, count: i32): void {
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
