// SPDX-License-Identifier: Apache-2.0
/** y = a + b in int16: the residual stream. */
import { clamp } from './fixed_point';

@unmanaged
export class ResidualAdd {
  width: i32;
  /** 0 … 2^30. */
  multiplierA: i32;
  multiplierB: i32;
  /** 1 … 14. */
  shift: i32;
}

/** y may be a or b. */
export function lm_residual_add_s16_s16_simd(
  p: ResidualAdd, a: usize, aStride: i32, b: usize, bStride: i32, rows: i32,
  y: usize, yStride: i32,
): void {
  for (let row = 0; row < rows; row++) {
    addRow(
      p, a + 2 * <usize>(row * aStride), b + 2 * <usize>(row * bStride),
      y + 2 * <usize>(row * yStride),
    );
  }
}

function addRow(p: ResidualAdd, a: usize, b: usize, y: usize): void {
  const factorsA = i32x4.splat(p.multiplierA), factorsB = i32x4.splat(p.multiplierB);
  const half = 1 << (p.shift - 1), halves = i32x4.splat(half);
  let i = 0;
  for (; i + 4 <= p.width; i += 4, a += 8, b += 8, y += 8) {
    const sums = i32x4.add(scaled(v128.load16x4_s(a), factorsA), scaled(v128.load16x4_s(b), factorsB));
    const shifted = i32x4.shr_s(i32x4.add(sums, halves), p.shift);
    v128.store64_lane(y, i16x8.narrow_i32x4_s(shifted, shifted), 0);
  }
  for (; i < p.width; i++, a += 2, b += 2, y += 2) {
    const first = <i32>((<i64>load<i16>(a) * <i64>p.multiplierA) >> 16);
    const second = <i32>((<i64>load<i16>(b) * <i64>p.multiplierB) >> 16);
    store<i16>(y, <i16>clamp((first + second + half) >> p.shift, -32768, 32767));
  }
}

/** floor(x·factor / 2^16) of four int32. */
// @ts-ignore: decorator
@inline
function scaled(x: v128, factors: v128): v128 {
  const low = i64x2.shr_s(i64x2.extmul_low_i32x4_s(x, factors), 16);
  const high = i64x2.shr_s(i64x2.extmul_high_i32x4_s(x, factors), 16);
  return i32x4.shuffle(low, high, 0, 2, 4, 6);
}
