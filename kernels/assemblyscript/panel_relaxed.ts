// SPDX-License-Identifier: Apache-2.0
/**
 * The relaxed products that linears and attention share: six rows of int8 by eight columns of 0 … 127,
 * which lie as two groups, one behind the other:
 *
 *   group   (inputs / 4, 4 columns, 4 inputs) int8, inputs filled up
 *
 * Nothing saturates (4·128·127 < 2^16), and every engine gives the same bits.
 */

/** Rows that are taken at once: sums are filled up to a multiple of them. */
export const RELAXED_ROWS: i32 = 6;

/** sums += x·columns, (rows, 8) int32. x: `stride` bytes apart. The columns lie in 0 … 127. */
export function multiplyByNarrowColumns(
  x: usize, stride: i32, rows: i32, groups: usize, groupBytes: usize, sums: usize,
): void {
  for (let row = 0; row < rows; row += RELAXED_ROWS, sums += 32 * RELAXED_ROWS) {
    const from = x + <usize>(row * stride);
    sixRows(from, stride, rows - row - 1, groups, groupBytes, sums, false);
  }
}

/** The same where x lies in 0 … 127. */
export function multiplyNarrowRows(
  x: usize, stride: i32, rows: i32, groups: usize, groupBytes: usize, sums: usize,
): void {
  for (let row = 0; row < rows; row += RELAXED_ROWS, sums += 32 * RELAXED_ROWS) {
    const from = x + <usize>(row * stride);
    sixRows(from, stride, rows - row - 1, groups, groupBytes, sums, true);
  }
}

// @ts-ignore: decorator
@inline
function addProducts(sums: v128, x: v128, columns: v128, isRowNarrow: bool): v128 {
  return isRowNarrow
    ? i32x4.relaxed_dot_i8x16_i7x16_add_s(columns, x, sums)
    : i32x4.relaxed_dot_i8x16_i7x16_add_s(x, columns, sums);
}

/** Rows behind the `last`th are that one again. */
// @ts-ignore: decorator
@inline
function sixRows(
  first: usize, stride: i32, last: i32, groups: usize, groupBytes: usize, sums: usize,
  isRowNarrow: bool,
): void {
  let x0 = first;
  let x1 = first + <usize>(min(1, last) * stride), x2 = first + <usize>(min(2, last) * stride);
  let x3 = first + <usize>(min(3, last) * stride), x4 = first + <usize>(min(4, last) * stride);
  let x5 = first + <usize>(min(5, last) * stride);
  let a0 = v128.load(sums), a1 = v128.load(sums, 16);
  let b0 = v128.load(sums, 32), b1 = v128.load(sums, 48);
  let c0 = v128.load(sums, 64), c1 = v128.load(sums, 80);
  let d0 = v128.load(sums, 96), d1 = v128.load(sums, 112);
  let e0 = v128.load(sums, 128), e1 = v128.load(sums, 144);
  let f0 = v128.load(sums, 160), f1 = v128.load(sums, 176);
  let low = groups, high = groups + groupBytes;
  for (const end = high; low < end; low += 16, high += 16) {
    const w0 = v128.load(low), w1 = v128.load(high);
    const q0 = v128.load32_splat(x0);
    a0 = addProducts(a0, q0, w0, isRowNarrow);
    a1 = addProducts(a1, q0, w1, isRowNarrow);
    const q1 = v128.load32_splat(x1);
    b0 = addProducts(b0, q1, w0, isRowNarrow);
    b1 = addProducts(b1, q1, w1, isRowNarrow);
    const q2 = v128.load32_splat(x2);
    c0 = addProducts(c0, q2, w0, isRowNarrow);
    c1 = addProducts(c1, q2, w1, isRowNarrow);
    const q3 = v128.load32_splat(x3);
    d0 = addProducts(d0, q3, w0, isRowNarrow);
    d1 = addProducts(d1, q3, w1, isRowNarrow);
    const q4 = v128.load32_splat(x4);
    e0 = addProducts(e0, q4, w0, isRowNarrow);
    e1 = addProducts(e1, q4, w1, isRowNarrow);
    const q5 = v128.load32_splat(x5);
    f0 = addProducts(f0, q5, w0, isRowNarrow);
    f1 = addProducts(f1, q5, w1, isRowNarrow);
    x0 += 4; x1 += 4; x2 += 4; x3 += 4; x4 += 4; x5 += 4;
  }
  v128.store(sums, a0); v128.store(sums, a1, 16);
  v128.store(sums, b0, 32); v128.store(sums, b1, 48);
  v128.store(sums, c0, 64); v128.store(sums, c1, 80);
  v128.store(sums, d0, 96); v128.store(sums, d1, 112);
  v128.store(sums, e0, 128); v128.store(sums, e1, 144);
  v128.store(sums, f0, 160); v128.store(sums, f1, 176);
}
