// SPDX-License-Identifier: Apache-2.0
/** Rows kept by an earlier loop, put beside those just made; bytes, copied upwards. */
export function lm_copy_rows(
  x: usize, xStride: i32, rows: i32, columns: i32, y: usize, yStride: i32,
): void {
  for (let row = 0; row < rows; row++) {
    memory.copy(y + <usize>(row * yStride), x + <usize>(row * xStride), <usize>columns);
  }
}

/** The row of a cache that a token takes: the first `pinned` rows stay, the others are a ring. */
@inline
export function lm_ring_row(token: i32, rows: i32, pinned: i32): i32 {
  return token < rows ? token : pinned + ((token - pinned) % (rows - pinned));
}

/** Rows that are kept column by column. y: (columns, tokens), from the token of the first row on */
export function lm_turn_rows(
  x: usize, xStride: i32, rows: i32, columns: i32, y: usize, yStride: i32,
): void {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const value = load<u8>(x + <usize>(row * xStride + column));
      store<u8>(y + <usize>(column * yStride + row), value);
    }
  }
}
