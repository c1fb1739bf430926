// SPDX-License-Identifier: Apache-2.0
/** Rows kept by an earlier loop, put beside those just made; bytes, copied upwards. */
export function lm_copy_rows(
  x: usize, xStride: i32, rows: i32, columns: i32, y: usize, yStride: i32,
): void {
  for (let row = 0; row < rows; row++) {
    memory.copy(y + <usize>(row * yStride), x + <usize>(row * xStride), <usize>columns);
  }
}
