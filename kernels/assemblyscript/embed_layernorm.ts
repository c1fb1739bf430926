// SPDX-License-Identifier: Apache-2.0
/** y = LayerNorm(word + position + segment): the embeddings, made from the token ids. */
import { Norm, fillUp, normalizeRow } from './norm_row';

@unmanaged
export class EmbedNorm extends Norm {
  word: usize;
  position: usize;
  segment: usize;
  segments: i32;
  multiplierWord: i32;
  multiplierPosition: i32;
  multiplierSegment: i32;
}

export function lm_embed_layernorm_s8_s8_simd(
  p: EmbedNorm, ids: usize, rows: i32, rowStart: i32, segmentStart: i32,
  y: usize, yStride: i32, scratch: usize,
): void {
  for (let row = 0; row < rows; row++) {
    embedRow(p, <i32>load<u16>(ids + 2 * <usize>row), rowStart + row, segmentStart, scratch);
    normalizeRow(p, scratch, y + <usize>(row * yStride), false);
  }
}

export function lm_embed_layernorm_s8_s16_simd(
  p: EmbedNorm, ids: usize, rows: i32, rowStart: i32, segmentStart: i32,
  y: usize, yStride: i32, scratch: usize,
): void {
  for (let row = 0; row < rows; row++) {
    embedRow(p, <i32>load<u16>(ids + 2 * <usize>row), rowStart + row, segmentStart, scratch);
    normalizeRow(p, scratch, y + 2 * <usize>(row * yStride), true);
  }
}

function embedRow(p: EmbedNorm, id: i32, token: i32, segmentStart: i32, sums: usize): void {
  const word = p.word + <usize>(id * p.width);
  const position = p.position + <usize>(token * p.width);
  const segment = p.segment + <usize>((token >= segmentStart ? p.segments - 1 : 0) * p.width);
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
