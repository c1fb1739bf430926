// SPDX-License-Identifier: Apache-2.0
/** y = f(gate)·up, f as a table. */
import { clamp } from './fixed_point';

@unmanaged
export class GatedProduct {
  width: i32;
  /** (256) int16, by gate + 128. */
  table: usize;
  zeroPointUp: i32;
  multiplier: i32;
  zeroPoint: i32;
}

/** y may be gate or up. */
export function lm_gated_product_s8_s8_simd(
  p: GatedProduct, gate: usize, gateStride: i32, up: usize, upStride: i32, rows: i32,
  y: usize, yStride: i32,
): void {
  const table = p.table + 256;
  for (let row = 0; row < rows; row++) {
    const gates = gate + <usize>(row * gateStride), ups = up + <usize>(row * upStride);
    const to = y + <usize>(row * yStride);
    for (let i: usize = 0; i < <usize>p.width; i++) {
      const factor = <i32>load<i16>(table + <usize>(2 * <i32>load<i8>(gates + i)));
      const product = factor * (<i32>load<i8>(ups + i) - p.zeroPointUp);
      const rounded = <i32>((<i64>product * <i64>p.multiplier + ((<i64>1) << 31)) >> 32);
      store<i8>(to + i, <i8>clamp(rounded + p.zeroPoint, -128, 127));
    }
  }
}
