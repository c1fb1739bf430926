// SPDX-License-Identifier: Apache-2.0
/** y = table[token id], or table[position]: rows of an embedding table. */

@unmanaged
export class LookupRows {
  width: i32;
  /** (rows, width) */
  rows: usize;
}

/** `ids`: 0 where rows are found by position. */
export function lm_lookup_rows_s8_s8_simd(
  p: LookupRows, ids: usize, rows: i32, rowStart: i32, y: usize, yStride: i32,
): void {
  for (let row = 0; row < rows; row++) {
    const index = ids === 0 ? rowStart + row : <i32>load<u16>(ids + 2 * <usize>row);
    const from = p.rows + <usize>(index * p.width);
    const to = y + <usize>(row * yStride);
    let i = 0;
    for (; i + 16 <= p.width; i += 16) v128.store(to + <usize>i, v128.load(from + <usize>i));
    for (; i < p.width; i++) store<u8>(to + <usize>i, load<u8>(from + <usize>i));
  }
}
