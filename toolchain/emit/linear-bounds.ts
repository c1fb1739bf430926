/** What a kernel of a linear may take for granted of its constants, so that it need not look through them. */
import type { LinearInteger } from '../ops/linear.ts';

export interface LinearBounds {
  /** No |bias + Σ x·w| of int8 x is larger. */
  readonly mostSum: number;
  readonly leastShift: number;
  readonly mostShift: number;
}

/** `weights`: row-major (outputs, inputs). */
export function linearBounds(
  { shifts }: Pick<LinearInteger, 'shifts'>,
  weights: ArrayLike<number>,
  bias: ArrayLike<number>,
  inputs: number,
): LinearBounds {
  return {
    mostSum: largestSums(weights, bias, inputs, 128).reduce((a, b) => Math.max(a, b), 0),
    leastShift: shifts.reduce((least, shift) => Math.min(least, shift), 0x7f),
    mostShift: shifts.reduce((most, shift) => Math.max(most, shift), -0x80),
  };
}

/** Of each output: no |bias + Σ x·w| is larger where |x| is at most `largestInput`. */
export function largestSums(
  weights: ArrayLike<number>,
  bias: ArrayLike<number>,
  inputs: number,
  largestInput: number,
): Float64Array {
  return Float64Array.from({ length: bias.length }, (_, row) => {
    let magnitude = 0;
    for (let i = 0; i < inputs; i++) magnitude += Math.abs(weights[row * inputs + i]!);
    return Math.abs(bias[row]!) + magnitude * largestInput;
  });
}
