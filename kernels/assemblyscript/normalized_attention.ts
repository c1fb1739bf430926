// SPDX-License-Identifier: Apache-2.0
/**
 * y = softmax(q·kᵀ)·v with scores, softmax and result in int8, as TFLite composes it: one row, one head
 * at a time, for models that were made for another library. Each step's meaning stands in
 * toolchain/ops/softmax.ts.
 *
 *   scratch   scores + 128 of one row, which become weights 0 … 255
 */
import {
  clamp, clampFromZeroPoint, doublingHighMul, requantize, roundingDivideByPowerOfTwo,
} from './fixed_point';

@unmanaged
export class NormalizedAttention {
  heads: i32;
  headWidth: i32;
  valueWidth: i32;
  /** (heads): multiplier and shift. */
  scores: usize;
  /** (heads): multiplier, shift and smallest difference. */
  softmaxes: usize;
  mixMultiplier: i32;
  mixShift: i32;
  zeroPoint: i32;
}

/** At most 511 tokens. */
export function lm_normalized_attention_s8_s8_simd(
  p: NormalizedAttention, rows: i32, rowStart: i32, tokens: i32,
  q: usize, qStride: i32, k: usize, kStride: i32, v: usize, vStride: i32,
  scratch: usize, y: usize, yStride: i32,
): void {
  for (let row = 0; row < rows; row++) {
    for (let head = 0; head < p.heads; head++) {
      const query = q + <usize>(row * qStride + head * p.headWidth);
      weighKeys(p, head, query, k + <usize>(head * p.headWidth), kStride, tokens, scratch);
      const to = y + <usize>(row * yStride + head * p.valueWidth);
      mixValues(p, scratch, v + <usize>(head * p.valueWidth), vStride, tokens, to);
    }
  }
}

function weighKeys(
  p: NormalizedAttention, head: i32, q: usize, k: usize, stride: i32, keys: i32, weights: usize,
): void {
  const requant = p.scores + 8 * <usize>head;
  for (let key = 0; key < keys; key++) {
    let sum = 0;
    for (let i = 0; i < p.headWidth; i++) {
      sum += <i32>load<i8>(q + <usize>i) * <i32>load<i8>(k + <usize>(key * stride + i));
    }
    const scaled = requantize(sum, load<i32>(requant), load<i32>(requant, 4));
    store<u8>(weights + <usize>key, <u8>(clamp(scaled, -128, 127) + 128));
  }
  softmax(p.softmaxes + 12 * <usize>head, weights, keys);
}

function mixValues(
  p: NormalizedAttention, weights: usize, v: usize, stride: i32, keys: i32, y: usize,
): void {
  for (let column = 0; column < p.valueWidth; column++) {
    let sum = 0;
    for (let key = 0; key < keys; key++) {
      const value = <i32>load<i8>(v + <usize>(key * stride + column));
      sum += <i32>load<u8>(weights + <usize>key) * value;
    }
    const scaled = requantize(sum, p.mixMultiplier, p.mixShift);
    store<i8>(y + <usize>column, <i8>clampFromZeroPoint(scaled, p.zeroPoint, -128, 127));
  }
}

/** Weights 0 … 255 of the scores + 128, in their place; `scale`: multiplier, shift, least difference. */
function softmax(scale: usize, scores: usize, count: i32): void {
  let largest = 0;
  for (let i = 0; i < count; i++) largest = max(largest, <i32>load<u8>(scores + <usize>i));
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const power = exponentialOf(scale, largest - <i32>load<u8>(scores + <usize>i));
    sum += roundingDivideByPowerOfTwo(power, 12);
  }
  const headroom = clz(sum);
  const factor = reciprocal((sum << headroom) & i32.MAX_VALUE);
  for (let i = 0; i < count; i++) {
    const power = exponentialOf(scale, largest - <i32>load<u8>(scores + <usize>i));
    const weight = roundingDivideByPowerOfTwo(doublingHighMul(factor, power), 35 - headroom);
    store<u8>(scores + <usize>i, <u8>min(weight, 255));
  }
}

/** e^−difference, difference in 0 … 255. */
function exponentialOf(scale: usize, difference: i32): i32 {
  if (-difference < load<i32>(scale, 8)) return 0;
  return exponential(doublingHighMul(-difference << load<i32>(scale, 4), load<i32>(scale)));
}

/** e^x of x ≤ 0 in Q5.26, as Q0.31. */
function exponential(x: i32): i32 {
  if (x === 0) return i32.MAX_VALUE;
  const quarter = 1 << 24;
  const belowQuarter = (x & (quarter - 1)) - quarter;
  const rest = belowQuarter - x;
  let result = exponentialNearEighth(belowQuarter << 5);
  for (let bit = 0; bit < 7; bit++) {
    if ((rest & (quarter << bit)) !== 0) result = doublingHighMul(result, powerOfBit(bit));
  }
  return result;
}

/** e^(−2^(bit − 2)) in Q0.31. */
function powerOfBit(bit: i32): i32 {
  switch (bit) {
    case 0: return 1672461947;
    case 1: return 1302514674;
    case 2: return 790015084;
    case 3: return 290630308;
    case 4: return 39332535;
    case 5: return 720401;
    default: return 242;
  }
}

/** e^x of x in [−1/4, 0), Q5.26 with the point moved to Q0.31. */
function exponentialNearEighth(x: i32): i32 {
  const eighth: i32 = 1895147668; // e^(−1/8)
  const third: i32 = 715827883; // 1/3
  const t = x + (1 << 28);
  const t2 = doublingHighMul(t, t);
  const t3 = doublingHighMul(t2, t);
  const t4 = doublingHighMul(t2, t2);
  const cubic = doublingHighMul(roundingDivideByPowerOfTwo(t4, 2) + t3, third);
  const higher = roundingDivideByPowerOfTwo(cubic + t2, 1);
  return eighth + doublingHighMul(eighth, t + higher);
}

/** 1 / (1 + x) of x in [0, 1), both Q0.31. */
function reciprocal(x: i32): i32 {
  const half = <i32>((<i64>x + <i64>i32.MAX_VALUE + 1) / 2);
  let y = 1515870810 + doublingHighMul(half, -1010580540);
  for (let step = 0; step < 3; step++) {
    const error = (1 << 29) - doublingHighMul(half, y);
    y += saturatingShiftLeft(doublingHighMul(y, error), 2);
  }
  return saturatingShiftLeft(y, 1);
}

/** x·2^exponent, saturated. */
function saturatingShiftLeft(x: i32, exponent: i32): i32 {
  const shifted = <i64>x << <i64>exponent;
  return <i32>min<i64>(max<i64>(shifted, i32.MIN_VALUE), i32.MAX_VALUE);
}
