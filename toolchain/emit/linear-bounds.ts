/** What a kernel of a linear may take for granted of its constants, so that it need not look through them. */
import type { LinearInteger } from '../ops/linear.ts';

export interface LinearBounds {
  /** No |bias + Σ x·w| of int8 x is larger. */
  readonly mostSum: number;
  readonly leastShift: number;
  readonly mostShift: number;
}

interface Weights {
  readonly data: ArrayLike<number>;
  readonly rows: number;
  readonly columns: number;
}

export function linearBounds(
  { shifts }: Pick<LinearInteger, 'shifts'>,
  { data, rows, columns }: Weights,
  bias: ArrayLike<number>,
): LinearBounds {
  let mostSum = 0;
  for (let row = 0; row < rows; row++) {
    let weights = 0;
    for (let i = row * columns; i < (row + 1) * columns; i++) weights += Math.abs(data[i]!);
    mostSum = Math.max(mostSum, Math.abs(bias[row]!) + 128 * weights);
  }
  return {
    mostSum,
    leastShift: shifts.reduce((least, shift) => Math.min(least, shift), 0x7f),
    mostShift: shifts.reduce((most, shift) => Math.max(most, shift), -0x80),
  };
}
