// SPDX-License-Identifier: Apache-2.0
/**
 * y = softmax(q·kᵀ)·v with unnormalised weights 0 … 127, four query rows at a time: scores along the
 * width, then weighted sums along the keys, two keys a product of int16 pairs.
 */
import {
  Attention, ROWS, divideRow, keysSeen, largestScore, mixColumns, scoreRows, weightBytes, weightsIn,
} from './attention_rows';

export function lm_attention_s8_s8_simd(
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

/** Scores become weights in their place, 0 behind the keys that the row sees; returns their sum. */
function weigh(table: usize, row: usize, keys: i32, filled: i32): i32 {
  const top = table + <usize>largestScore(row, keys);
  let total = 0;
  let key = 0;
  for (; key + 4 <= keys; key += 4, row += 8) {
    const a = <i32>load<u8>(top - <usize>(<i32>load<i16>(row)));
    const b = <i32>load<u8>(top - <usize>(<i32>load<i16>(row, 2)));
    const c = <i32>load<u8>(top - <usize>(<i32>load<i16>(row, 4)));
    const d = <i32>load<u8>(top - <usize>(<i32>load<i16>(row, 6)));
    store<i16>(row, <i16>a);
    store<i16>(row, <i16>b, 2);
    store<i16>(row, <i16>c, 4);
    store<i16>(row, <i16>d, 6);
    total += a + b + c + d;
  }
  for (; key < keys; key++, row += 2) {
    const weight = <i32>load<u8>(top - <usize>(<i32>load<i16>(row)));
    store<i16>(row, <i16>weight);
    total += weight;
  }
  for (const end = (filled + 1) & ~1; key < end; key++, row += 2) store<i16>(row, 0);
  return total;
}

/** Eight columns of v of four rows; `count`: rows behind the first that there are. */
function mixFourRows(
  p: Attention, v: usize, stride: i32, keys: i32, weights: usize, bytes: usize, requants: usize,
  column: i32, y: usize, yStride: i32, count: i32,
): void {
  let a0 = i32x4.splat(0), a1 = i32x4.splat(0), b0 = i32x4.splat(0), b1 = i32x4.splat(0);
  let c0 = i32x4.splat(0), c1 = i32x4.splat(0), d0 = i32x4.splat(0), d1 = i32x4.splat(0);
  let wa = weights, wb = wa + bytes, wc = wb + bytes, wd = wc + bytes;
  for (let key = 0; key < keys; key += 2) {
    const first = v128.load64_zero(v), second = v128.load64_zero(v + <usize>stride);
    const pairs = i8x16.shuffle(
      first, second, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23,
    );
    const low = i16x8.extend_low_i8x16_s(pairs), high = i16x8.extend_high_i8x16_s(pairs);
    const ea = v128.load32_splat(wa);
    a0 = i32x4.add(a0, i32x4.dot_i16x8_s(low, ea));
    a1 = i32x4.add(a1, i32x4.dot_i16x8_s(high, ea));
    const eb = v128.load32_splat(wb);
    b0 = i32x4.add(b0, i32x4.dot_i16x8_s(low, eb));
    b1 = i32x4.add(b1, i32x4.dot_i16x8_s(high, eb));
    const ec = v128.load32_splat(wc);
    c0 = i32x4.add(c0, i32x4.dot_i16x8_s(low, ec));
    c1 = i32x4.add(c1, i32x4.dot_i16x8_s(high, ec));
    const ed = v128.load32_splat(wd);
    d0 = i32x4.add(d0, i32x4.dot_i16x8_s(low, ed));
    d1 = i32x4.add(d1, i32x4.dot_i16x8_s(high, ed));
    wa += 4; wb += 4; wc += 4; wd += 4;
    v += 2 * <usize>stride;
  }
  mixColumns(p, a0, a1, requants, keys, column, y);
  if (count > 0) mixColumns(p, b0, b1, requants + 8, keys, column, y + <usize>yStride);
  if (count > 1) mixColumns(p, c0, c1, requants + 16, keys, column, y + <usize>(2 * yStride));
  if (count > 2) mixColumns(p, d0, d1, requants + 24, keys, column, y + <usize>(3 * yStride));
}
