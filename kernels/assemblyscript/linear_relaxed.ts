// SPDX-License-Identifier: Apache-2.0
/**
 * y = x·wᵀ + b by the relaxed dot product of int8 quads: six rows by eight outputs in registers. Its
 * second operand must lie in 0 … 127, so weights are stored with 64 added: all of −64 … 63 fit.
 * Nothing saturates then (4·128·127 < 2^16), and every engine gives the same bits.
 *
 *   scratch   sums of rows
 */
import {
  Linear, columnsAt, finishNarrow, finishWide, lookUp, sumOfLanes,
} from './linear_finish';

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
  p: Linear, x: usize, stride: i32, rows: i32, y: usize, yStride: i32, sums: usize, isWide: bool,
): void {
  const groupBytes = <usize>((p.inputs + 3) & ~3) * 4;
  let weights = p.weights;
  for (let column = 0; column < p.outputs; column += 8, weights += 2 * groupBytes) {
    const to = y + (<usize>column << <usize>isWide);
    if (rows === 1) {
      oneRow(p, x, weights, groupBytes, load<i32>(sums), column, to, isWide);
      continue;
    }
    for (let row = 0; row < rows; row += 6) {
      sixRows(p, x, stride, row, rows - 1, weights, groupBytes, sums, column, to, yStride, isWide);
    }
  }
}

/** Rows behind the last are the last one again. */
function sixRows(
  p: Linear, x: usize, stride: i32, row: i32, last: i32, weights: usize, groupBytes: usize,
  sums: usize, column: i32, y: usize, yStride: i32, isWide: bool,
): void {
  const r1 = min(row + 1, last), r2 = min(row + 2, last), r3 = min(row + 3, last);
  const r4 = min(row + 4, last), r5 = min(row + 5, last);
  let x0 = x + <usize>(row * stride), x1 = x + <usize>(r1 * stride), x2 = x + <usize>(r2 * stride);
  let x3 = x + <usize>(r3 * stride), x4 = x + <usize>(r4 * stride), x5 = x + <usize>(r5 * stride);
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
  const rowShift = <usize>isWide;
  finish(p, column, a0, a1, sums, row, y + (<usize>(row * yStride) << rowShift), isWide);
  finish(p, column, b0, b1, sums, r1, y + (<usize>(r1 * yStride) << rowShift), isWide);
  finish(p, column, c0, c1, sums, r2, y + (<usize>(r2 * yStride) << rowShift), isWide);
  finish(p, column, d0, d1, sums, r3, y + (<usize>(r3 * yStride) << rowShift), isWide);
  finish(p, column, e0, e1, sums, r4, y + (<usize>(r4 * yStride) << rowShift), isWide);
  finish(p, column, f0, f1, sums, r5, y + (<usize>(r5 * yStride) << rowShift), isWide);
}

/** A row alone, of a head. */
function oneRow(
  p: Linear, x: usize, weights: usize, groupBytes: usize,
  sum: i32, column: i32, y: usize, isWide: bool,
): void {
  let a = i32x4.splat(0), b = i32x4.splat(0);
  let second = weights + groupBytes;
  for (const end = weights + groupBytes; weights < end; weights += 16, second += 16, x += 4) {
    const q = v128.load32_splat(x);
    a = i32x4.relaxed_dot_i8x16_i7x16_add_s(q, v128.load(weights), a);
    b = i32x4.relaxed_dot_i8x16_i7x16_add_s(q, v128.load(second), b);
  }
  if (isWide) finishWide(p, column, columnsAt(p, column, a, b, sum), y);
  else finishNarrow(p, column, columnsAt(p, column, a, b, sum), y);
}

function finish(
  p: Linear, column: i32, low: v128, high: v128, sums: usize, row: i32, y: usize, isWide: bool,
): void {
  const columns = columnsAt(p, column, low, high, load<i32>(sums + 4 * <usize>row));
  if (isWide) finishWide(p, column, columns, y);
  else finishNarrow(p, column, columns, y);
}
