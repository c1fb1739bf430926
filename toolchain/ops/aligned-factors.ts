/** Real factors as integers of one unit, for sums of int8 whose addends differ in scale. */
import { z } from 'zod';
import { clamp } from './fixed-point.ts';
import { int } from './form.ts';

const mostBits = 21;
const most = 2 ** mostBits;
export const alignedFactor = int.min(-most).max(most);
/** Of the unit: 2^−shift. */
export const alignedShift = int.min(1).max(mostBits);
/** Beside it two products fit int32, of int8 and of the difference of two. */
export const alignedOffset = z
  .number()
  .int()
  .min(-(2 ** 30))
  .max(2 ** 30);

/** multipliers / 2^shift */
export function alignFactors(factors: readonly number[]): {
  readonly multipliers: readonly number[];
  readonly shift: number;
} {
  const largest = factors.reduce((sofar, factor) => Math.max(sofar, Math.abs(factor)), 0);
  const shift = clamp(Math.floor(mostBits - Math.log2(largest)), 1, mostBits);
  const multipliers = factors.map((factor) => clamp(Math.round(factor * 2 ** shift), -most, most));
  return { multipliers, shift };
}
