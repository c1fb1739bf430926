// SPDX-License-Identifier: Apache-2.0
/**
 * y = x / √(mean of x² + epsilon)·gamma: a layer normalization of which the sum counts as 0, with the
 * same beta in all columns.
 */
import { widenWide } from './layernorm';
import { Norm, normalizeBy } from './norm_row';

export function lm_rms_norm_s16_s8_simd(
  p: Norm, x: usize, xStride: i32, rows: i32, y: usize, yStride: i32, scratch: usize,
): void {
  for (let row = 0; row < rows; row++) {
    const from = x + 2 * <usize>(row * xStride);
    widenWide(p, from, scratch);
    normalizeBy(p, scratch, 0, squaresOf(scratch, p.width), y + <usize>(row * yStride), false);
  }
}

/** Of numbers within int16, filled up with zeros: two squares fit 32 bits without a sign. */
function squaresOf(sums: usize, width: i32): i64 {
  let squares = i64x2.splat(0);
  for (const end = sums + 4 * <usize>width; sums < end; sums += 32) {
    const x = i16x8.narrow_i32x4_s(v128.load(sums), v128.load(sums, 16));
    const pairs = i32x4.dot_i16x8_s(x, x);
    squares = i64x2.add(squares, i64x2.extend_low_i32x4_u(pairs));
    squares = i64x2.add(squares, i64x2.extend_high_i32x4_u(pairs));
  }
  return i64x2.extract_lane(squares, 0) + i64x2.extract_lane(squares, 1);
}
