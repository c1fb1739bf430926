// SPDX-License-Identifier: Apache-2.0
/**
 * y = LayerNorm(a + b): the residual join. Multipliers stay below 2^13, so that a pair of int16
 * products gives the aligned sum.
 */
import { Norm, fillUp, normalizeRow } from './norm_row';

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
    addRow(p, a + <usize>(row * aStride), b + <usize>(row * bStride), scratch);
    normalizeRow(p, scratch, y + <usize>(row * yStride), false);
  }
}

export function lm_add_layernorm_s8_s16_simd(
  p: AddNorm, a: usize, aStride: i32, b: usize, bStride: i32, rows: i32,
  y: usize, yStride: i32, scratch: usize,
): void {
  for (let row = 0; row < rows; row++) {
    addRow(p, a + <usize>(row * aStride), b + <usize>(row * bStride), scratch);
    normalizeRow(p, scratch, y + 2 * <usize>(row * yStride), true);
  }
}

function addRow(p: AddNorm, a: usize, b: usize, sums: usize): void {
  const zeroA = i16x8.splat(<i16>p.zeroPointA), zeroB = i16x8.splat(<i16>p.zeroPointB);
  const multipliers = i32x4.splat((p.multiplierA & 0xffff) | (p.multiplierB << 16));
  for (let i: usize = 0; i < <usize>p.width; i += 8) {
    const first = i16x8.sub(v128.load8x8_s(a + i), zeroA);
    const second = i16x8.sub(v128.load8x8_s(b + i), zeroB);
    const low = i16x8.shuffle(first, second, 0, 8, 1, 9, 2, 10, 3, 11);
    const high = i16x8.shuffle(first, second, 4, 12, 5, 13, 6, 14, 7, 15);
    v128.store(sums + 4 * i, i32x4.dot_i16x8_s(low, multipliers));
    v128.store(sums + 4 * i, i32x4.dot_i16x8_s(high, multipliers), 16);
  }
  fillUp(sums, p.width);
}
