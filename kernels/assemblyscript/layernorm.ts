// SPDX-License-Identifier: Apache-2.0
/** y = LayerNorm(x) of a sum that was stored. */
import { Norm, fillUp, normalizeRow } from './norm_row';

export function lm_layernorm_s8_s8_simd(
  p: Norm, x: usize, xStride: i32, rows: i32, y: usize, yStride: i32, scratch: usize,
): void {
  for (let row = 0; row < rows; row++) {
    widen(p, x + <usize>(row * xStride), scratch);
    normalizeRow(p, scratch, y + <usize>(row * yStride), false);
  }
}

export function lm_layernorm_s8_s16_simd(
  p: Norm, x: usize, xStride: i32, rows: i32, y: usize, yStride: i32, scratch: usize,
): void {
  for (let row = 0; row < rows; row++) {
    widen(p, x + <usize>(row * xStride), scratch);
    normalizeRow(p, scratch, y + 2 * <usize>(row * yStride), true);
  }
}

export function lm_layernorm_s16_s8_simd(
  p: Norm, x: usize, xStride: i32, rows: i32, y: usize, yStride: i32, scratch: usize,
): void {
  for (let row = 0; row < rows; row++) {
    widenWide(p, x + 2 * <usize>(row * xStride), scratch);
    normalizeRow(p, scratch, y + <usize>(row * yStride), false);
  }
}

export function lm_layernorm_s16_s16_simd(
  p: Norm, x: usize, xStride: i32, rows: i32, y: usize, yStride: i32, scratch: usize,
): void {
  for (let row = 0; row < rows; row++) {
    widenWide(p, x + 2 * <usize>(row * xStride), scratch);
    normalizeRow(p, scratch, y + 2 * <usize>(row * yStride), true);
  }
}

function widen(p: Norm, x: usize, sums: usize): void {
  for (let i: usize = 0; i < <usize>p.width; i += 8) {
    const wide = v128.load8x8_s(x + i);
    v128.store(sums + 4 * i, i32x4.extend_low_i16x8_s(wide));
    v128.store(sums + 4 * i, i32x4.extend_high_i16x8_s(wide), 16);
  }
  fillUp(sums, p.width);
}

/** The same of int16. */
export function widenWide(p: Norm, x: usize, sums: usize): void {
  for (let i: usize = 0; i < <usize>p.width; i += 8) {
    v128.store(sums + 4 * i, v128.load16x4_s(x + 2 * i));
    v128.store(sums + 4 * i, v128.load16x4_s(x + 2 * i, 8), 16);
  }
  fillUp(sums, p.width);
}
