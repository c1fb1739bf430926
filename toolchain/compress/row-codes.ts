/** Integers with a scale a row: embedding rows, and weights by output channel. */
import type { RowTable } from './coded-table.ts';

export interface RowCodes {
  readonly codes: Int8Array;
  readonly scales: Float32Array;
}

export function encodeRowTable(
  rows: number,
  width: number,
  values: Float32Array,
  bits: 4 | 8,
): RowTable {
  return { method: 'rows', rows, width, bits, ...roundRows(values, width, bits) };
}

/** Each row to the scale with the least squared error, columns weighted by `importance`. */
export function roundRows(
  values: Float32Array,
  width: number,
  bits: 4 | 8,
  importance: ArrayLike<number> = new Float32Array(width).fill(1),
): RowCodes {
  const scales = new Float32Array(values.length / width);
  const codes = new Int8Array(values.length);
  for (const row of scales.keys()) {
    const own = values.subarray(row * width, (row + 1) * width);
    scales[row] = bestScale(own, bits, importance);
    for (const [column, value] of own.entries()) {
      codes[row * width + column] = roundTo(value / scales[row]!, bits);
    }
  }
  return { codes, scales };
}

export function roundTo(value: number, bits: 4 | 8): number {
  const most = bits === 4 ? 7 : 127;
  return Math.max(-most, Math.min(most, Math.round(value)));
}

/** Int8 has codes to spare: clipping never pays there. */
const clippingSteps = { 4: 24, 8: 1 } as const;

function bestScale(row: Float32Array, bits: 4 | 8, importance: ArrayLike<number>): number {
  const most = bits === 4 ? 7 : 127;
  let largest = 0;
  for (const value of row) largest = Math.max(largest, Math.abs(value));
  if (largest === 0) return 1;
  let best = largest / most;
  let least = Number.POSITIVE_INFINITY;
  for (let step = 0; step < clippingSteps[bits]; step++) {
    const scale = (largest * (1 - step * 0.025)) / most;
    let error = 0;
    for (const [column, value] of row.entries()) {
      error += importance[column]! * (roundTo(value / scale, bits) * scale - value) ** 2;
    }
    if (error < least) {
      least = error;
      best = scale;
    }
  }
  return Math.fround(best);
}
