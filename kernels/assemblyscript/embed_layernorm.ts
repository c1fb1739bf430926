// SPDX-License-Identifier: Apache-2.0
/** y = LayerNorm(word + position + segment): the embeddings; multipliers stay below 2^13. */
import { Norm, fillUp, normalizeRow } from './norm_row';

@unmanaged
export class EmbedNorm extends Norm {
  /** (segments, width): the first row, then the last. */
  segment: usize;
  segments: i32;
  multiplierWord: i32;
  multiplierPosition: i32;
  multiplierSegment: i32;
}

export function lm_embed_layernorm_s8_s8_simd(
  p: EmbedNorm, word: usize, wordStride: i32, position: usize, positionStride: i32,
  rows: i32, rowStart: i32, segmentStart: i32, y: usize, yStride: i32, scratch: usize,
): void {
  for (let row = 0; row < rows; row++) {
    const at = position + <usize>(row * positionStride);
    const segment = segmentOf(p, rowStart + row >= segmentStart);
    addRows(p, word + <usize>(row * wordStride), at, segment, scratch);
    normalizeRow(p, scratch, y + <usize>(row * yStride), false);
  }
}

export function lm_embed_layernorm_s8_s16_simd(
  p: EmbedNorm, word: usize, wordStride: i32, position: usize, positionStride: i32,
  rows: i32, rowStart: i32, segmentStart: i32, y: usize, yStride: i32, scratch: usize,
): void {
  for (let row = 0; row < rows; row++) {
    const at = position + <usize>(row * positionStride);
    const segment = segmentOf(p, rowStart + row >= segmentStart);
    addRows(p, word + <usize>(row * wordStride), at, segment, scratch);
    normalizeRow(p, scratch, y + 2 * <usize>(row * yStride), true);
  }
}

function segmentOf(p: EmbedNorm, isLast: bool): usize {
  return p.segment + <usize>((isLast ? p.segments - 1 : 0) * p.width);
}

function addRows(p: EmbedNorm, word: usize, position: usize, segment: usize, sums: usize): void {
  const multipliers = i32x4.splat((p.multiplierWord & 0xffff) | (p.multiplierPosition << 16));
  const own = i16x8.splat(<i16>p.multiplierSegment);
  for (let i: usize = 0; i < <usize>p.width; i += 8) {
    const a = v128.load8x8_s(word + i), b = v128.load8x8_s(position + i);
    const c = v128.load8x8_s(segment + i);
    const low = i16x8.shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
    const high = i16x8.shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
    const at = sums + 4 * i;
    v128.store(at, i32x4.add(
      i32x4.dot_i16x8_s(low, multipliers), i32x4.extmul_low_i16x8_s(c, own)));
    v128.store(at, i32x4.add(
      i32x4.dot_i16x8_s(high, multipliers), i32x4.extmul_high_i16x8_s(c, own)), 16);
  }
  fillUp(sums, p.width);
}
