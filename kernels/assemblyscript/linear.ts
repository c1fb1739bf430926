// SPDX-License-Identifier: Apache-2.0
/**
 * y = x·wᵀ + b by products of int16 pairs. The weights of eight outputs become a panel (panel.ts) once
 * for all rows of a chunk, the rows int16 once for all outputs.
 *
 *   weights   (outputs / 4, inputs / 4, 4 outputs, 4 inputs), both filled up: `quads`
 *   scratch   rows as int16 | sums of a chunk and eight outputs | the panel
 *
 * Of enough int8 rows, sixteen outputs take seven products of halves instead of eight (seven_products.ts):
 *
 *   scratch   rows as int16, an even number | sums of their halves | results | two panels in parts
 */
import { Linear, finishRows, lookUp } from './linear_finish';
import { multiplyRows, widenRow } from './panel';
import { GAP, addHalves, addPanels, bytesOfPart, multiplyInSeven, paysInSeven } from './seven_products';

/** Rows that share a panel. */
const CHUNK_ROWS: i32 = 64;

export function lm_linear_s8_s8_simd(
  p: Linear, x: usize, xStride: i32, rows: i32, y: usize, yStride: i32, scratch: usize,
): void {
  linearOfChunks(p, x, xStride, rows, y, yStride, scratch, false, false);
}

export function lm_linear_s8_s16_simd(
  p: Linear, x: usize, xStride: i32, rows: i32, y: usize, yStride: i32, scratch: usize,
): void {
  linearOfChunks(p, x, xStride, rows, y, yStride, scratch, false, true);
}

export function lm_linear_s16_s8_simd(
  p: Linear, x: usize, xStride: i32, rows: i32, y: usize, yStride: i32, scratch: usize,
): void {
  linearOfChunks(p, x, xStride, rows, y, yStride, scratch, true, false);
}

export function lm_linear_s16_s16_simd(
  p: Linear, x: usize, xStride: i32, rows: i32, y: usize, yStride: i32, scratch: usize,
): void {
  linearOfChunks(p, x, xStride, rows, y, yStride, scratch, true, true);
}

/** Either side is int8, or int16 where it is `wide`. */
function linearOfChunks(
  p: Linear, x: usize, xStride: i32, rows: i32, y: usize, yStride: i32, scratch: usize,
  hasWideInput: bool, isWide: bool,
): void {
  const stride = ((p.inputs + 7) & ~7) * 2;
  for (let row = 0; row < rows; row += CHUNK_ROWS) {
    const count = min(CHUNK_ROWS, rows - row);
    for (let i = 0; i < count; i++) {
      const to = scratch + <usize>(i * stride);
      const from = <usize>((row + i) * xStride);
      if (hasWideInput) copyRow(x + 2 * from, p.inputs, to);
      else widenRow(x + from, p.inputs, to);
    }
    const to = y + (<usize>(row * yStride) << <usize>isWide);
    let column = 0;
    if (!hasWideInput && paysInSeven(count, p.inputs)) {
      column = linearInSeven(p, scratch, count, to, yStride, isWide);
    }
    linearOfWide(p, column, scratch, stride, count, to, yStride, isWide);
  }
  if (p.table !== 0) lookUp(p, rows, y, yStride);
}

/** Sixteen columns at a time; returns the first of those that are left. */
function linearInSeven(
  p: Linear, x: usize, rows: i32, y: usize, yStride: i32, isWide: bool,
): i32 {
  const half = (rows + 1) >> 1, inputs = <usize>p.inputs, halfBytes = <usize>half * inputs;
  if (rows & 1) memory.fill(x + 2 * <usize>rows * inputs, 0, 2 * inputs);
  const halves = x + 4 * halfBytes, results = halves + 4 * (halfBytes + GAP);
  const resultBytes = bytesOfPart(half), panels = results + 6 * resultBytes;
  const groupBytes = 4 * inputs, offset = i16x8.splat(<i16>p.weightOffset);
  const yBytes = <usize>yStride << <usize>isWide, lower = y + <usize>half * yBytes;
  addHalves(x, half, p.inputs, halves);
  let column = 0;
  for (; column + 16 <= p.outputs; column += 16) {
    widenInParts(p.weights + <usize>column * inputs, groupBytes, offset, panels);
    addPanels(panels, 2 * groupBytes);
    multiplyInSeven(x, half, p.inputs, halves, panels, p.bias + 4 * <usize>column, results);
    for (let side = 0; side < 2; side++) {
      const first = column + 8 * side, at = <usize>first << <usize>isWide;
      const sums = results + 2 * <usize>side * resultBytes;
      finishRows(p, first, sums, half, y + at, yBytes, isWide);
      finishRows(p, first, sums + resultBytes, rows - half, lower + at, yBytes, isWide);
    }
  }
  return column;
}

/** Of two panels: w11, w21, w12 and w22 as seven_products.ts has them. */
function widenInParts(weights: usize, groupBytes: usize, offset: v128, parts: usize): void {
  const half = groupBytes >> 1, next = 2 * groupBytes + GAP, second = weights + 2 * groupBytes;
  widenWeights(weights, groupBytes, half, offset, parts);
  widenWeights(weights + half, groupBytes, half, offset, parts + next);
  widenWeights(second, groupBytes, half, offset, parts + 2 * next);
  widenWeights(second + half, groupBytes, half, offset, parts + 3 * next);
}

/** Filled up as `widenRow` does: weights behind the last input are not 0, for theirs is the offset. */
function copyRow(x: usize, inputs: i32, to: usize): void {
  memory.fill(to, 0, 2 * <usize>((inputs + 7) & ~7));
  memory.copy(to, x, 2 * <usize>inputs);
}

/** From `first` on. x: (rows, inputs) of int16, `stride` bytes apart; at most CHUNK_ROWS rows. */
function linearOfWide(
  p: Linear, first: i32, x: usize, stride: i32, rows: i32, y: usize, yStride: i32, isWide: bool,
): void {
  const sums = x + <usize>(rows * stride);
  const panel = sums + 32 * <usize>CHUNK_ROWS;
  const groupBytes = <usize>((p.inputs + 3) & ~3) * 4;
  const offset = i16x8.splat(<i16>p.weightOffset);
  const yBytes = <usize>yStride << <usize>isWide;
  for (let column = first; column < p.outputs; column += 8) {
    const weights = p.weights + <usize>(column >> 2) * groupBytes, bias = p.bias + 4 * <usize>column;
    const low = v128.load(bias), high = v128.load(bias, 16);
    if (rows === 1) {
      oneRow(x, weights, groupBytes, offset, low, high, sums);
    } else {
      widenWeights(weights, groupBytes, groupBytes, offset, panel);
      multiplyRows(x, stride, rows, panel, 4 * groupBytes, low, high, sums);
    }
    finishRows(p, column, sums, rows, y + (<usize>column << <usize>isWide), yBytes, isWide);
  }
}

/** So many bytes of two groups of four outputs as a panel of pairs. */
function widenWeights(
  weights: usize, groupBytes: usize, bytes: usize, offset: v128, panel: usize,
): void {
  for (const end = weights + bytes; weights < end; weights += 16, panel += 64) {
    const second = weights + groupBytes;
    const a0 = i16x8.sub(v128.load8x8_s(weights), offset);
    const a1 = i16x8.sub(v128.load8x8_s(weights, 8), offset);
    const b0 = i16x8.sub(v128.load8x8_s(second), offset);
    const b1 = i16x8.sub(v128.load8x8_s(second, 8), offset);
    v128.store(panel, i32x4.shuffle(a0, a1, 0, 2, 4, 6));
    v128.store(panel, i32x4.shuffle(b0, b1, 0, 2, 4, 6), 16);
    v128.store(panel, i32x4.shuffle(a0, a1, 1, 3, 5, 7), 32);
    v128.store(panel, i32x4.shuffle(b0, b1, 1, 3, 5, 7), 48);
  }
}

/** A panel pays for several rows only. */
function oneRow(
  x: usize, weights: usize, groupBytes: usize, offset: v128, low: v128, high: v128, sums: usize,
): void {
  let a0 = i32x4.splat(0), a1 = i32x4.splat(0), a2 = i32x4.splat(0), a3 = i32x4.splat(0);
  for (const end = weights + groupBytes; weights < end; weights += 16, x += 8) {
    const b = v128.load64_splat(x);
    const second = weights + groupBytes;
    const w0 = i16x8.sub(v128.load8x8_s(weights), offset);
    const w1 = i16x8.sub(v128.load8x8_s(weights, 8), offset);
    const w2 = i16x8.sub(v128.load8x8_s(second), offset);
    const w3 = i16x8.sub(v128.load8x8_s(second, 8), offset);
    a0 = i32x4.add(a0, i32x4.dot_i16x8_s(w0, b));
    a1 = i32x4.add(a1, i32x4.dot_i16x8_s(w1, b));
    a2 = i32x4.add(a2, i32x4.dot_i16x8_s(w2, b));
    a3 = i32x4.add(a3, i32x4.dot_i16x8_s(w3, b));
  }
  v128.store(sums, i32x4.add(joinPairs(a0, a1), low));
  v128.store(sums, i32x4.add(joinPairs(a2, a3), high), 16);
}

/** Sums of pairs, of two outputs each: one sum an output. */
// @ts-ignore: decorator
@inline
function joinPairs(a: v128, b: v128): v128 {
  return i32x4.add(i32x4.shuffle(a, b, 0, 2, 4, 6), i32x4.shuffle(a, b, 1, 3, 5, 7));
}
