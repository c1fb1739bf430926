// SPDX-License-Identifier: Apache-2.0
/** Rows of a table that is a linear's weights, found by token id; `ids` 0: by position. */
import { clamp } from './fixed_point';
import { tableRow } from './table_rows';

@unmanaged
export class WeightRows {
  width: i32;
  rows: i32;
  /** As `quads` of toolchain/schedule/packings.ts. */
  weights: usize;
  /** (rows) uint16 */
  multipliers: usize;
  shift: i32;
}

/** y = (weights[id]·multipliers[id] + 2^(shift − 1)) >> shift, saturated. */
export function lm_weight_rows_s8_s16_simd(
  p: WeightRows, ids: usize, rows: i32, rowStart: i32, y: usize, yStride: i32,
): void {
  const half = (1 << p.shift) >> 1;
  const groupBytes = ((p.width + 3) >> 2) * 16;
  for (let row = 0; row < rows; row++) {
    const index = tableRow(ids, row, rowStart);
    const multiplier = <i32>load<u16>(p.multipliers + 2 * <usize>index);
    const from = p.weights + <usize>((index >> 2) * groupBytes + (index & 3) * 4);
    const to = y + 2 * <usize>(row * yStride);
    for (let i = 0; i < p.width; i++) {
      const weight = <i32>load<i8>(from + <usize>((i >> 2) * 16 + (i & 3)));
      const scaled = (weight * multiplier + half) >> p.shift;
      store<i16>(to + 2 * <usize>i, <i16>clamp(scaled, -32768, 32767));
    }
  }
}
