// SPDX-License-Identifier: Apache-2.0
/** The mean over all rows, one requantization a column; what is carried is the sum of each column. */
import { clamp, divideRequant, requantize } from './fixed_point';

@unmanaged
export class MeanRows {
  width: i32;
  zeroPoint: i32;
  multiplier: i32;
  shift: i32;
  min: i32;
  max: i32;
}

export function lm_mean_rows_s8_s8_simd(
  p: MeanRows, x: usize, xStride: i32, first: i32, rows: i32, tokens: i32, carry: usize, y: usize,
): void {
  if (!addBlock(p, x, xStride, first, rows, tokens, carry)) return;
  const mean = divideRequant(p.multiplier, p.shift, tokens);
  for (let i = 0; i < p.width; i++) {
    store<i8>(y + <usize>i, <i8>meanOf(p, tokens, carry, mean, i));
  }
}

export function lm_mean_rows_s8_s16_simd(
  p: MeanRows, x: usize, xStride: i32, first: i32, rows: i32, tokens: i32, carry: usize, y: usize,
): void {
  if (!addBlock(p, x, xStride, first, rows, tokens, carry)) return;
  const mean = divideRequant(p.multiplier, p.shift, tokens);
  for (let i = 0; i < p.width; i++) {
    store<i16>(y + 2 * <usize>i, <i16>meanOf(p, tokens, carry, mean, i));
  }
}

/** True when the sums are those of all rows. */
function addBlock(
  p: MeanRows, x: usize, xStride: i32, first: i32, rows: i32, tokens: i32, carry: usize,
): bool {
  if (first === 0) memory.fill(carry, 0, 4 * <usize>p.width);
  for (let row = 0; row < rows; row++) {
    const from = x + <usize>(row * xStride);
    let i = 0;
    for (; i + 8 <= p.width; i += 8) {
      const wide = v128.load8x8_s(from + <usize>i);
      const to = carry + 4 * <usize>i;
      v128.store(to, i32x4.add(v128.load(to), i32x4.extend_low_i16x8_s(wide)));
      v128.store(to, i32x4.add(v128.load(to, 16), i32x4.extend_high_i16x8_s(wide)), 16);
    }
    for (; i < p.width; i++) {
      const to = carry + 4 * <usize>i;
      store<i32>(to, load<i32>(to) + <i32>load<i8>(from + <usize>i));
    }
  }
  return first + rows === tokens;
}

function meanOf(p: MeanRows, tokens: i32, carry: usize, mean: i64, column: i32): i32 {
  const sum = load<i32>(carry + 4 * <usize>column) - tokens * p.zeroPoint;
  return clamp(requantize(sum, <i32>mean, <i32>(mean >> 32)), p.min, p.max);
}
