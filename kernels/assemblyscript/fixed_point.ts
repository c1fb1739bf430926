// SPDX-License-Identifier: Apache-2.0
/**
 * Rounding and saturation of every integer op, one at a time and four at a time: the twin of
 * toolchain/ops/fixed-point.ts, where each function's meaning stands.
 */

export function clamp(x: i32, least: i32, most: i32): i32 {
  return min(max(x, least), most);
}

/** floor((a·b + 2^30) / 2^31), saturated. */
export function doublingHighMul(a: i32, b: i32): i32 {
  const high = ((<i64>a) * (<i64>b) + (1 << 30)) >> 31;
  return high > <i64>i32.MAX_VALUE ? i32.MAX_VALUE : <i32>high;
}

/** x / 2^exponent, ties away from zero; exponent 0 … 31. */
export function roundingDivideByPowerOfTwo(x: i32, exponent: i32): i32 {
  const mask: u32 = ((<u32>1) << exponent) - 1;
  const threshold: u32 = (mask >> 1) + <u32>(x < 0);
  return (x >> exponent) + <i32>(((<u32>x) & mask) > threshold);
}

export function requantize(accumulator: i32, multiplier: i32, shift: i32): i32 {
  const left = max(shift, 0);
  const right = max(-shift, 0);
  return roundingDivideByPowerOfTwo(doublingHighMul(accumulator << left, multiplier), right);
}

/** clamp(x + zeroPoint, least, most) where the sum may not fit int32. */
export function clampFromZeroPoint(x: i32, zeroPoint: i32, least: i32, most: i32): i32 {
  return clamp(x, least - zeroPoint, most - zeroPoint) + zeroPoint;
}

export function sumOfLanes(x: v128): i32 {
  const pairs = i32x4.add(x, i32x4.shuffle(x, x, 2, 3, 0, 1));
  return i32x4.extract_lane(pairs, 0) + i32x4.extract_lane(pairs, 1);
}

/** `requantize` of four sums, whatever the shift. */
export function requantizeEach(sums: v128, multiplier: i32, shift: i32): v128 {
  let y = i32x4.splat(requantize(i32x4.extract_lane(sums, 0), multiplier, shift));
  y = i32x4.replace_lane(y, 1, requantize(i32x4.extract_lane(sums, 1), multiplier, shift));
  y = i32x4.replace_lane(y, 2, requantize(i32x4.extract_lane(sums, 2), multiplier, shift));
  return i32x4.replace_lane(y, 3, requantize(i32x4.extract_lane(sums, 3), multiplier, shift));
}

/** floor(x / 2^32) of four int64. */
// @ts-ignore: decorator
@inline
export function highWords(low: v128, high: v128): v128 {
  return i32x4.shuffle(low, high, 1, 3, 5, 7);
}

/**
 * `requantize` of four sums below 2^30 in magnitude, shift −30 … −1. With n = −shift and the doubling
 * high product u, ties go away from zero by (u + 2^(n − 1) − [sum < 0]) >> n. (Where u is not negative
 * though the sum is, both give 0.) `rounding`: of `roundingOf(shift)`.
 */
// @ts-ignore: decorator
@inline
export function requantizeFour(sums: v128, multipliers: v128, rounding: v128, shift: i32): v128 {
  const doubled = i32x4.shl(sums, 1);
  const low = i64x2.add(i64x2.extmul_low_i32x4_s(doubled, multipliers), rounding);
  const high = i64x2.add(i64x2.extmul_high_i32x4_s(doubled, multipliers), rounding);
  return i32x4.shr_s(i32x4.add(highWords(low, high), i32x4.shr_s(sums, 31)), -shift);
}

/** What is added to twice the products, of which the upper halves count. */
// @ts-ignore: decorator
@inline
export function roundingOf(shift: i32): v128 {
  return i64x2.splat(((<i64>1) << 31) + ((<i64>1) << (31 - shift)));
}

/** Whether `requantizeFour` may be called for sums below `bound`. */
// @ts-ignore: decorator
@inline
export function isUsual(shift: i32, bound: i64): bool {
  return shift <= -1 && shift >= -30 && bound <= 1 << 30;
}

/** factor / divisor, as multiplier | shift << 32; 1 ≤ divisor < 2^31. */
export function divideRequant(multiplier: i32, shift: i32, divisor: i32): i64 {
  const leadingZeros = clz(divisor);
  const normalized = <u64>((<u32>divisor) << leadingZeros);
  const quotient = ((<u64>1) << 62) / normalized;
  const reciprocal = quotient > <u64>i32.MAX_VALUE ? i32.MAX_VALUE : <i32>quotient;
  const divided = doublingHighMul(multiplier, reciprocal);
  return <i64>(<u64>(<u32>divided)) | ((<i64>clamp(shift + leadingZeros - 31, -31, 30)) << 32);
}

function highMul(a: u32, b: u32): u32 {
  return <u32>(((<u64>a) * (<u64>b)) >> 32);
}

/** 2.135 − 1.225·x in Q30 (fixed-point.ts). */
const GUESS_OFFSET: u32 = 2292438794;
const GUESS_SLOPE: u32 = 1315333734;

/** 2^30 / sqrt(x / 2^32) for x in [2^30, 2^32). */
export function reciprocalSqrt(x: u32): i32 {
  let y = GUESS_OFFSET - highMul(x, GUESS_SLOPE);
  for (let step = 0; step < 3; step++) {
    const square = highMul(y, y);
    const product = highMul(x, square) << 2;
    y = highMul(y, ((<u32>3) << 30) - product) << 1;
  }
  return y > <u32>i32.MAX_VALUE ? i32.MAX_VALUE : <i32>y;
}
