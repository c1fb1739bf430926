// SPDX-License-Identifier: Apache-2.0
/**
 * y = softmax(q·kᵀ)·v over the keys up to the query's own, heads in groups that share theirs. The cache
 * has a key a row and the values column by column, so that both products go along memory.
 *
 *   scratch   requantization of a row | sums of eight columns | the query as int16 | scores, int16, in
 *             whose place weights come to lie, filled up to a multiple of eight
 *
 * What is read behind the last column of a key, or behind the last token of a column, counts nothing.
 */
import { finishMixes, weigh } from './attention';
import { divideRequant, highWords } from './fixed_point';
import { widenRow } from './panel';

/** Parameters of a decoder's attention (toolchain/emit/wasm-params.ts writes them). */
@unmanaged
export class CausalAttention {
  heads: i32;
  keyValueHeads: i32;
  headWidth: i32;
  valueWidth: i32;
  /** (heads) */
  scoreMultipliers: usize;
  /** (heads, 256) */
  expTables: usize;
  mixMultiplier: i32;
  mixShift: i32;
  zeroPoint: i32;
}

const SUMS: usize = 16;
const QUERY: usize = SUMS + 32;

export function lm_causal_attention_s8_s8_simd(
  p: CausalAttention, rows: i32, rowStart: i32,
  q: usize, qStride: i32, k: usize, kStride: i32, v: usize, vStride: i32,
  scratch: usize, y: usize, yStride: i32,
): void {
  const sharing = p.heads / p.keyValueHeads;
  for (let row = 0; row < rows; row++) {
    const keys = rowStart + row + 1;
    for (let head = 0; head < p.heads; head++) {
      const shared = head / sharing;
      const from = q + <usize>(row * qStride + head * p.headWidth);
      const to = y + <usize>(row * yStride + head * p.valueWidth);
      const values = v + <usize>(shared * p.valueWidth * vStride);
      const shift = <usize>(shared * p.headWidth);
      attendQuery(p, head, from, k + shift, kStride, values, vStride, keys, scratch, to);
    }
  }
}

/** Where the weights of a query's keys are when it has been attended, as int16. */
// @ts-ignore: decorator
@inline
export function weightsOf(p: CausalAttention, scratch: usize): usize {
  return scratch + QUERY + 2 * <usize>((p.headWidth + 7) & ~7);
}

/** One query and one head, whose keys and values are given; returns the sum of the weights. */
// @ts-ignore: decorator
@inline
export function attendQuery(
  p: CausalAttention, head: i32, q: usize, k: usize, kStride: i32, v: usize, vStride: i32,
  keys: i32, scratch: usize, y: usize,
): i32 {
  const query = scratch + QUERY, sums = scratch + SUMS, weights = weightsOf(p, scratch);
  widenRow(q, p.headWidth, query);
  scoreKeys(p, head, query, k, kStride, keys, weights);
  const filled = (keys + 7) & ~7;
  const total = weigh(p.expTables + <usize>(head << 8), weights, keys, filled, false);
  store<i64>(scratch, divideRequant(p.mixMultiplier, p.mixShift, total));
  for (let column = 0; column < p.valueWidth; column += 8) {
    const from = v + <usize>(column * vStride), left = p.valueWidth - column;
    mixFour(from, vStride, left, weights, filled, sums);
    mixFour(from + <usize>(4 * vStride), vStride, left - 4, weights, filled, sums + 16);
    finishMixes(left, p.zeroPoint, sums, scratch, 1, keys, y + <usize>column, 0);
  }
  return total;
}

/** Scores of four keys at a time; those behind the last are that one again, and nothing reads theirs. */
function scoreKeys(
  p: CausalAttention, head: i32, query: usize, k: usize, stride: i32, keys: i32, scores: usize,
): void {
  const multipliers = v128.load32_splat(p.scoreMultipliers + 4 * <usize>head);
  const half = i64x2.splat((<i64>1) << 31), width = <usize>p.headWidth;
  for (let key = 0; key < keys; key += 4, scores += 8) {
    const last = keys - key - 1;
    const sums = fourDots(k + <usize>(key * stride), stride, last, query, width);
    const low = i64x2.add(i64x2.extmul_low_i32x4_s(sums, multipliers), half);
    const high = i64x2.add(i64x2.extmul_high_i32x4_s(sums, multipliers), half);
    const wide = highWords(low, high);
    const rounded = i16x8.narrow_i32x4_s(wide, wide);
    const score = i16x8.min_s(i16x8.max_s(rounded, i16x8.splat(-128)), i16x8.splat(127));
    v128.store64_lane(scores, score, 0);
  }
}

/** Sums of four columns of values; weights behind the last key are 0. */
// @ts-ignore: decorator
@inline
function mixFour(v: usize, stride: i32, left: i32, weights: usize, filled: i32, sums: usize): void {
  if (left <= 0) return;
  v128.store(sums, fourDots(v, stride, left - 1, weights, <usize>filled));
}

/** Products of four rows of int8 with one of int16; rows behind the `last`th are that one again. */
// @ts-ignore: decorator
@inline
function fourDots(rows: usize, stride: i32, last: i32, x: usize, width: usize): v128 {
  let a = i32x4.splat(0), b = i32x4.splat(0), c = i32x4.splat(0), d = i32x4.splat(0);
  const row1 = rows + <usize>(min(1, last) * stride), row2 = rows + <usize>(min(2, last) * stride);
  const row3 = rows + <usize>(min(3, last) * stride);
  for (let i: usize = 0; i < width; i += 8) {
    const own = v128.load(x + 2 * i);
    a = i32x4.add(a, i32x4.dot_i16x8_s(own, v128.load8x8_s(rows + i)));
    b = i32x4.add(b, i32x4.dot_i16x8_s(own, v128.load8x8_s(row1 + i)));
    c = i32x4.add(c, i32x4.dot_i16x8_s(own, v128.load8x8_s(row2 + i)));
    d = i32x4.add(d, i32x4.dot_i16x8_s(own, v128.load8x8_s(row3 + i)));
  }
  const ab = i32x4.add(i32x4.shuffle(a, b, 0, 4, 1, 5), i32x4.shuffle(a, b, 2, 6, 3, 7));
  const cd = i32x4.add(i32x4.shuffle(c, d, 0, 4, 1, 5), i32x4.shuffle(c, d, 2, 6, 3, 7));
  return i32x4.add(i64x2.shuffle(ab, cd, 0, 2), i64x2.shuffle(ab, cd, 1, 3));
}
