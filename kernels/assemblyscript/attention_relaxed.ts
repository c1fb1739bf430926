// SPDX-License-Identifier: Apache-2.0
/**
 * y = softmax(q·kᵀ)·v, whose weighted sums are relaxed dot products of int8 quads: weights lie in
 * 0 … 127, as its second operand must. Scores, of two signed operands, are as in attention.ts.
 */
import {
  Attention, ROWS, divideRow, keysSeen, largestScore, mixColumns, scoreRows, weightBytes, weightsIn,
} from './attention_rows';

export function lm_attention_s8_s8_relaxed(
  p: Attention, rows: i32, rowStart: i32, tokens: i32,
  q: usize, qStride: i32, k: usize, kStride: i32, v: usize, vStride: i32,
  scratch: usize, y: usize, yStride: i32,
): void {
  const bytes = weightBytes(tokens);
  const weights = weightsIn(p, scratch);
  for (let row = 0; row < rows; row += ROWS) {
    const last = min(row + ROWS, rows) - 1;
    const seen = keysSeen(p, rowStart + last, tokens);
    for (let head = 0; head < p.heads; head++) {
      const keys = k + <usize>(head * p.headWidth);
      const queries = q + <usize>(head * p.headWidth);
      scoreRows(p, head, queries, qStride, row, last, keys, kStride, seen, scratch, bytes);
      for (let i = 0; i < ROWS; i++) {
        const own = keysSeen(p, rowStart + min(row + i, last), tokens);
        const total = weigh(p.expTables + <usize>(head << 8), weights + <usize>(i * bytes), own, seen);
        divideRow(p, total, scratch + 8 * <usize>i);
      }
      const values = v + <usize>(head * p.valueWidth);
      const to = y + <usize>(row * yStride + head * p.valueWidth);
      for (let column = 0; column < p.valueWidth; column += 8) {
        mixFourRows(
          p, values + <usize>column, vStride, seen, weights, <usize>bytes, scratch, column,
          to, yStride, last - row,
        );
      }
    }
  }
}

/** Scores become bytes of weights, from the same start, 0 behind the keys that the row sees. */
function weigh(table: usize, row: usize, keys: i32, filled: i32): i32 {
  const top = table + <usize>largestScore(row, keys);
  let to = row;
  let total = 0;
  let key = 0;
  for (; key + 4 <= keys; key += 4, row += 8, to += 4) {
    const a = <i32>load<u8>(top - <usize>(<i32>load<i16>(row)));
    const b = <i32>load<u8>(top - <usize>(<i32>load<i16>(row, 2)));
    const c = <i32>load<u8>(top - <usize>(<i32>load<i16>(row, 4)));
    const d = <i32>load<u8>(top - <usize>(<i32>load<i16>(row, 6)));
    store<i32>(to, a | (b << 8) | (c << 16) | (d << 24));
    total += a + b + c + d;
  }
  for (; key < keys; key++, row += 2, to++) {
    const weight = <i32>load<u8>(top - <usize>(<i32>load<i16>(row)));
    store<u8>(to, <u8>weight);
    total += weight;
  }
  for (const end = (filled + 3) & ~3; key < end; key++, to++) store<u8>(to, 0);
  return total;
}

/** Eight columns of v of four rows, four keys a step; `count`: rows behind the first. */
function mixFourRows(
  p: Attention, v: usize, stride: i32, keys: i32, weights: usize, bytes: usize, requants: usize,
  column: i32, y: usize, yStride: i32, count: i32,
): void {
  let a0 = i32x4.splat(0), a1 = i32x4.splat(0), b0 = i32x4.splat(0), b1 = i32x4.splat(0);
  let c0 = i32x4.splat(0), c1 = i32x4.splat(0), d0 = i32x4.splat(0), d1 = i32x4.splat(0);
  let wa = weights, wb = wa + bytes, wc = wb + bytes, wd = wc + bytes;
  const last = v + <usize>((keys - 1) * stride);
  for (let key = 0; key < keys; key += 4) {
    const v1 = min(v + <usize>stride, last), v2 = min(v + 2 * <usize>stride, last);
    const v3 = min(v + 3 * <usize>stride, last);
    const first = i8x16.shuffle(
      v128.load64_zero(v), v128.load64_zero(v1),
      0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23,
    );
    const second = i8x16.shuffle(
      v128.load64_zero(v2), v128.load64_zero(v3),
      0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23,
    );
    const low = i16x8.shuffle(first, second, 0, 8, 1, 9, 2, 10, 3, 11);
    const high = i16x8.shuffle(first, second, 4, 12, 5, 13, 6, 14, 7, 15);
    const ea = v128.load32_splat(wa);
    a0 = i32x4.relaxed_dot_i8x16_i7x16_add_s(low, ea, a0);
    a1 = i32x4.relaxed_dot_i8x16_i7x16_add_s(high, ea, a1);
    const eb = v128.load32_splat(wb);
    b0 = i32x4.relaxed_dot_i8x16_i7x16_add_s(low, eb, b0);
    b1 = i32x4.relaxed_dot_i8x16_i7x16_add_s(high, eb, b1);
    const ec = v128.load32_splat(wc);
    c0 = i32x4.relaxed_dot_i8x16_i7x16_add_s(low, ec, c0);
    c1 = i32x4.relaxed_dot_i8x16_i7x16_add_s(high, ec, c1);
    const ed = v128.load32_splat(wd);
    d0 = i32x4.relaxed_dot_i8x16_i7x16_add_s(low, ed, d0);
    d1 = i32x4.relaxed_dot_i8x16_i7x16_add_s(high, ed, d1);
    wa += 4; wb += 4; wc += 4; wd += 4;
    v += 4 * <usize>stride;
  }
  mixColumns(p, a0, a1, requants, keys, column, y);
  if (count > 0) mixColumns(p, b0, b1, requants + 8, keys, column, y + <usize>yStride);
  if (count > 1) mixColumns(p, c0, c1, requants + 16, keys, column, y + <usize>(2 * yStride));
  if (count > 2) mixColumns(p, d0, d1, requants + 24, keys, column, y + <usize>(3 * yStride));
}
