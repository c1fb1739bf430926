// SPDX-License-Identifier: Apache-2.0
/**
 * What follows the sum of every layer normalization. The sums of a row lie in scratch as int32,
 * filled up with zeros to a multiple of eight.
 */
import { highWords, reciprocalSqrt, sumOfLanes } from './fixed_point';
import { storeEight } from './linear_finish';

/** Parameters of a normalization (toolchain/emit/wasm-params.ts writes them). */
@unmanaged
export class Norm {
  width: i32;
  epsilonLow: u32;
  epsilonHigh: u32;
  fraction: i32;
  outShift: i32;
  min: i32;
  max: i32;
  /** (width) int16, filled up to a multiple of eight. */
  gamma: usize;
  /** (width) int32, filled up likewise. */
  beta: usize;
}

/** Zeros behind the sums of a row. */
export function fillUp(sums: usize, width: i32): void {
  for (const end = (width + 7) & ~7; width < end; width++) store<i32>(sums + 4 * <usize>width, 0);
}

export function normalizeRow(p: Norm, sums: usize, y: usize, isWide: bool): void {
  const width = p.width;
  let all = i32x4.splat(0);
  let squares = i64x2.splat(0);
  for (let i = 0; i < width; i += 4) {
    const v = v128.load(sums + 4 * <usize>i);
    all = i32x4.add(all, v);
    squares = i64x2.add(squares, i64x2.extmul_low_i32x4_s(v, v));
    squares = i64x2.add(squares, i64x2.extmul_high_i32x4_s(v, v));
  }
  const sum = sumOfLanes(all);
  const square = i64x2.extract_lane(squares, 0) + i64x2.extract_lane(squares, 1);
  normalizeBy(p, sums, sum, square, y, isWide);
}

/** `square`: the sum of the squares of what lies in `sums`, whose sum is `sum`. */
export function normalizeBy(
  p: Norm, sums: usize, sum: i32, square: i64, y: usize, isWide: bool,
): void {
  const width = p.width;
  const epsilon = <i64>((<u64>p.epsilonHigh << 32) | <u64>p.epsilonLow);
  const variance = <i64>width * square - <i64>sum * <i64>sum + epsilon;
  if (variance <= 0) {
    scaleRow(p, sums, sum, 0, 0, 0, y, isWide);
    return;
  }
  const leadingZeros = <i32>clz(variance) & ~1;
  const factor = reciprocalSqrt(<u32>(<u64>(variance << leadingZeros) >> 32));
  const shift = 62 - p.fraction - (leadingZeros >> 1);
  scaleRow(p, sums, sum, factor, max(0, 32 - shift), max(0, shift - 32), y, isWide);
}

/** n = (width·v − sum)·2^fraction/√variance as int16, then n·gamma + beta. */
function scaleRow(
  p: Norm, sums: usize, sum: i32, factor: i32, left: i32, right: i32, y: usize, isWide: bool,
): void {
  const width = p.width;
  // Shifts of lanes by a variable take four instructions: the one to the left is in the factors.
  const widths = i32x4.splat(width << left), total = i32x4.splat(sum << left);
  const factors = i32x4.splat(factor), outShift = p.outShift;
  const rounding = i64x2.splat((1 << 31) + (right > 0 ? 1 << (31 + right) : 0));
  const least = i16x8.splat(<i16>p.min), most = i16x8.splat(<i16>p.max);
  let gamma = p.gamma, beta = p.beta;
  for (let i = 0; i < width; i += 8, gamma += 16, beta += 32) {
    const at = sums + 4 * <usize>i;
    const a = centered(v128.load(at), widths, total, factors, rounding, right);
    const b = centered(v128.load(at, 16), widths, total, factors, rounding, right);
    const n = i16x8.narrow_i32x4_s(a, b);
    const gammas = v128.load(gamma);
    const low = i32x4.add(i32x4.extmul_low_i16x8_s(n, gammas), v128.load(beta));
    const high = i32x4.add(i32x4.extmul_high_i16x8_s(n, gammas), v128.load(beta, 16));
    const scaled = i16x8.narrow_i32x4_s(
      i32x4.shr_s(low, outShift), i32x4.shr_s(high, outShift));
    storeEight(i16x8.min_s(i16x8.max_s(scaled, least), most), y, width - i, isWide);
    y += <usize>8 << <usize>isWide;
  }
}

/** floor((c·factor + 2^31) / 2^32), then a rounding shift, ties upwards: below 2^30, so no wrap. */
// @ts-ignore: decorator
@inline
function centered(
  v: v128, widths: v128, total: v128, factors: v128, rounding: v128, right: i32,
): v128 {
  const c = i32x4.sub(i32x4.mul(v, widths), total);
  const low = i64x2.add(i64x2.extmul_low_i32x4_s(c, factors), rounding);
  const high = i64x2.add(i64x2.extmul_high_i32x4_s(c, factors), rounding);
  return i32x4.shr_s(highWords(low, high), right);
}
