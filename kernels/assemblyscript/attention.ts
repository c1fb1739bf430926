// SPDX-License-Identifier: Apache-2.0
/**
 * y = softmax(q·kᵀ)·v with unnormalised weights 0 … 127. Of one head, the keys of eight tokens become a
 * panel (panel.ts) for all query rows of a chunk, and then eight columns of all its values do. Relaxed
 * SIMD takes the second products, for weights lie in 0 … 127; scores have two signed operands.
 *
 *   scratch   requantizations of rows, 8 bytes each | rows of q as int16 | sums by eight columns |
 *             rows of scores, int16, in whose place weights come to lie | the panel
 *
 * Widths and keys are filled up; what is read behind the last column counts nothing.
 */
import {
  divideRequant, isUsual, requantizeEach, requantizeFour, roundingOf,
} from './fixed_point';
import { storeEight } from './linear_finish';
import { multiplyRows, widenRow } from './panel';
import { multiplyNarrowRows } from './panel_relaxed';

/** Parameters of a group of heads (toolchain/emit/wasm-params.ts writes them). */
@unmanaged
export class Attention {
  heads: i32;
  headWidth: i32;
  valueWidth: i32;
  causal: i32;
  /** −1: all keys. */
  reach: i32;
  /** (heads): multiplier and shift. */
  scores: usize;
  /** (heads, 256) */
  expTables: usize;
  mixMultiplier: i32;
  mixShift: i32;
  zeroPoint: i32;
}

/** Rows that share a panel. */
const CHUNK_ROWS: i32 = 64;
/** Plain products take four of them at once, relaxed ones six. */
const SUM_ROWS: i32 = 66;

export function lm_attention_s8_s8_simd(
  p: Attention, rows: i32, rowStart: i32, tokens: i32,
  q: usize, qStride: i32, k: usize, kStride: i32, v: usize, vStride: i32,
  scratch: usize, y: usize, yStride: i32,
): void {
  attendBand(
    p, rows, rowStart, tokens, q, qStride, k, kStride, v, vStride, scratch, y, yStride, false,
  );
}

export function lm_attention_s8_s8_relaxed(
  p: Attention, rows: i32, rowStart: i32, tokens: i32,
  q: usize, qStride: i32, k: usize, kStride: i32, v: usize, vStride: i32,
  scratch: usize, y: usize, yStride: i32,
): void {
  attendBand(
    p, rows, rowStart, tokens, q, qStride, k, kStride, v, vStride, scratch, y, yStride, true,
  );
}

/** Rows of a band see different keys: each is a tile of its own. */
function attendBand(
  p: Attention, rows: i32, rowStart: i32, tokens: i32,
  q: usize, qStride: i32, k: usize, kStride: i32, v: usize, vStride: i32,
  scratch: usize, y: usize, yStride: i32, isRelaxed: bool,
): void {
  if (p.reach < 0 || tokens <= p.reach + 1) {
    attend(
      p, rows, rowStart, tokens, q, qStride, k, kStride, v, vStride, scratch, y, yStride, isRelaxed,
    );
    return;
  }
  for (let row = 0; row < rows; row++) {
    const token = rowStart + row;
    const first = max(0, token - p.reach);
    const seen = min(tokens, token + p.reach + 1) - first;
    attend(
      p, 1, token - first, seen, q + <usize>(row * qStride), qStride,
      k + <usize>(first * kStride), kStride, v + <usize>(first * vStride), vStride,
      scratch, y + <usize>(row * yStride), yStride, isRelaxed,
    );
  }
}

function attend(
  p: Attention, rows: i32, rowStart: i32, tokens: i32,
  q: usize, qStride: i32, k: usize, kStride: i32, v: usize, vStride: i32,
  scratch: usize, y: usize, yStride: i32, isRelaxed: bool,
): void {
  const wide = scratch + 8 * CHUNK_ROWS;
  const wideBytes = 2 * ((p.headWidth + 7) & ~7);
  const sums = wide + <usize>(CHUNK_ROWS * wideBytes);
  const weights = sums + 32 * <usize>SUM_ROWS;
  const weightBytes = 2 * ((tokens + 7) & ~7);
  const panel = weights + <usize>(CHUNK_ROWS * weightBytes);
  for (let row = 0; row < rows; row += CHUNK_ROWS) {
    const count = min(CHUNK_ROWS, rows - row);
    const seen = keysSeen(p, rowStart + row + count - 1, tokens);
    for (let head = 0; head < p.heads; head++) {
      const queries = q + <usize>(row * qStride + head * p.headWidth);
      for (let i = 0; i < count; i++) {
        widenRow(queries + <usize>(i * qStride), p.headWidth, wide + <usize>(i * wideBytes));
      }
      const keys = k + <usize>(head * p.headWidth);
      for (let key = 0; key < seen; key += 8) {
        const from = keys + <usize>(key * kStride);
        panelOfKeys(from, kStride, seen - key - 1, p.headWidth, panel);
        const zero = i32x4.splat(0);
        multiplyRows(wide, wideBytes, count, panel, 8 * <usize>wideBytes, zero, zero, sums);
        finishScores(p, head, sums, count, weights + 2 * <usize>key, weightBytes);
      }
      for (let i = 0; i < count; i++) {
        const own = keysSeen(p, rowStart + row + i, tokens);
        const at = weights + <usize>(i * weightBytes);
        const total = weigh(p.expTables + <usize>(head << 8), at, own, seen, isRelaxed);
        store<i64>(scratch + 8 * <usize>i, divideRequant(p.mixMultiplier, p.mixShift, total));
      }
      const values = v + <usize>(head * p.valueWidth);
      const to = y + <usize>(row * yStride + head * p.valueWidth);
      for (let column = 0; column < p.valueWidth; column += 8) {
        const from = values + <usize>column;
        mixRows(from, vStride, seen, weights, weightBytes, count, panel, sums, isRelaxed);
        const left = p.valueWidth - column;
        finishMixes(left, p.zeroPoint, sums, scratch, count, seen, to + <usize>column, yStride);
      }
    }
  }
}

function keysSeen(p: Attention, token: i32, tokens: i32): i32 {
  return p.causal !== 0 ? min(tokens, token + 1) : tokens;
}

/** Eight keys; those behind the `last`th are that one again, and their scores are not read. */
function panelOfKeys(k: usize, stride: i32, last: i32, width: i32, panel: usize): void {
  for (let first = 0; first < 8; first += 4) {
    let k0 = k + <usize>(min(first, last) * stride), k1 = k + <usize>(min(first + 1, last) * stride);
    const k2 = k + <usize>(min(first + 2, last) * stride);
    const k3 = k + <usize>(min(first + 3, last) * stride);
    let to = panel + <usize>(4 * first);
    for (let i: usize = 0; i < <usize>width; i += 8, to += 128) {
      const a = v128.load8x8_s(k0 + i), b = v128.load8x8_s(k1 + i);
      const c = v128.load8x8_s(k2 + i), d = v128.load8x8_s(k3 + i);
      const ab = i32x4.shuffle(a, b, 0, 4, 1, 5), cd = i32x4.shuffle(c, d, 0, 4, 1, 5);
      v128.store(to, i64x2.shuffle(ab, cd, 0, 2));
      v128.store(to, i64x2.shuffle(ab, cd, 1, 3), 32);
      const ef = i32x4.shuffle(a, b, 2, 6, 3, 7), gh = i32x4.shuffle(c, d, 2, 6, 3, 7);
      v128.store(to, i64x2.shuffle(ef, gh, 0, 2), 64);
      v128.store(to, i64x2.shuffle(ef, gh, 1, 3), 96);
    }
  }
}

/** Sums of eight keys become int8 scores, stored as int16. */
function finishScores(
  p: Attention, head: i32, sums: usize, rows: i32, to: usize, stride: i32,
): void {
  const score = p.scores + 8 * <usize>head;
  const multiplier = load<i32>(score), shift = load<i32>(score, 4);
  const isFast = isUsual(shift, <i64>p.headWidth << 14);
  const multipliers = i32x4.splat(multiplier), rounding = roundingOf(shift);
  for (const end = sums + 32 * <usize>rows; sums < end; sums += 32, to += <usize>stride) {
    const rounded = isFast
      ? requantizeEight(sums, multipliers, rounding, shift)
      : requantizeSlowly(sums, multiplier, shift);
    v128.store(to, i16x8.min_s(i16x8.max_s(rounded, i16x8.splat(-128)), i16x8.splat(127)));
  }
}

/** As int16, saturated. */
// @ts-ignore: decorator
@inline
function requantizeEight(sums: usize, multipliers: v128, rounding: v128, shift: i32): v128 {
  return i16x8.narrow_i32x4_s(
    requantizeFour(v128.load(sums), multipliers, rounding, shift),
    requantizeFour(v128.load(sums, 16), multipliers, rounding, shift),
  );
}

/** The same whatever the shift. */
function requantizeSlowly(sums: usize, multiplier: i32, shift: i32): v128 {
  return i16x8.narrow_i32x4_s(
    requantizeEach(v128.load(sums), multiplier, shift),
    requantizeEach(v128.load(sums, 16), multiplier, shift),
  );
}

/**
 * Scores become weights in their place, int16 or `asBytes`, and 0 from the row's last key on to the
 * last of the chunk, filled up to a multiple of four; returns their sum.
 */
export function weigh(table: usize, row: usize, keys: i32, filled: i32, asBytes: bool): i32 {
  const top = table + <usize>largestScore(row, keys);
  const shift = <usize>!asBytes;
  let total = 0;
  let key = 0, to = row;
  for (; key + 4 <= keys; key += 4, row += 8, to += 4 << shift) {
    const a = <i32>load<u8>(top - <usize>(<i32>load<i16>(row)));
    const b = <i32>load<u8>(top - <usize>(<i32>load<i16>(row, 2)));
    const c = <i32>load<u8>(top - <usize>(<i32>load<i16>(row, 4)));
    const d = <i32>load<u8>(top - <usize>(<i32>load<i16>(row, 6)));
    if (asBytes) {
      store<i32>(to, a | (b << 8) | (c << 16) | (d << 24));
    } else {
      store<i16>(to, <i16>a);
      store<i16>(to, <i16>b, 2);
      store<i16>(to, <i16>c, 4);
      store<i16>(to, <i16>d, 6);
    }
    total += a + b + c + d;
  }
  for (const end = (filled + 3) & ~3; key < end; key++, row += 2, to += 1 << shift) {
    const weight = key < keys ? <i32>load<u8>(top - <usize>(<i32>load<i16>(row))) : 0;
    if (asBytes) store<u8>(to, <u8>weight);
    else store<i16>(to, <i16>weight);
    total += weight;
  }
  return total;
}

/** The largest of int16 scores. */
function largestScore(scores: usize, keys: i32): i32 {
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

/** Sums of the values, eight columns, by each row's weights. */
// @ts-ignore: decorator
@inline
function mixRows(
  v: usize, stride: i32, keys: i32, weights: usize, weightBytes: i32, rows: i32,
  panel: usize, sums: usize, isRelaxed: bool,
): void {
  const quads = <usize>((keys + 3) & ~3);
  const zero = i32x4.splat(0);
  if (ASC_FEATURE_RELAXED_SIMD) {
    if (isRelaxed) {
      groupsOfValues(v, stride, keys - 1, panel, 4 * quads);
      for (let at = sums, end = sums + 32 * <usize>rows; at < end; at += 16) v128.store(at, zero);
      multiplyNarrowRows(weights, weightBytes, rows, panel, 4 * quads, sums);
      return;
    }
  }
  panelOfValues(v, stride, keys - 1, panel);
  multiplyRows(weights, weightBytes, rows, panel, 16 * quads, zero, zero, sums);
}

/** Values behind the `last` are that one again; their weights are 0. */
function panelOfValues(v: usize, stride: i32, last: i32, panel: usize): void {
  for (let key = 0; key <= last; key += 4, panel += 64) {
    const a = v128.load8x8_s(v + <usize>(key * stride));
    const b = v128.load8x8_s(v + <usize>(min(key + 1, last) * stride));
    v128.store(panel, i16x8.shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11));
    v128.store(panel, i16x8.shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15), 16);
    const c = v128.load8x8_s(v + <usize>(min(key + 2, last) * stride));
    const d = v128.load8x8_s(v + <usize>(min(key + 3, last) * stride));
    v128.store(panel, i16x8.shuffle(c, d, 0, 8, 1, 9, 2, 10, 3, 11), 32);
    v128.store(panel, i16x8.shuffle(c, d, 4, 12, 5, 13, 6, 14, 7, 15), 48);
  }
}

/** The same as the two groups of relaxed products. */
function groupsOfValues(v: usize, stride: i32, last: i32, low: usize, groupBytes: usize): void {
  for (let key = 0; key <= last; key += 4, low += 16) {
    const first = i8x16.shuffle(
      v128.load64_zero(v + <usize>(key * stride)),
      v128.load64_zero(v + <usize>(min(key + 1, last) * stride)),
      0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23,
    );
    const second = i8x16.shuffle(
      v128.load64_zero(v + <usize>(min(key + 2, last) * stride)),
      v128.load64_zero(v + <usize>(min(key + 3, last) * stride)),
      0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23,
    );
    v128.store(low, i16x8.shuffle(first, second, 0, 8, 1, 9, 2, 10, 3, 11));
    v128.store(low + groupBytes, i16x8.shuffle(first, second, 4, 12, 5, 13, 6, 14, 7, 15));
  }
}

/** Requantizes eight columns by each row's own divisor and stores as many as are `left`. */
export function finishMixes(
  left: i32, zeroPoint: i32, sums: usize, requants: usize, rows: i32, tokens: i32,
  y: usize, yStride: i32,
): void {
  const offset = i16x8.splat(<i16>zeroPoint);
  for (const end = sums + 32 * <usize>rows; sums < end; sums += 32, requants += 8) {
    const multiplier = load<i32>(requants), shift = load<i32>(requants, 4);
    const mixed = isUsual(shift, <i64>tokens << 14)
      ? requantizeEight(sums, i32x4.splat(multiplier), roundingOf(shift), shift)
      : requantizeSlowly(sums, multiplier, shift);
    storeEight(i16x8.add_sat_s(mixed, offset), y, left, false);
    y += <usize>yStride;
  }
}
