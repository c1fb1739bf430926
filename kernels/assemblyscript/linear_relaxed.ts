// SPDX-License-Identifier: Apache-2.0
/**
 * y = x·wᵀ + b by relaxed products (panel_relaxed.ts). Weights are stored with 64 added, so that all of
 * −64 … 63 lie in 0 … 127; what that adds to a sum is taken off it by the sum of the row.
 *
 *   scratch   what the weights' offset adds to each row | sums of a chunk and eight outputs
 */
import { sumOfLanes } from './fixed_point';
import { Linear, finishRows, lookUp } from './linear_finish';
import { multiplyByNarrowColumns } from './panel_relaxed';

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
  let weights = p.weights, bias = p.bias;
  for (let column = 0; column < p.outputs; column += 8, weights += 2 * groupBytes, bias += 32) {
    startSums(v128.load(bias), v128.load(bias, 16), rowSums, rows, sums);
    if (rows === 1) oneRow(x, weights, groupBytes, sums);
    else multiplyByNarrowColumns(x, stride, rows, weights, groupBytes, sums);
    finishRows(p, column, sums, rows, y + (<usize>column << <usize>isWide), yBytes, isWide);
  }
}

/** The biases of eight columns without what the weights' offset adds to each row. */
function startSums(low: v128, high: v128, rowSums: usize, rows: i32, sums: usize): void {
  for (const end = rowSums + 4 * <usize>rows; rowSums < end; rowSums += 4, sums += 32) {
    const offset = v128.load32_splat(rowSums);
    v128.store(sums, i32x4.sub(low, offset));
    v128.store(sums, i32x4.sub(high, offset), 16);
  }
}

function oneRow(x: usize, weights: usize, groupBytes: usize, sums: usize): void {
  let a = v128.load(sums), b = v128.load(sums, 16);
  let second = weights + groupBytes;
  for (const end = weights + groupBytes; weights < end; weights += 16, second += 16, x += 4) {
    const q = v128.load32_splat(x);
    a = i32x4.relaxed_dot_i8x16_i7x16_add_s(q, v128.load(weights), a);
    b = i32x4.relaxed_dot_i8x16_i7x16_add_s(q, v128.load(second), b);
  }
  v128.store(sums, a);
  v128.store(sums, b, 16);
}
