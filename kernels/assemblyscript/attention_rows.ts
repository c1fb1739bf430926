// SPDX-License-Identifier: Apache-2.0
/**
 * What both forms of attention share: scores of four query rows and one head, their weights, and
 * the requantization of the sums.
 *
 *   scratch   four requantizations, 8 bytes each | four rows of q as int16 | four rows of weights
 *
 * Widths and keys are filled up; what is read behind the last column or key counts nothing. Reads go
 * at most one row past the keys and values.
 */
import { divideRequant, isUsual, requantizeEach, requantizeFour } from './fixed_point';
import { storePart } from './linear_finish';
import { widenRow } from './linear';

/** Parameters of a group of heads (toolchain/emit/wasm-params.ts writes them). */
@unmanaged
export class Attention {
  heads: i32;
  headWidth: i32;
  valueWidth: i32;
  causal: i32;
  /** (heads): multiplier and shift. */
  scores: usize;
  /** (heads, 256) */
  expTables: usize;
  mixMultiplier: i32;
  mixShift: i32;
  zeroPoint: i32;
}

export const ROWS: i32 = 4;

/** Bytes of the weights of a row, int16. */
export function weightBytes(tokens: i32): i32 {
  return 2 * ((tokens + 7) & ~7);
}

function queryBytes(p: Attention): i32 {
  return 2 * ((p.headWidth + 7) & ~7);
}

/** Where the weights of the first row lie. */
export function weightsIn(p: Attention, scratch: usize): usize {
  return scratch + 8 * ROWS + <usize>(ROWS * queryBytes(p));
}

export function keysSeen(p: Attention, token: i32, tokens: i32): i32 {
  return p.causal !== 0 ? min(tokens, token + 1) : tokens;
}

/** The int8 scores of rows `row` to `last` of one head, stored as int16 where weights will lie. */
export function scoreRows(
  p: Attention, head: i32, q: usize, qStride: i32, row: i32, last: i32,
  k: usize, kStride: i32, keys: i32, scratch: usize, bytes: i32,
): void {
  const wide = scratch + 8 * ROWS;
  const step = <usize>queryBytes(p);
  for (let i = 0; i < ROWS; i++) {
    const from = q + <usize>(min(row + i, last) * qStride);
    widenRow(from, p.headWidth, wide + <usize>i * step);
  }
  const score = p.scores + 8 * <usize>head;
  const multiplier = load<i32>(score), shift = load<i32>(score, 4);
  const isFast = isUsual(shift, <i64>p.headWidth << 14);
  const weights = weightsIn(p, scratch);
  for (let key = 0; key < keys; key += 2) {
    const at = k + <usize>(key * kStride);
    scoreTwoKeys(
      wide, step, at, at + <usize>kStride, multiplier, shift, isFast,
      weights + 2 * <usize>key, <usize>bytes,
    );
  }
}

// @ts-ignore: decorator
@inline
function joinPairs(a: v128, b: v128): v128 {
  return i32x4.add(i32x4.shuffle(a, b, 0, 2, 4, 6), i32x4.shuffle(a, b, 1, 3, 5, 7));
}

function scoreTwoKeys(
  q0: usize, step: usize, k0: usize, k1: usize,
  multiplier: i32, shift: i32, isFast: bool, to: usize, bytes: usize,
): void {
  let a0 = i32x4.splat(0), a1 = i32x4.splat(0), b0 = i32x4.splat(0), b1 = i32x4.splat(0);
  let c0 = i32x4.splat(0), c1 = i32x4.splat(0), d0 = i32x4.splat(0), d1 = i32x4.splat(0);
  let q1 = q0 + step, q2 = q1 + step, q3 = q2 + step;
  for (const end = q1; q0 < end; q0 += 16) {
    const key = v128.load8x8_s(k0), other = v128.load8x8_s(k1);
    const qa = v128.load(q0);
    a0 = i32x4.add(a0, i32x4.dot_i16x8_s(key, qa));
    a1 = i32x4.add(a1, i32x4.dot_i16x8_s(other, qa));
    const qb = v128.load(q1);
    b0 = i32x4.add(b0, i32x4.dot_i16x8_s(key, qb));
    b1 = i32x4.add(b1, i32x4.dot_i16x8_s(other, qb));
    const qc = v128.load(q2);
    c0 = i32x4.add(c0, i32x4.dot_i16x8_s(key, qc));
    c1 = i32x4.add(c1, i32x4.dot_i16x8_s(other, qc));
    const qd = v128.load(q3);
    d0 = i32x4.add(d0, i32x4.dot_i16x8_s(key, qd));
    d1 = i32x4.add(d1, i32x4.dot_i16x8_s(other, qd));
    k0 += 8; k1 += 8; q1 += 16; q2 += 16; q3 += 16;
  }
  const low = joinPairs(joinPairs(a0, a1), joinPairs(b0, b1));
  const high = joinPairs(joinPairs(c0, c1), joinPairs(d0, d1));
  const sums = isFast
    ? i16x8.narrow_i32x4_s(
        requantizeFour(low, multiplier, shift), requantizeFour(high, multiplier, shift))
    : i16x8.narrow_i32x4_s(
        requantizeEach(low, multiplier, shift), requantizeEach(high, multiplier, shift));
  const scores = i16x8.min_s(i16x8.max_s(sums, i16x8.splat(-128)), i16x8.splat(127));
  v128.store32_lane(to, scores, 0);
  v128.store32_lane(to + bytes, scores, 1);
  v128.store32_lane(to + 2 * bytes, scores, 2);
  v128.store32_lane(to + 3 * bytes, scores, 3);
}

/** The largest of int16 scores. */
export function largestScore(scores: usize, keys: i32): i32 {
  let largest: i32 = -128;
  let i = 0;
  if (keys >= 8) {
    let most = v128.load(scores);
    for (i = 8; i + 8 <= keys; i += 8) most = i16x8.max_s(most, v128.load(scores + 2 * <usize>i));
    most = i16x8.max_s(most, i16x8.shuffle(most, most, 4, 5, 6, 7, 0, 1, 2, 3));
    most = i16x8.max_s(most, i16x8.shuffle(most, most, 2, 3, 0, 1, 6, 7, 4, 5));
    largest = max(
      <i32>i16x8.extract_lane_s(most, 0), <i32>i16x8.extract_lane_s(most, 1));
  }
  for (; i < keys; i++) largest = max(largest, <i32>load<i16>(scores + 2 * <usize>i));
  return largest;
}

/** Σ weights becomes the divisor of the row's requantization. */
export function divideRow(p: Attention, total: i32, to: usize): void {
  store<i64>(to, divideRequant(p.mixMultiplier, p.mixShift, total));
}

/** Requantizes eight columns of one row and stores as many as there are. */
export function mixColumns(
  p: Attention, low: v128, high: v128, requant: usize, tokens: i32, column: i32, y: usize,
): void {
  const multiplier = load<i32>(requant), shift = load<i32>(requant, 4);
  const mixed = isUsual(shift, <i64>tokens << 14)
    ? i16x8.narrow_i32x4_s(
        requantizeFour(low, multiplier, shift), requantizeFour(high, multiplier, shift))
    : i16x8.narrow_i32x4_s(
        requantizeEach(low, multiplier, shift), requantizeEach(high, multiplier, shift));
  const moved = i16x8.add_sat_s(mixed, i16x8.splat(<i16>p.zeroPoint));
  const bytes = i8x16.narrow_i16x8_s(moved, moved);
  const left = p.valueWidth - column;
  if (left >= 8) v128.store64_lane(y + <usize>column, bytes, 0);
  else storePart(y + <usize>column, i64x2.extract_lane(bytes, 0), left);
}
