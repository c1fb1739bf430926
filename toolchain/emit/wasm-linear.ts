/**
 * Constants of a linear as `kernels/assemblyscript/linear_finish.ts` reads them. WebAssembly cannot
 * shift lanes by different counts, so sums are multiplied by powers of two that leave all columns with
 * the same right shift.
 */
import { roundUp } from '../integers.ts';
import type { LinearInteger } from '../ops/linear.ts';

/** Bytes of `scales` for every four outputs, and outputs that the kernels take at once. */
const scaleBytes = 80;
const step = 8;

export interface ColumnScales {
  /** Of all columns, to the right: 1 … 22. */
  readonly shift: number;
  readonly data: Uint8Array;
}

/**
 * `largestSums`: what each column's sum, bias included, cannot exceed. Null: sums do not fit. A shift of
 * 16 is best: the kernels then take upper halves.
 */
export function columnScales(
  { multipliers, shifts, zeroPoint }: Pick<LinearInteger, 'multipliers' | 'shifts' | 'zeroPoint'>,
  largestSums: ArrayLike<number>,
): ColumnScales | null {
  // A multiplier of 0 gives 0 with every shift.
  const rights = Array.from(shifts, (shift, column) => (multipliers[column] === 0 ? 1 : -shift));
  const most = Math.max(...rights);
  if (most > mostShift || rights.some((right) => right < 1)) return null;
  const fits = (shift: number): boolean =>
    rights.every((right, column) => {
      const left = shift + 1 - right;
      return left >= 1 && largestSums[column]! * 2 ** left < 2 ** 31;
    });
  const shift = [halfShift, most].find(fits);
  if (shift === undefined) return null;
  const data = new Uint8Array(paddedOutputs(rights.length) * (scaleBytes / 4));
  const view = new DataView(data.buffer);
  for (const [column, right] of rights.entries()) {
    const left = shift + 1 - right;
    const group = Math.floor(column / 4) * scaleBytes;
    const lane = column % 4;
    view.setInt32(group + 4 * lane, 2 ** left, true);
    view.setInt32(group + 16 + 4 * lane, multipliers[column]!, true);
    const rounding = (1n << BigInt(30 + left)) + (1n << BigInt(31 + shift));
    const moved = rounding + (BigInt(zeroPoint) << BigInt(32 + shift));
    view.setBigInt64(group + 32 + 8 * lane, moved, true);
    view.setInt32(group + 64 + 4 * lane, -(2 ** (left - 1)), true);
  }
  return { shift, data };
}

const halfShift = 16;
/** Zero points are added before the shift: 2^30 + 128·2^22 + 2^21 is the largest sum. */
const mostShift = 22;

/** Multiplier and shift of each column, for the kernels' slow way. */
export function columnRequants(integer: Pick<LinearInteger, 'multipliers' | 'shifts'>): Int32Array {
  const data = new Int32Array(2 * paddedOutputs(integer.shifts.length));
  data.set(requantPairs(integer));
  return data;
}

/** Multiplier and shift, one pair after the other. */
export function requantPairs({
  multipliers,
  shifts,
}: Pick<LinearInteger, 'multipliers' | 'shifts'>): Int32Array {
  return Int32Array.from({ length: 2 * shifts.length }, (_, i) =>
    i % 2 === 0 ? multipliers[i / 2]! : shifts[(i - 1) / 2]!,
  );
}

export function paddedBias(bias: ArrayLike<number>): Int32Array {
  const data = new Int32Array(paddedOutputs(bias.length));
  for (let column = 0; column < bias.length; column++) data[column] = bias[column]!;
  return data;
}

function paddedOutputs(outputs: number): number {
  return roundUp(outputs, step);
}
