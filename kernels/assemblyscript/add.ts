// SPDX-License-Identifier: Apache-2.0
/** y = a + b as TFLite computes it. */
import { clampFromZeroPoint, requantize } from './fixed_point';

@unmanaged
export class Add {
  width: i32;
  zeroPointA: i32;
  zeroPointB: i32;
  multiplierA: i32;
  shiftA: i32;
  multiplierB: i32;
  shiftB: i32;
  multiplier: i32;
  shift: i32;
  zeroPoint: i32;
  min: i32;
  max: i32;
}

const LEFT_SHIFT: i32 = 20;

export function lm_add_s8_s8_simd(
  p: Add, a: usize, aStride: i32, b: usize, bStride: i32, rows: i32, y: usize, yStride: i32,
): void {
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < p.width; i++) {
      const x0 = <i32>load<i8>(a + <usize>(row * aStride + i)) - p.zeroPointA;
      const x1 = <i32>load<i8>(b + <usize>(row * bStride + i)) - p.zeroPointB;
      const sum = requantize(x0 << LEFT_SHIFT, p.multiplierA, p.shiftA) +
        requantize(x1 << LEFT_SHIFT, p.multiplierB, p.shiftB);
      const scaled = requantize(sum, p.multiplier, p.shift);
      const value = clampFromZeroPoint(scaled, p.zeroPoint, p.min, p.max);
      store<i8>(y + <usize>(row * yStride + i), <i8>value);
    }
  }
}
