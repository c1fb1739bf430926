// SPDX-License-Identifier: Apache-2.0
/** y = x with each two columns turned by the angle of their row. */
import { clamp, highWords } from './fixed_point';

@unmanaged
export class Rotary {
  heads: i32;
  /** Even. */
  headWidth: i32;
  multiplier: i32;
  /** 0 … 30. */
  shift: i32;
  /** (tokens, headWidth) int16: cosine and sine in Q14, a pair a turn. */
  table: usize;
}

/** `rowStart`: the token of the first row. */
export function lm_rotary_s16_s8_simd(
  p: Rotary, x: usize, xStride: i32, rows: i32, rowStart: i32, y: usize, yStride: i32,
): void {
  const width = <usize>p.headWidth;
  for (let row = 0; row < rows; row++) {
    const angles = p.table + 2 * <usize>((rowStart + row) * p.headWidth);
    let from = x + 2 * <usize>(row * xStride), to = y + <usize>(row * yStride);
    for (let head = 0; head < p.heads; head++, from += 2 * width, to += width) {
      turnHead(p, from, angles, to);
    }
  }
}

function turnHead(p: Rotary, x: usize, angles: usize, y: usize): void {
  const multipliers = i32x4.splat(p.multiplier), shift = p.shift;
  const half = i64x2.splat((<i64>1) << 31), rounding = i32x4.splat((1 << shift) >> 1);
  const sines = i32x4.splat(-0x10000);
  let i = 0;
  for (; i + 8 <= p.headWidth; i += 8) {
    const own = v128.load(x + 2 * <usize>i), angle = v128.load(angles + 2 * <usize>i);
    const swapped = i16x8.shuffle(own, own, 1, 0, 3, 2, 5, 4, 7, 6);
    // With the sine turned round, pairs of products are a·cos − b·sin.
    const inverse = i16x8.sub(v128.xor(angle, sines), sines);
    const u = scaled(i32x4.dot_i16x8_s(own, inverse), multipliers, half, rounding, shift);
    const v = scaled(i32x4.dot_i16x8_s(swapped, angle), multipliers, half, rounding, shift);
    const pairs = i16x8.narrow_i32x4_s(i32x4.shuffle(u, v, 0, 4, 1, 5), i32x4.shuffle(u, v, 2, 6, 3, 7));
    v128.store64_lane(y + <usize>i, i8x16.narrow_i16x8_s(pairs, pairs), 0);
  }
  for (; i < p.headWidth; i += 2) {
    const at = x + 2 * <usize>i, angle = angles + 2 * <usize>i;
    const a = <i32>load<i16>(at), b = <i32>load<i16>(at, 2);
    const cosine = <i32>load<i16>(angle), sine = <i32>load<i16>(angle, 2);
    store<i8>(y + <usize>i, scaledOne(p, a * cosine - b * sine));
    store<i8>(y + <usize>i, scaledOne(p, a * sine + b * cosine), 1);
  }
}

/** Above 127 in magnitude they saturate when they are stored. */
// @ts-ignore: decorator
@inline
function scaled(sums: v128, multipliers: v128, half: v128, rounding: v128, shift: i32): v128 {
  const low = i64x2.add(i64x2.extmul_low_i32x4_s(sums, multipliers), half);
  const high = i64x2.add(i64x2.extmul_high_i32x4_s(sums, multipliers), half);
  return i32x4.shr_s(i32x4.add(highWords(low, high), rounding), shift);
}

function scaledOne(p: Rotary, sum: i32): i8 {
  const product = <i32>((<i64>sum * <i64>p.multiplier + ((<i64>1) << 31)) >> 32);
  return <i8>clamp((product + ((1 << p.shift) >> 1)) >> p.shift, -128, 127);
}
