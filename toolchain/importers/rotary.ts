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
    const frequency = frequencyOf(theta, column / 2, headWidth);
    for (let row = 0; row < rows; row++) {
      const angle = Math.fround(row * frequency);
      table[row * headWidth + column] = Math.cos(angle);
      table[row * headWidth + column + 1] = Math.sin(angle);
    }
  }
  return { rows, table };
}

/** Of the pair of columns `pair`, in radians a position, as float32 has it. */
export function frequencyOf(theta: number, pair: number, headWidth: number): number {
  return Math.fround(1 / Math.fround(theta ** ((2 * pair) / headWidth)));
}

/**
 * The columns of heads in the order in which those that are turned together are neighbours:
 * transformers turns column i of a head with column i + headWidth / 2.
 */
export function sideBySideOrder(columns: number, headWidth: number): readonly number[] {
  return Array.from({ length: columns }, (_, to) => {
    const column = to % headWidth;
    return to - column + (column >> 1) + ((column % 2) * headWidth) / 2;
  });
}

/** Rows of a projection in that order. */
export function sideBySide(own: LinearWeights, headWidth: number): LinearWeights {
  const { outputs, weight, bias } = own;
  const order = sideBySideOrder(outputs, headWidth);
  const reordered = (values: TypedArrayOf<'float32'>): TypedArrayOf<'float32'> => {
    const width = values.length / outputs;
    const to = new Float32Array(values.length);
    for (const [row, source] of order.entries()) {
      to.set(values.subarray(source * width, (source + 1) * width), row * width);
    }
    return to;
  };
  return { ...own, weight: reordered(weight), bias: bias === null ? null : reordered(bias) };
}
