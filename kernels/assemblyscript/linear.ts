// SPDX-License-Identifier: Apache-2.0
/**
 * y = x·wᵀ + b by products of int16 pairs: two rows by eight outputs in registers. The weights of
 * eight outputs are widened once for all rows of a chunk, the rows once for all outputs.
 *
 *   weights   (outputs / 4, inputs / 4, 4 outputs, 4 inputs), both filled up: `quads`
 *   scratch   rows as int16 | sums of rows | sums of two rows | eight outputs' weights as int16
 */
import { Linear, finishRows, lookUp, sumsOfRows, wideOffset } from './linear_finish';

/** Rows that are widened together. */
const CHUNK_ROWS: i32 = 64;

export function lm_linear_s8_s8_simd(
  p: Linear, x: usize, xStride: i32, rows: i32, y: usize, yStride: i32, scratch: usize,
): void {
  linearOfNarrow(p, x, xStride, rows, y, yStride, scratch, false);
  if (p.table !== 0) lookUp(p, rows, y, yStride);
}

export function lm_linear_s8_s16_simd(
  p: Linear, x: usize, xStride: i32, rows: i32, y: usize, yStride: i32, scratch: usize,
): void {
  linearOfNarrow(p, x, xStride, rows, y, yStride, scratch, true);
}

export function lm_linear_s16_s8_simd(
  p: Linear, x: usize, xStride: i32, rows: i32, y: usize, yStride: i32, scratch: usize,
): void {
  for (let row = 0; row < rows; row += CHUNK_ROWS) {
    const count = min(CHUNK_ROWS, rows - row);
    const from = x + 2 * <usize>(row * xStride);
    linearOfWide(p, from, 2 * xStride, count, y + <usize>(row * yStride), yStride, scratch, false);
  }
  if (p.table !== 0) lookUp(p, rows, y, yStride);
}

function linearOfNarrow(
  p: Linear, x: usize, xStride: i32, rows: i32, y: usize, yStride: i32, scratch: usize, isWide: bool,
): void {
  const wideStride = wideOffset(p.inputs);
  for (let row = 0; row < rows; row += CHUNK_ROWS) {
    const count = min(CHUNK_ROWS, rows - row);
    for (let i = 0; i < count; i++) {
      widenRow(x + <usize>((row + i) * xStride), p.inputs, scratch + <usize>(i * wideStride));
    }
    const rest = scratch + <usize>(min(CHUNK_ROWS, rows) * wideStride);
    const to = y + (<usize>(row * yStride) << <usize>isWide);
    linearOfWide(p, scratch, wideStride, count, to, yStride, rest, isWide);
  }
}

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

/** x: (rows, inputs) of int16, `stride` bytes apart; at most CHUNK_ROWS rows. */
function linearOfWide(
  p: Linear, x: usize, stride: i32, rows: i32, y: usize, yStride: i32, scratch: usize, isWide: bool,
): void {
  const rowSums = scratch;
  const sums = rowSums + 4 * <usize>CHUNK_ROWS;
  const wide = sums + 64;
  sumsOfRows(p, x, stride, rows, rowSums);
  const groupBytes = <usize>((p.inputs + 3) & ~3) * 4;
  const yBytes = <usize>yStride << <usize>isWide;
  let weights = p.weights;
  for (let column = 0; column < p.outputs; column += 8, weights += 2 * groupBytes) {
    const to = y + ((<usize>column) << <usize>isWide);
    if (rows === 1) {
      oneRow(x, weights, groupBytes, sums);
      finishRows(p, column, sums, rowSums, 1, to, yBytes, isWide);
      continue;
    }
    widenWeights(weights, groupBytes, wide);
    for (let row = 0; row < rows; row += 2) {
      const count = min(2, rows - row);
      const first = x + <usize>(row * stride);
      twoRows(first, count === 2 ? first + <usize>stride : first, wide, groupBytes, sums);
      const at = to + <usize>row * yBytes;
      finishRows(p, column, sums, rowSums + 4 * <usize>row, count, at, yBytes, isWide);
    }
  }
}

/** Of four inputs: the weights of outputs 0 and 1, 2 and 3, 4 and 5, 6 and 7. */
function widenWeights(weights: usize, groupBytes: usize, wide: usize): void {
  for (const end = weights + groupBytes; weights < end; weights += 16, wide += 64) {
    const a = v128.load(weights);
    const b = v128.load(weights + groupBytes);
    v128.store(wide, i16x8.extend_low_i8x16_s(a));
    v128.store(wide, i16x8.extend_high_i8x16_s(a), 16);
    v128.store(wide, i16x8.extend_low_i8x16_s(b), 32);
    v128.store(wide, i16x8.extend_high_i8x16_s(b), 48);
  }
}

/** Sums of pairs, of two outputs each: one sum an output. */
// @ts-ignore: decorator
@inline
function joinPairs(a: v128, b: v128): v128 {
  return i32x4.add(i32x4.shuffle(a, b, 0, 2, 4, 6), i32x4.shuffle(a, b, 1, 3, 5, 7));
}

/** Sums of two rows and eight outputs. */
function twoRows(x0: usize, x1: usize, wide: usize, groupBytes: usize, sums: usize): void {
  let a0 = i32x4.splat(0), a1 = i32x4.splat(0), a2 = i32x4.splat(0), a3 = i32x4.splat(0);
  let b0 = i32x4.splat(0), b1 = i32x4.splat(0), b2 = i32x4.splat(0), b3 = i32x4.splat(0);
  for (const end = wide + 4 * groupBytes; wide < end; wide += 64, x0 += 8, x1 += 8) {
    const w0 = v128.load(wide), w1 = v128.load(wide, 16);
    const w2 = v128.load(wide, 32), w3 = v128.load(wide, 48);
    const first = v128.load64_splat(x0);
    a0 = i32x4.add(a0, i32x4.dot_i16x8_s(w0, first));
    a1 = i32x4.add(a1, i32x4.dot_i16x8_s(w1, first));
    a2 = i32x4.add(a2, i32x4.dot_i16x8_s(w2, first));
    a3 = i32x4.add(a3, i32x4.dot_i16x8_s(w3, first));
    const second = v128.load64_splat(x1);
    b0 = i32x4.add(b0, i32x4.dot_i16x8_s(w0, second));
    b1 = i32x4.add(b1, i32x4.dot_i16x8_s(w1, second));
    b2 = i32x4.add(b2, i32x4.dot_i16x8_s(w2, second));
    b3 = i32x4.add(b3, i32x4.dot_i16x8_s(w3, second));
  }
  v128.store(sums, joinPairs(a0, a1));
  v128.store(sums, joinPairs(a2, a3), 16);
  v128.store(sums, joinPairs(b0, b1), 32);
  v128.store(sums, joinPairs(b2, b3), 48);
}

/** Widening pays for several rows only. */
function oneRow(x: usize, weights: usize, groupBytes: usize, sums: usize): void {
  let a0 = i32x4.splat(0), a1 = i32x4.splat(0), a2 = i32x4.splat(0), a3 = i32x4.splat(0);
  for (const end = weights + groupBytes; weights < end; weights += 16, x += 8) {
    const b = v128.load64_splat(x);
    const second = weights + groupBytes;
    a0 = i32x4.add(a0, i32x4.dot_i16x8_s(v128.load8x8_s(weights), b));
    a1 = i32x4.add(a1, i32x4.dot_i16x8_s(v128.load8x8_s(weights, 8), b));
    a2 = i32x4.add(a2, i32x4.dot_i16x8_s(v128.load8x8_s(second), b));
    a3 = i32x4.add(a3, i32x4.dot_i16x8_s(v128.load8x8_s(second, 8), b));
  }
  v128.store(sums, joinPairs(a0, a1));
  v128.store(sums, joinPairs(a2, a3), 16);
}
