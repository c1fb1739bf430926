/**
 * TFLite's int8 softmax: the fixed-point arithmetic that CMSIS-NN's `arm_softmax_s8` repeats, from
 * gemmlowp's exponential and reciprocal. The twin in C is `kernels/c/softmax.h`.
 */
import {
  clamp,
  doublingHighMul,
  roundingDivideByPowerOfTwo,
  saturatingShiftLeft,
  toRequant,
} from './fixed-point.ts';

/** What turns a difference of int8 scores into a number with 5 bits before the point. */
export interface SoftmaxScale {
  readonly multiplier: number;
  /** To the left, 0 … 30. */
  readonly shift: number;
  /** Differences below have the weight 0. */
  readonly smallestDifference: number;
}

/** What a step of the weights is worth. */
export const weightScale = 1 / 256;

/**
 * The sum of the exponentials has 12 bits before the point; from 2^9 on the last division would be
 * by 2^32, which TFLite leaves undefined.
 */
export const mostScores = 511;

const integerBits = 5;
const sumBits = 12;

/** `scoreScale`: what a step of the scores is worth. */
export function softmaxScale(scoreScale: number): SoftmaxScale {
  const fractionBits = 31 - integerBits;
  // At least 1/2, for the shift is to the left: 127 such steps make e^x less by a millionth.
  const { multiplier, shift } = toRequant(clamp(scoreScale * 2 ** fractionBits, 0.5, 2 ** 31 - 1));
  const largest = (2 ** integerBits - 1) * 2 ** fractionBits;
  return { multiplier, shift, smallestDifference: -Math.floor(largest / 2 ** shift) };
}

/** e^−d in Q0.31 of all differences d = 0 … 255 of int8 scores; 0 where they count for nothing. */
export function exponentials({ multiplier, shift, smallestDifference }: SoftmaxScale): Int32Array {
  return Int32Array.from({ length: 256 }, (_, difference) =>
    -difference < smallestDifference
      ? 0
      : exponential(doublingHighMul(-difference << shift, multiplier)),
  );
}

/** `weights[i] = 256·softmax(scores)_i`, 0 … 255: TFLite's int8 result without its zero point. */
export function softmax(scores: Int8Array, exponentialOf: Int32Array, weights: Uint8Array): void {
  let largest = scores[0]!;
  for (const score of scores) largest = Math.max(largest, score);
  let sum = 0;
  for (const score of scores) {
    sum += roundingDivideByPowerOfTwo(exponentialOf[largest - score]!, sumBits);
  }
  const headroom = Math.clz32(sum);
  const scale = reciprocal((sum << headroom) ^ -0x80000000);
  const bits = sumBits - headroom + 23;
  for (const [index, score] of scores.entries()) {
    const weight = doublingHighMul(scale, exponentialOf[largest - score]!);
    weights[index] = clamp(roundingDivideByPowerOfTwo(weight, bits), 0, 255);
  }
}

/** e^x of x ≤ 0 in Q5.26, as Q0.31: gemmlowp's exp_on_negative_values. */
function exponential(x: number): number {
  if (x === 0) return 0x7fffffff;
  const quarter = 1 << 24;
  const belowQuarter = (x & (quarter - 1)) - quarter; // [−1/4, 0)
  let result = exponentialNearEighth(belowQuarter << integerBits);
  for (const [bit, factor] of exponentialsOfBits.entries()) {
    const isSet = ((belowQuarter - x) & (quarter << bit)) !== 0;
    if (isSet) result = doublingHighMul(result, factor);
  }
  return result;
}

/** e^(−2^k) in Q0.31 for k = −2 … 4. */
const exponentialsOfBits = [
  1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242,
] as const;

/** e^x of x in [−1/4, 0), Q0.31: the Taylor polynomial of degree 4 around −1/8. */
function exponentialNearEighth(x: number): number {
  const t = x + (1 << 28);
  const t2 = doublingHighMul(t, t);
  const t3 = doublingHighMul(t2, t);
  const t4 = doublingHighMul(t2, t2);
  const third = doublingHighMul(roundingDivideByPowerOfTwo(t4, 2) + t3, 715827883); // 1/3
  const higher = roundingDivideByPowerOfTwo(third + t2, 1);
  return eighth + doublingHighMul(eighth, t + higher);
}

/** e^(−1/8) in Q0.31. */
const eighth = 1895147668;

/** 1/(1 + x) of x in [0, 1), both Q0.31: three Newton steps from 48/17 − 32/17·(1 + x)/2. */
function reciprocal(x: number): number {
  const half = Math.floor((x + 0x7fffffff + 1) / 2); // (1 + x)/2 in Q0.31
  let y = 1515870810 + doublingHighMul(half, -1010580540); // Q2.29
  for (let step = 0; step < 3; step++) {
    const error = (1 << 29) - doublingHighMul(half, y);
    y += saturatingShiftLeft(doublingHighMul(y, error), 2);
  }
  return saturatingShiftLeft(y, 1);
}
