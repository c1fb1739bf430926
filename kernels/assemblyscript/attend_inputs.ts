// SPDX-License-Identifier: Apache-2.0
/**
 * y = softmax(u·xᵀ)·x: absorbed attention with the online softmax. What a row and head carries is
 * its largest score, the sum of its weights, and the weighted sum of each column of x.
 *
 *   scratch   16 scores as int32, then their weights as int16, filled up with zeros
 */
import { clamp, divideRequant, requantize, sumOfLanes } from './fixed_point';

/** Parameters of absorbed attention (toolchain/emit/wasm-params.ts writes them). */
@unmanaged
export class AttendInputs {
  heads: i32;
  width: i32;
  /** (heads): multiplier and shift. */
  scores: usize;
  /** (heads, 256) */
  expTables: usize;
  /** (heads, 256) int16 */
  rescaleTables: usize;
  zeroPoint: i32;
  mixMultiplier: i32;
  mixShift: i32;
}

const BLOCK: i32 = 16;
const TOTAL: usize = 4;
const SUMS: usize = 8;

export function lm_attend_inputs_s16_s16_simd(
  p: AttendInputs, u: usize, uStride: i32, rows: i32,
  x: usize, xStride: i32, first: i32, count: i32, tokens: i32, carry: usize,
  scratch: usize, y: usize, yStride: i32,
): void {
  const carryBytes = SUMS + 4 * <usize>p.width;
  for (let row = 0; row < rows; row++) {
    for (let head = 0; head < p.heads; head++, carry += carryBytes) {
      const own = u + 2 * <usize>(row * uStride + head * p.width);
      for (let token = 0; token < count; token += BLOCK) {
        const block = x + <usize>(token * xStride);
        addTokens(
          p, head, own, block, xStride, min(BLOCK, count - token), first + token === 0, carry, scratch,
        );
      }
      if (first + count < tokens) continue;
      finish(p, carry, y + 2 * <usize>(row * yStride + head * p.width));
    }
  }
}

/** At most BLOCK tokens. */
function addTokens(
  p: AttendInputs, head: i32, u: usize, x: usize, stride: i32, tokens: i32, isFirst: bool,
  carry: usize, scratch: usize,
): void {
  const largest = scoreTokens(p, head, u, x, stride, tokens, scratch);
  if (isFirst) {
    memory.fill(carry, 0, SUMS + 4 * <usize>p.width);
    store<i32>(carry, largest);
  } else if (largest > load<i32>(carry)) {
    raise(p, head, largest, carry);
  }
  const weights = scratch + 4 * BLOCK;
  const top = p.expTables + <usize>(head << 8) + <usize>load<i32>(carry);
  let total = load<i32>(carry, TOTAL);
  v128.store(weights, i16x8.splat(0));
  v128.store(weights, i16x8.splat(0), 16);
  for (let token = 0; token < tokens; token++) {
    const weight = <i32>load<u8>(top - <usize>load<i32>(scratch + 4 * <usize>token));
    store<i16>(weights + 2 * <usize>token, <i16>weight);
    total += weight;
  }
  store<i32>(carry, total, TOTAL);
  let column = 0;
  for (; column + 8 <= p.width; column += 8) {
    addColumns(x + <usize>column, stride, tokens, weights, carry + SUMS + 4 * <usize>column);
  }
  for (; column < p.width; column++) {
    const to = carry + SUMS + 4 * <usize>column;
    let sum = load<i32>(to);
    for (let token = 0; token < tokens; token++) {
      const value = <i32>load<i8>(x + <usize>(token * stride + column));
      sum += <i32>load<i16>(weights + 2 * <usize>token) * value;
    }
    store<i32>(to, sum);
  }
}

/** Σ_c u_c·(x_c − zeroPoint) of every token, requantized; returns the largest. */
function scoreTokens(
  p: AttendInputs, head: i32, u: usize, x: usize, stride: i32, tokens: i32, scores: usize,
): i32 {
  const requant = p.scores + 8 * <usize>head;
  const multiplier = load<i32>(requant), shift = load<i32>(requant, 4);
  const vectors = p.width & ~7;
  let start = 0;
  for (let i = 0; i < p.width; i++) start -= p.zeroPoint * <i32>load<i16>(u + 2 * <usize>i);
  let largest = -128;
  for (let token = 0; token < tokens; token++) {
    const row = x + <usize>(token * stride);
    let sums = i32x4.splat(0);
    let i = 0;
    for (; i < vectors; i += 8) {
      const wide = v128.load8x8_s(row + <usize>i);
      sums = i32x4.add(sums, i32x4.dot_i16x8_s(wide, v128.load(u + 2 * <usize>i)));
    }
    let sum = start + sumOfLanes(sums);
    for (; i < p.width; i++) {
      sum += <i32>load<i16>(u + 2 * <usize>i) * <i32>load<i8>(row + <usize>i);
    }
    const score = clamp(requantize(sum, multiplier, shift), -128, 127);
    store<i32>(scores + 4 * <usize>token, score);
    largest = max(largest, score);
  }
  return largest;
}

/** Makes what is carried relative to a larger score. */
function raise(p: AttendInputs, head: i32, largest: i32, carry: usize): void {
  const difference = largest - load<i32>(carry);
  const factor = <i64>load<i16>(p.rescaleTables + 2 * <usize>((head << 8) + difference));
  store<i32>(carry, largest);
  const end = carry + SUMS + 4 * <usize>p.width;
  for (let at = carry + TOTAL; at < end; at += 4) {
    store<i32>(at, <i32>((<i64>load<i32>(at) * factor + (1 << 14)) >> 15));
  }
}

/** Eight columns, two tokens a product; the weight behind the last is 0. */
function addColumns(x: usize, stride: i32, tokens: i32, weights: usize, sums: usize): void {
  let a = v128.load(sums), b = v128.load(sums, 16);
  for (let token = 0; token < tokens; token += 2) {
    const first = v128.load64_zero(x);
    const second = v128.load64_zero(x + <usize>stride);
    const pairs = i8x16.shuffle(
      first, second, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23,
    );
    const weight = v128.load32_splat(weights);
    a = i32x4.add(a, i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_s(pairs), weight));
    b = i32x4.add(b, i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_s(pairs), weight));
    x += 2 * <usize>stride;
    weights += 4;
  }
  v128.store(sums, a);
  v128.store(sums, b, 16);
}

function finish(p: AttendInputs, carry: usize, y: usize): void {
  const total = load<i32>(carry, TOTAL);
  const mix = divideRequant(p.mixMultiplier, p.mixShift, total);
  const start = -p.zeroPoint * total;
  for (let i = 0; i < p.width; i++) {
    const sum = start + load<i32>(carry + SUMS + 4 * <usize>i);
    const scaled = requantize(sum, <i32>mix, <i32>(mix >> 32));
    store<i16>(y + 2 * <usize>i, <i16>clamp(scaled, -32768, 32767));
  }
}
