/**
 * Where a cache with fewer rows than there are tokens puts each token. The first `pinned` rows stay;
 * behind them is a ring, in which a token takes the row of the oldest one:
 *
 *   | pinned | … the newest rows − pinned tokens, in a ring … |
 *
 * The order of keys does not matter to attention, so a full ring is read as it lies.
 */
import { denseMatrix, type Matrix } from '../ir/graph.ts';
import { int } from './form.ts';

export interface Ring {
  /** Of the whole cache. */
  readonly rows: number;
  /** Of `rows`, those before the ring: fewer than `rows`. */
  readonly pinned: number;
}

export const ringAttrs = { rows: int.positive(), pinned: int.nonnegative() };

export function slotOf(token: number, { rows, pinned }: Ring): number {
  return token < rows ? token : pinned + ((token - pinned) % (rows - pinned));
}

/** Rows that hold something when `token` is in. */
export function rowsHeld(token: number, { rows }: Pick<Ring, 'rows'>): number {
  return Math.min(token + 1, rows);
}

export function emptyCache({ data, columns }: Matrix, { rows }: Ring): Matrix {
  const elements = new (data.constructor as new (length: number) => Matrix['data'])(rows * columns);
  return denseMatrix(elements, rows, columns);
}

export function copyRow(from: Matrix, row: number, to: Matrix, slot: number): void {
  for (let column = 0; column < from.columns; column++) {
    to.data[to.offset + slot * to.stride + column] =
      from.data[from.offset + row * from.stride + column]!;
  }
}

export function rowOf(matrix: Matrix, row: number): Matrix {
  return { ...matrix, rows: 1, offset: matrix.offset + row * matrix.stride };
}
