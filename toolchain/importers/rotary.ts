/** Rotary positions: the table of angles, and projections whose columns are turned by them. */
import type { TypedArrayOf } from '../ir/dtypes.ts';
import { mostTokens } from '../ir/graph.ts';
import type { LinearWeights } from './decoder-weights.ts';

export interface RopeTable {
  readonly rows: number;
  readonly table: TypedArrayOf<'float32'>;
}

/** Of real models none has more than 256: it bounds the table of angles before weights are read. */
export const widestHead = 1024;

/** (positions, head width): cosine and sine of the angle of each two columns. */
export function ropeTable(theta: number, positions: number, headWidth: number): RopeTable {
  const rows = Math.min(positions, mostTokens);
  const table = new Float32Array(rows * headWidth);
  for (let column = 0; column < headWidth; column += 2) {
    const frequency = Math.fround(1 / Math.fround(theta ** (column / headWidth)));
    for (let row = 0; row < rows; row++) {
      const angle = Math.fround(row * frequency);
      table[row * headWidth + column] = Math.cos(angle);
      table[row * headWidth + column + 1] = Math.sin(angle);
    }
  }
  return { rows, table };
}

/**
 * Rows of a projection in the order in which the columns that are turned together are neighbours:
 * transformers turns column i of a head with column i + headWidth / 2.
 */
export function sideBySide(own: LinearWeights, headWidth: number): LinearWeights {
  const half = headWidth / 2;
  const { outputs, weight, bias } = own;
  const source = (row: number): number => {
    const column = row % headWidth;
    return row - column + (column >> 1) + (column % 2) * half;
  };
  const reordered = (values: TypedArrayOf<'float32'>): TypedArrayOf<'float32'> => {
    const width = values.length / outputs;
    const to = new Float32Array(values.length);
    for (let row = 0; row < outputs; row++) {
      const from = source(row) * width;
      to.set(values.subarray(from, from + width), row * width);
    }
    return to;
  };
  return { ...own, weight: reordered(weight), bias: bias === null ? null : reordered(bias) };
}
