// SPDX-License-Identifier: Apache-2.0
/**
 * y = x·wᵀ + b by the relaxed dot product of int8 quads: six rows by eight outputs in registers. Its
 * second operand must lie in 0 … 127, so weights are stored with 64 added: all of −64 … 63 fit.
 * Nothing saturates then (4·128·127 < 2^16), and every engine gives the same bits.
 *
 *   scratch   sums of rows | sums of six rows
 */
import { Linear, finishRows, lookUp, sumOfLanes } from './linear_finish';

const CHUNK_ROWS: i32 = 64;

export function lm_linear_s8_s8_relaxed(
  p: Linear, x: usize, xStride: i32, rows: i32, y: usize, yStride: i32, scratch: usize,
): void {
  linearOfChunks(p, x, xStride, rows, y, yStride, scratch, false);
  if (p.table !== 0) lookUp(p, rows, y, yStride);
}

export function lm_linear_s8_s16_relaxed(
  p: Linear, x: usize, xStride: i32, rows: i32, y: usize, yStride: i32, scratch: usize,
): void {
  linearOfChunks(p, x, xStride, rows, y, yStride, scratch, true);
}

function linearOfChunks(
  p: Linear, x: usize, xStride: i32, rows: i32, y: usize, yStride: i32, scratch: usize, isWide: bool,
): void {
  const elementShift = <usize>isWide;
  for (let row = 0; row < rows; row += CHUNK_ROWS) {
    const count = min(CHUNK_ROWS, rows - row);
    const from = x + <usize>(row * xStride);
    const to = y + (<usize>(row * yStride) << elementShift);
    for (let i = 0; i < count; i++) {
      const sum = p.weightOffset * sumOfNarrow(from + <usize>(i * xStride), p.inputs);
      store<i32>(scratch + 4 * <usize>i, sum);
    }
    linearOfRows(p, from, xStride, count, to, yStride, scratch, isWide);
  }
}

function sumOfNarrow(x: usize, inputs: i32): i32 {
  let sums = i32x4.splat(0);
  let i = 0;
  for (; i + 16 <= inputs; i += 16) {
    const pairs = i16x8.extadd_pairwise_i8x16_s(v128.load(x + <usize>i));
    sums = i32x4.add(sums, i32x4.extadd_pairwise_i16x8_s(pairs));
  }
  let sum = sumOfLanes(sums);
  for (; i < inputs; i++) sum += <i32>load<i8>(x + <usize>i);
  return sum;
}

function linearOfRows(
  p: Linear, x: usize, stride: i32, rows: i32, y: usize, yStride: i32, rowSums: usize, isWide: bool,
): void {
  const sums = rowSums + 4 * <usize>CHUNK_ROWS;
  const groupBytes = <usize>((p.inputs + 3) & ~3) * 4;
  const yBytes = <usize>yStride << <usize>isWide;
  let weights = p.weights;
  for (let column = 0; column < p.outputs; column += 8, weights += 2 * groupBytes) {
    const to = y + (<usize>column << <usize>isWide);
    if (rows === 1) {
      oneRow(x, weights, groupBytes, sums);
      finishRows(p, column, sums, rowSums, 1, to, yBytes, isWide);
      continue;
    }
    for (let row = 0; row < rows; row += 6) {
      const count = min(6, rows - row);
      sixRows(x + <usize>(row * stride), stride, count - 1, weights, groupBytes, sums);
      const at = to + <usize>row * yBytes;
      finishRows(p, column, sums, rowSums + 4 * <usize>row, count, at, yBytes, isWide);
    }
  }
}

/** Sums of six rows and eight outputs; rows behind the last are the last one again. */
function sixRows(
  x0: usize, stride: i32, last: i32, weights: usize, groupBytes: usize, sums: usize,
): void {
  let x1 = x0 + <usize>(min(1, last) * stride), x2 = x0 + <usize>(min(2, last) * stride);
  let x3 = x0 + <usize>(min(3, last) * stride), x4 = x0 + <usize>(min(4, last) * stride);
  let x5 = x0 + <usize>(min(5, last) * stride);
  let a0 = i32x4.splat(0), a1 = i32x4.splat(0), b0 = i32x4.splat(0), b1 = i32x4.splat(0);
  let c0 = i32x4.splat(0), c1 = i32x4.splat(0), d0 = i32x4.splat(0), d1 = i32x4.splat(0);
  let e0 = i32x4.splat(0), e1 = i32x4.splat(0), f0 = i32x4.splat(0), f1 = i32x4.splat(0);
  let second = weights + groupBytes;
  for (const end = weights + groupBytes; weights < end; weights += 16, second += 16) {
    const w0 = v128.load(weights), w1 = v128.load(second);
    const q0 = v128.load32_splat(x0);
    a0 = i32x4.relaxed_dot_i8x16_i7x16_add_s(q0, w0, a0);
    a1 = i32x4.relaxed_dot_i8x16_i7x16_add_s(q0, w1, a1);
    const q1 = v128.load32_splat(x1);
    b0 = i32x4.relaxed_dot_i8x16_i7x16_add_s(q1, w0, b0);
    b1 = i32x4.relaxed_dot_i8x16_i7x16_add_s(q1, w1, b1);
    const q2 = v128.load32_splat(x2);
    c0 = i32x4.relaxed_dot_i8x16_i7x16_add_s(q2, w0, c0);
    c1 = i32x4.relaxed_dot_i8x16_i7x16_add_s(q2, w1, c1);
    const q3 = v128.load32_splat(x3);
    d0 = i32x4.relaxed_dot_i8x16_i7x16_add_s(q3, w0, d0);
    d1 = i32x4.relaxed_dot_i8x16_i7x16_add_s(q3, w1, d1);
    const q4 = v128.load32_splat(x4);
    e0 = i32x4.relaxed_dot_i8x16_i7x16_add_s(q4, w0, e0);
    e1 = i32x4.relaxed_dot_i8x16_i7x16_add_s(q4, w1, e1);
    const q5 = v128.load32_splat(x5);
    f0 = i32x4.relaxed_dot_i8x16_i7x16_add_s(q5, w0, f0);
    f1 = i32x4.relaxed_dot_i8x16_i7x16_add_s(q5, w1, f1);
    x0 += 4; x1 += 4; x2 += 4; x3 += 4; x4 += 4; x5 += 4;
  }
  v128.store(sums, a0); v128.store(sums, a1, 16);
  v128.store(sums, b0, 32); v128.store(sums, b1, 48);
  v128.store(sums, c0, 64); v128.store(sums, c1, 80);
  v128.store(sums, d0, 96); v128.store(sums, d1, 112);
  v128.store(sums, e0, 128); v128.store(sums, e1, 144);
  v128.store(sums, f0, 160); v128.store(sums, f1, 176);
}

function oneRow(x: usize, weights: usize, groupBytes: usize, sums: usize): void {
  let a = i32x4.splat(0), b = i32x4.splat(0);
  let second = weights + groupBytes;
  for (const end = weights + groupBytes; weights < end; weights += 16, second += 16, x += 4) {
    const q = v128.load32_splat(x);
    a = i32x4.relaxed_dot_i8x16_i7x16_add_s(q, v128.load(weights), a);
    b = i32x4.relaxed_dot_i8x16_i7x16_add_s(q, v128.load(second), b);
  }
  v128.store(sums, a);
  v128.store(sums, b, 16);
}
