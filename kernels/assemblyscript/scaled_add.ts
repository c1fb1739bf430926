// SPDX-License-Identifier: Apache-2.0
/** y = a + b·gamma: a residual join that scales its columns. */
import { clamp } from './fixed_point';

@unmanaged
export class ScaledAdd {
  width: i32;
  /** At most 2^21, like those of gamma. */
  multiplier: i32;
  gamma: usize;
  zeroPointB: i32;
  offset: i32;
  shift: i32;
  min: i32;
  max: i32;
}

/** y may be a or b. */
export function lm_scaled_add_s8_s8_simd(
  p: ScaledAdd, a: usize, aStride: i32, b: usize, bStride: i32, rows: i32, y: usize, yStride: i32,
): void {
  for (let row = 0; row < rows; row++) {
    let first = a + <usize>(row * aStride), second = b + <usize>(row * bStride);
    let gamma = p.gamma, to = y + <usize>(row * yStride), left = p.width;
    for (; left >= 8; left -= 8, first += 8, second += 8, gamma += 32, to += 8) {
      const eight = eightOf(p, first, second, gamma);
      v128.store64_lane(to, i8x16.narrow_i16x8_s(eight, eight), 0);
    }
    for (; left > 0; left--, first++, second++, gamma += 4, to++) {
      store<i8>(to, <i8>oneOf(p, first, second, gamma));
    }
  }
}

export function lm_scaled_add_s8_s16_simd(
  p: ScaledAdd, a: usize, aStride: i32, b: usize, bStride: i32, rows: i32, y: usize, yStride: i32,
): void {
  for (let row = 0; row < rows; row++) {
    let first = a + <usize>(row * aStride), second = b + <usize>(row * bStride);
    let gamma = p.gamma, to = y + 2 * <usize>(row * yStride), left = p.width;
    for (; left >= 8; left -= 8, first += 8, second += 8, gamma += 32, to += 16) {
      v128.store(to, eightOf(p, first, second, gamma));
    }
    for (; left > 0; left--, first++, second++, gamma += 4, to += 2) {
      store<i16>(to, <i16>oneOf(p, first, second, gamma));
    }
  }
}

/** int16. */
// @ts-ignore: decorator
@inline
function eightOf(p: ScaledAdd, a: usize, b: usize, gamma: usize): v128 {
  const first = v128.load8x8_s(a);
  const second = i16x8.sub(v128.load8x8_s(b), i16x8.splat(<i16>p.zeroPointB));
  const low = fourOf(
    p, i32x4.extend_low_i16x8_s(first), i32x4.extend_low_i16x8_s(second), v128.load(gamma));
  const high = fourOf(
    p, i32x4.extend_high_i16x8_s(first), i32x4.extend_high_i16x8_s(second), v128.load(gamma, 16));
  const least = i16x8.splat(<i16>p.min), most = i16x8.splat(<i16>p.max);
  return i16x8.min_s(i16x8.max_s(i16x8.narrow_i32x4_s(low, high), least), most);
}

// @ts-ignore: decorator
@inline
function fourOf(p: ScaledAdd, a: v128, b: v128, gamma: v128): v128 {
  const products = i32x4.add(i32x4.mul(a, i32x4.splat(p.multiplier)), i32x4.mul(b, gamma));
  return i32x4.shr_s(i32x4.add(products, i32x4.splat(p.offset)), p.shift);
}

// @ts-ignore: decorator
@inline
function oneOf(p: ScaledAdd, a: usize, b: usize, gamma: usize): i32 {
  const products = <i32>load<i8>(a) * p.multiplier +
    (<i32>load<i8>(b) - p.zeroPointB) * load<i32>(gamma);
  return clamp((products + p.offset) >> p.shift, p.min, p.max);
}
