/**
 * The scaling of results: `(value · scale) >> shift` in one of three roundings, exact for every
 * accumulator and scale.
 *
 * `tfl` is TFLite's double rounding: by 2^31 and then by the rest, ties away from zero. In one step
 * that is half of 2^shift, and 2^30 more or less where the second rounding takes part (shift > 31).
 */
import type { Rounding, Scale } from '../../ethosu/operations.ts';

/** Products of such values with 16 bits are exact. */
const mostFast = 2 ** 36;
const two32 = 2 ** 32;
const powers = Float64Array.from({ length: 64 }, (_, exponent) => 2 ** exponent);

/**
 * `leftShift`: bits by which the value counts as shifted left before, as operands of ADD and SUB do;
 * the first of the two roundings is then that much finer.
 */
export function scaled(
  value: number,
  { scale, shift }: Scale,
  rounding: Rounding,
  leftShift = 0,
): number {
  if (shift === 0) return value * scale;
  if (value > mostFast || value < -mostFast) {
    return scaledBig(BigInt(value), BigInt(scale), BigInt(shift), rounding, BigInt(leftShift));
  }
  // value · scale = high · 2^32 + low, 0 ≤ low < 2^32
  const scaleHigh = Math.floor(scale / 65536);
  const upper = value * scaleHigh;
  const upperHigh = Math.floor(upper / 65536);
  const rest = (upper - upperHigh * 65536) * 65536 + value * (scale - scaleHigh * 65536);
  const carry = Math.floor(rest / two32);
  let high = upperHigh + carry;
  let low = rest - carry * two32;
  // What is added before the shift, as addHigh · 2^32 + addLow.
  let addHigh = shift > 32 ? powers[shift - 33]! : 0;
  let addLow = shift > 32 ? 0 : powers[shift - 1]!;
  if (rounding === 'tfl' && shift > 31 - leftShift) {
    addLow += (high < 0 ? -1 : 1) * powers[30 - leftShift]!;
  } else if (rounding === 'truncate') {
    // Towards zero: nothing for positive values, all below 2^shift for negative ones.
    addHigh = high < 0 && shift > 32 ? powers[shift - 32]! - 1 : 0;
    addLow = high < 0 ? (shift > 32 ? two32 : powers[shift]!) - 1 : 0;
  }
  low += addLow;
  const lowCarry = Math.floor(low / two32);
  high += addHigh + lowCarry;
  low -= lowCarry * two32;
  if (shift >= 32) return Math.floor(high / powers[shift - 32]!);
  return high * powers[32 - shift]! + Math.floor(low / powers[shift]!);
}

function scaledBig(
  value: bigint,
  scale: bigint,
  shift: bigint,
  rounding: Rounding,
  leftShift: bigint,
): number {
  const product = value * scale;
  const isNegative = product < 0n;
  if (rounding === 'truncate') return Number(isNegative ? -(-product >> shift) : product >> shift);
  let added = 1n << (shift - 1n);
  if (rounding === 'tfl' && shift > 31n - leftShift) {
    added += (isNegative ? -1n : 1n) << (30n - leftShift);
  }
  return Number((product + added) >> shift);
}

/** The scale of a mean of `count` values, as Vela computes it for average pools. */
export function meanScale(count: number): Scale {
  const bits = 32 - Math.clz32(count - 1);
  const shift = 31 + bits;
  return { scale: Math.floor((2 ** shift + 2 ** bits) / count), shift };
}

/** What the type holds. */
export function rangeOf(bytes: 1 | 2 | 4, isSigned: boolean): readonly [min: number, max: number] {
  const span = 2 ** (8 * bytes);
  return isSigned ? [-span / 2, span / 2 - 1] : [0, span - 1];
}

export function clamped(value: number, min: number, max: number): number {
  return value < min ? min : value > max ? max : value;
}
