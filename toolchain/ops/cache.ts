/**
 * Where a cache with fewer rows than there are tokens puts each token. The first `pinned` rows stay;
 * behind them is a ring, in which a token takes the row of the oldest one:
 *
 *   | pinned | … the newest rows − pinned tokens, in a ring … |
 *
 * The order of keys does not matter to attention, so a full ring is read as it lies.
 */
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
