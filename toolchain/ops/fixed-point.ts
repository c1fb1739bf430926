/**
 * Rounding and saturation of every integer op: the twin of `kernels/c/fixed_point.h`.
 *
 * All arguments and results are int32 unless said otherwise; every function is exact, so both files
 * give the same bits for all inputs (`test/quantize/fixed-point.test.ts` compares them at the edges).
 */

/** A real factor as `multiplier · 2^(shift − 31)`, multiplier in [2^30, 2^31) or 0. */
export interface Requant {
  readonly multiplier: number;
  /** Positive: left; −31 … 30. */
  readonly shift: number;
}

/**
 * `floor((a·b + 2^30) / 2^31)`: gemmlowp's SaturatingRoundingDoublingHighMul, Armv8.1-M's VQRDMULH.
 * a = b = −2^31 saturates to 2^31 − 1.
 */
export function doublingHighMul(a: number, b: number): number {
  const low = a * (b & 0xffff) + 0x40000000;
  const high = Math.floor((a * (b >> 16) + Math.floor(low / 0x10000)) / 0x8000);
  return high > 0x7fffffff ? 0x7fffffff : high;
}

/** `x / 2^exponent`, ties away from zero: gemmlowp's RoundingDivideByPOT. 0 ≤ exponent ≤ 31. */
export function roundingDivideByPowerOfTwo(x: number, exponent: number): number {
  const mask = ~(-1 << exponent);
  const threshold = (mask >> 1) - (x >> 31);
  return (x >> exponent) + ((threshold - (x & mask)) >>> 31); // + 1 if the remainder is greater
}

/** TFLite's MultiplyByQuantizedMultiplier (double rounding). The left shift wraps, as uint32 in C. */
export function requantize(accumulator: number, multiplier: number, shift: number): number {
  const left = shift > 0 ? shift : 0;
  const right = shift > 0 ? 0 : -shift;
  return roundingDivideByPowerOfTwo(doublingHighMul(accumulator << left, multiplier), right);
}

/** `floor((a·b + 2^31) / 2^32)`: Arm's SMMULR and Helium's VRMULH. */
export function roundingHighMul(a: number, b: number): number {
  const low = a * (b & 0xffff) + 0x80000000;
  return Math.floor((a * (b >> 16) + Math.floor(low / 0x10000)) / 0x10000);
}

/** `floor((x + 2^(shift−1)) / 2^shift)`, ties towards +∞; shift 0 … 31. Helium's VRSHR. */
export function roundingShiftRight(x: number, shift: number): number {
  return shift === 0 ? x : (x >> shift) + ((x >> (shift - 1)) & 1);
}

/** `x · 2^exponent`, saturated; exponent 0 … 31: gemmlowp's SaturatingRoundingMultiplyByPOT. */
export function saturatingShiftLeft(x: number, exponent: number): number {
  return clamp(x * 2 ** exponent, -0x80000000, 0x7fffffff);
}

export function clamp(x: number, min: number, max: number): number {
  return Math.max(min, Math.min(x, max));
}

/** The requantization parameters of a positive real factor. Factors below 2^-32 become 0. */
export function toRequant(factor: number): Requant {
  if (!(factor > 0) || !Number.isFinite(factor)) return { multiplier: 0, shift: 0 };
  let shift = Math.ceil(Math.log2(factor)) | 0;
  let multiplier = Math.round((factor / 2 ** shift) * 2 ** 31);
  if (multiplier < 2 ** 30) {
    shift -= 1;
    multiplier = Math.round((factor / 2 ** shift) * 2 ** 31);
  }
  if (multiplier >= 2 ** 31) {
    multiplier = 2 ** 30;
    shift += 1;
  }
  if (shift < -31) return { multiplier: 0, shift: 0 };
  if (shift > 30) return { multiplier: 0x7fffffff, shift: 30 };
  return { multiplier, shift };
}

/**
 * Requantization of a sum by `factor / divisor`, for a softmax row or a mean: one integer division
 * per row, then the ordinary requantization. 1 ≤ divisor < 2^31.
 */
export function divideRequant(factor: Requant, divisor: number): Requant {
  const leadingZeros = Math.clz32(divisor);
  const normalized = BigInt(divisor) << BigInt(leadingZeros); // [2^31, 2^32)
  const quotient = Number((1n << 62n) / normalized); // (2^30, 2^31]
  const reciprocal = Math.min(quotient, 0x7fffffff);
  const multiplier = doublingHighMul(factor.multiplier, reciprocal);
  return { multiplier, shift: clamp(factor.shift + leadingZeros - 31, -31, 30) };
}

/**
 * `2^30 / sqrt(x / 2^32)` for x in [2^30, 2^32) as uint32, by a linear first guess and three Newton
 * steps `y ← y·(3 − x·y²)/2`, all in uint32 with truncating high products. The result is in
 * (2^30, 2^31 − 1]; relative error below 2^-23 (measured in the test).
 */
export function reciprocalSqrt(x: number): number {
  const n = BigInt(x);
  let y = BigInt(rsqrtGuessOffset) - ((n * BigInt(rsqrtGuessSlope)) >> 32n); // Q30
  for (let step = 0; step < 3; step++) {
    const square = (y * y) >> 32n; // Q28
    const product = ((n * square) >> 32n) << 2n; // x·y², Q30
    const correction = 3n * (1n << 30n) - product; // Q30
    y = ((y * correction) >> 32n) << 1n; // Q30
  }
  return Number(y > 0x7fffffffn ? 0x7fffffffn : y);
}

/** First guess 2.135 − 1.225·x in Q30: relative error below 8.6 %, the least on [1/4, 1). */
const rsqrtGuessOffset = Math.round(2.135 * 2 ** 30);
const rsqrtGuessSlope = Math.round(1.225 * 2 ** 30);
