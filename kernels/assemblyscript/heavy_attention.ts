// SPDX-License-Identifier: Apache-2.0
/**
 * y = softmax(q·kᵀ)·v over a cache that keeps what was looked at most: one query, whose key and value are
 * in the cache; afterwards there is room for the next token's.
 *
 *   scratch   shares of the keys, uint16 | the scratch of causal_attention.ts
 */
import { attendQuery, CausalAttention, weightsOf } from './causal_attention';

@unmanaged
export class HeavyAttention extends CausalAttention {
  /** Of the cache. */
  rows: i32;
  /** Of them, for tokens that left the ring. */
  pinned: i32;
  /** The latest queries, which alone count; 0: all count. */
  steps: i32;
}

/**
 * `scores`: (key-value heads, rows) int32, then uint16 (steps, key-value heads, rows); token 0 begins
 * them anew.
 */
export function lm_heavy_attention_s8_s8_simd(
  p: HeavyAttention, token: i32, q: usize, k: usize, kStride: i32, v: usize, vStride: i32,
  scores: usize, scratch: usize, y: usize,
): void {
  const rows = p.rows, counts = p.keyValueHeads * rows, sharing = p.heads / p.keyValueHeads;
  const keys = min(token + 1, rows);
  const shares = scratch, own = scratch + <usize>((2 * rows + 15) & ~15);
  const history = scores + 4 * <usize>counts;
  if (token === 0) memory.fill(scores, 0, 4 * <usize>counts + 2 * <usize>(p.steps * counts));
  for (let group = 0; group < p.keyValueHeads; group++) {
    const groupKeys = k + <usize>(group * p.headWidth);
    const groupValues = v + <usize>(group * p.valueWidth * vStride);
    const sums = scores + 4 * <usize>(group * rows);
    const latest = history + 2 * <usize>(group * rows);
    memory.fill(shares, 0, 2 * <usize>keys);
    for (let head = group * sharing; head < (group + 1) * sharing; head++) {
      const from = q + <usize>(head * p.headWidth), to = y + <usize>(head * p.valueWidth);
      const weights = weightsOf(p, own);
      const total = attendQuery(p, head, from, groupKeys, kStride, groupValues, vStride, keys, own, to);
      addShares(weights, total, keys, shares);
    }
    const step = p.steps === 0 ? 0 : latest + 2 * <usize>((token % p.steps) * counts);
    addToScores(sums, step, shares, keys);
    if (token + 1 >= rows) {
      makeRoom(p, token + 1, groupKeys, kStride, groupValues, vStride, sums, latest);
    }
  }
}

/** shares += weights / total, in 1/2^12, saturated. */
function addShares(weights: usize, total: i32, keys: i32, shares: usize): void {
  const inverse = (<u32>1 << 24) / <u32>total;
  for (let key: usize = 0; key < <usize>keys; key++) {
    const share = (<u32>load<u16>(weights + 2 * key) * inverse) >> 12;
    const sum = <u32>load<u16>(shares + 2 * key) + share;
    store<u16>(shares + 2 * key, <u16>min<u32>(sum, 65535));
  }
}

/** `latest`: of the query that these shares take the place of; 0: nothing is taken away. */
function addToScores(sums: usize, latest: usize, shares: usize, keys: i32): void {
  for (let key: usize = 0; key < <usize>keys; key++) {
    const share = <i32>load<u16>(shares + 2 * key);
    const old = latest === 0 ? 0 : <i32>load<u16>(latest + 2 * key);
    const before = load<i32>(sums + 4 * key) - old;
    store<i32>(sums + 4 * key, before > i32.MAX_VALUE - share ? i32.MAX_VALUE : before + share);
    if (latest !== 0) store<u16>(latest + 2 * key, <u16>share);
  }
}

/** What lies in the row that the token takes goes where the least score is, if it has more. */
function makeRoom(
  p: HeavyAttention, token: i32, k: usize, kStride: i32, v: usize, vStride: i32,
  sums: usize, history: usize,
): void {
  const from = token < p.rows ? token : p.pinned + (token - p.pinned) % (p.rows - p.pinned);
  let least = 0;
  for (let row = 1; row < p.pinned; row++) {
    if (load<i32>(sums + 4 * <usize>row) < load<i32>(sums + 4 * <usize>least)) least = row;
  }
  const score = load<i32>(sums + 4 * <usize>from);
  const moves = score > load<i32>(sums + 4 * <usize>least);
  if (moves) {
    memory.copy(k + <usize>(least * kStride), k + <usize>(from * kStride), p.headWidth);
    for (let column = 0; column < p.valueWidth; column++) {
      const values = v + <usize>(column * vStride);
      store<u8>(values + <usize>least, load<u8>(values + <usize>from));
    }
    store<i32>(sums + 4 * <usize>least, score);
  }
  store<i32>(sums + 4 * <usize>from, 0);
  const counts = p.keyValueHeads * p.rows;
  for (let step = 0; step < p.steps; step++, history += 2 * <usize>counts) {
    if (moves) store<u16>(history + 2 * <usize>least, load<u16>(history + 2 * <usize>from));
    store<u16>(history + 2 * <usize>from, 0);
  }
}
