// SPDX-License-Identifier: Apache-2.0
/**
 * The products that linears and attention share: four rows of int16 by eight columns, whose operand lies
 * as a panel, four columns a vector:
 *
 *   panel   (inputs / 2, 8 columns, 2 inputs) int16, inputs filled up to a multiple of four
 *
 * So a vector of sums has a column a lane, and a product needs one addition and nothing else: on x86
 * both together are all that its vector units can do, 8 multiplications in 2 operations.
 */

/** x as int16, filled up with zeros to a multiple of eight. */
export function widenRow(x: usize, inputs: i32, to: usize): void {
  let i = 0;
  for (; i + 8 <= inputs; i += 8) {
    v128.store(to + 2 * <usize>i, v128.load8x8_s(x + <usize>i));
  }
  if (i === inputs) return;
  v128.store(to + 2 * <usize>i, i16x8.splat(0));
  for (; i < inputs; i++) store<i16>(to + 2 * <usize>i, load<i8>(x + <usize>i));
}

// @ts-ignore: decorator
@inline
function addProducts(sums: v128, x: v128, columns: v128): v128 {
  return i32x4.add(sums, i32x4.dot_i16x8_s(x, columns));
}

/** sums = (low, high) + x·panel, (rows, 8) int32, filled up to four rows. x: `stride` bytes apart. */
export function multiplyRows(
  x: usize, stride: i32, rows: i32, panel: usize, panelBytes: usize,
  low: v128, high: v128, sums: usize,
): void {
  const end = panel + panelBytes;
  for (let row = 0; row < rows; row += 4, sums += 128, x += 4 * <usize>stride) {
    fourRows(x, stride, rows - row - 1, panel, end, low, high, 0, 0, sums);
  }
}

/** sums = from + also + x·panel; from may be sums; `also` 0: there is nothing else. */
export function multiplyOnto(
  x: usize, stride: i32, rows: i32, panel: usize, panelBytes: usize,
  from: usize, also: usize, sums: usize,
): void {
  const end = panel + panelBytes, zero = i32x4.splat(0);
  for (let row = 0; row < rows; row += 4, from += 128, sums += 128, x += 4 * <usize>stride) {
    fourRows(x, stride, rows - row - 1, panel, end, zero, zero, from, also, sums);
    if (also !== 0) also += 128;
  }
}

/** Rows behind the `last`th are that one again. Sums begin as (low, high), or `from` where it is not 0. */
// @ts-ignore: decorator
@inline
function fourRows(
  x: usize, stride: i32, last: i32, first: usize, end: usize,
  low: v128, high: v128, from: usize, also: usize, sums: usize,
): void {
  let x0 = x, panel = first;
  let x1 = x0 + <usize>(min(1, last) * stride), x2 = x0 + <usize>(min(2, last) * stride);
  let x3 = x0 + <usize>(min(3, last) * stride);
  let a0 = low, a1 = high, b0 = low, b1 = high, c0 = low, c1 = high, d0 = low, d1 = high;
  if (from !== 0) {
    a0 = v128.load(from); a1 = v128.load(from, 16);
    b0 = v128.load(from, 32); b1 = v128.load(from, 48);
    c0 = v128.load(from, 64); c1 = v128.load(from, 80);
    d0 = v128.load(from, 96); d1 = v128.load(from, 112);
  }
  if (also !== 0) {
    a0 = i32x4.add(a0, v128.load(also)); a1 = i32x4.add(a1, v128.load(also, 16));
    b0 = i32x4.add(b0, v128.load(also, 32)); b1 = i32x4.add(b1, v128.load(also, 48));
    c0 = i32x4.add(c0, v128.load(also, 64)); c1 = i32x4.add(c1, v128.load(also, 80));
    d0 = i32x4.add(d0, v128.load(also, 96)); d1 = i32x4.add(d1, v128.load(also, 112));
  }
  for (; panel < end; panel += 64) {
    const w0 = v128.load(panel), w1 = v128.load(panel, 16);
    const xa = v128.load32_splat(x0);
    a0 = addProducts(a0, xa, w0);
    a1 = addProducts(a1, xa, w1);
    const xb = v128.load32_splat(x1);
    b0 = addProducts(b0, xb, w0);
    b1 = addProducts(b1, xb, w1);
    const xc = v128.load32_splat(x2);
    c0 = addProducts(c0, xc, w0);
    c1 = addProducts(c1, xc, w1);
    const xd = v128.load32_splat(x3);
    d0 = addProducts(d0, xd, w0);
    d1 = addProducts(d1, xd, w1);
    const w2 = v128.load(panel, 32), w3 = v128.load(panel, 48);
    const ya = v128.load32_splat(x0, 4);
    a0 = addProducts(a0, ya, w2);
    a1 = addProducts(a1, ya, w3);
    const yb = v128.load32_splat(x1, 4);
    b0 = addProducts(b0, yb, w2);
    b1 = addProducts(b1, yb, w3);
    const yc = v128.load32_splat(x2, 4);
    c0 = addProducts(c0, yc, w2);
    c1 = addProducts(c1, yc, w3);
    const yd = v128.load32_splat(x3, 4);
    d0 = addProducts(d0, yd, w2);
    d1 = addProducts(d1, yd, w3);
    x0 += 8; x1 += 8; x2 += 8; x3 += 8;
  }
  v128.store(sums, a0); v128.store(sums, a1, 16);
  v128.store(sums, b0, 32); v128.store(sums, b1, 48);
  v128.store(sums, c0, 64); v128.store(sums, c1, 80);
  v128.store(sums, d0, 96); v128.store(sums, d1, 112);
}
