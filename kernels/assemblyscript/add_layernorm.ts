// SPDX-License-Identifier: Apache-2.0
/**
 * y = LayerNorm(a + b): the residual join. Multipliers stay below 2^13, so that a pair of int16
 * products gives the aligned sum.
 */
import { sumOfLanes } from './fixed_point';
import { Norm, normalizeBy } from './norm_row';

@unmanaged
export class AddNorm extends Norm {
  multiplierA: i32;
  multiplierB: i32;
  zeroPointA: i32;
  zeroPointB: i32;
}

export function lm_add_layernorm_s8_s8_simd(
  p: AddNorm, a: usize, aStride: i32, b: usize, bStride: i32, rows: i32,
  y: usize, yStride: i32, scratch: usize,
): void {
  for (let row = 0; row < rows; row++) {
    const to = y + <usize>(row * yStride);
    normalizeSum(p, a + <usize>(row * aStride), b + <usize>(row * bStride), scratch, to, false);
  }
}

export function lm_add_layernorm_s8_s16_simd(
  p: AddNorm, a: usize, aStride: i32, b: usize, bStride: i32, rows: i32,
  y: usize, yStride: i32, scratch: usize,
): void {
  for (let row = 0; row < rows; row++) {
    const to = y + 2 * <usize>(row * yStride);
    normalizeSum(p, a + <usize>(row * aStride), b + <usize>(row * bStride), scratch, to, true);
  }
}

/**
 * Squares of v = multiplierA·a + multiplierB·b are added up as products of a and b, which fit int16:
 * Σv² = multiplierA²·Σa² + 2·multiplierA·multiplierB·Σab + multiplierB²·Σb². (Rows of up to 2^15.)
 */
function normalizeSum(p: AddNorm, a: usize, b: usize, sums: usize, y: usize, isWide: bool): void {
  const zeroA = i16x8.splat(<i16>p.zeroPointA), zeroB = i16x8.splat(<i16>p.zeroPointB);
  const multipliers = i32x4.splat((p.multiplierA & 0xffff) | (p.multiplierB << 16));
  let all = i32x4.splat(0), aa = i32x4.splat(0), ab = i32x4.splat(0), bb = i32x4.splat(0);
  for (let i: i32 = 0, to = sums; i < p.width; i += 8, to += 32) {
    let first = i16x8.sub(v128.load8x8_s(a + <usize>i), zeroA);
    let second = i16x8.sub(v128.load8x8_s(b + <usize>i), zeroB);
    if (i + 8 > p.width) {
      const isThere = i16x8.lt_s(i16x8(0, 1, 2, 3, 4, 5, 6, 7), i16x8.splat(<i16>(p.width - i)));
      first = v128.and(first, isThere);
      second = v128.and(second, isThere);
    }
    const pairs = i16x8.shuffle(first, second, 0, 8, 1, 9, 2, 10, 3, 11);
    const others = i16x8.shuffle(first, second, 4, 12, 5, 13, 6, 14, 7, 15);
    const low = i32x4.dot_i16x8_s(pairs, multipliers);
    const high = i32x4.dot_i16x8_s(others, multipliers);
    v128.store(to, low);
    v128.store(to, high, 16);
    all = i32x4.add(all, i32x4.add(low, high));
    aa = i32x4.add(aa, i32x4.dot_i16x8_s(first, first));
    ab = i32x4.add(ab, i32x4.dot_i16x8_s(first, second));
    bb = i32x4.add(bb, i32x4.dot_i16x8_s(second, second));
  }
  const own = <i64>p.multiplierA, other = <i64>p.multiplierB;
  const square = own * own * <i64>sumOfLanes(aa) + 2 * own * other * <i64>sumOfLanes(ab) +
    other * other * <i64>sumOfLanes(bb);
  normalizeBy(p, sums, sumOfLanes(all), square, y, isWide);
}
