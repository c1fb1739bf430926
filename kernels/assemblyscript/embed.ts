// SPDX-License-Identifier: Apache-2.0
/** y = word + position + segment: the embeddings, where no norm follows. */
import { clamp } from './fixed_point';

@unmanaged
export class Embed {
  width: i32;
  /** (segments, width): the first row, then the last. */
  segment: usize;
  segments: i32;
  multiplierWord: i32;
  multiplierPosition: i32;
  multiplierSegment: i32;
  offset: i32;
  shift: i32;
}

export function lm_embed_s8_s8_simd(
  p: Embed, word: usize, wordStride: i32, position: usize, positionStride: i32,
  rows: i32, rowStart: i32, segmentStart: i32, y: usize, yStride: i32,
): void {
  for (let row = 0; row < rows; row++) {
    const last = rowStart + row >= segmentStart ? p.segments - 1 : 0;
    addRows(
      p, word + <usize>(row * wordStride), position + <usize>(row * positionStride),
      p.segment + <usize>(last * p.width), y + <usize>(row * yStride));
  }
}

function addRows(p: Embed, word: usize, position: usize, segment: usize, y: usize): void {
  let i: usize = 0;
  const width = <usize>p.width;
  for (; i + 8 <= width; i += 8) {
    const a = v128.load8x8_s(word + i), b = v128.load8x8_s(position + i);
    const c = v128.load8x8_s(segment + i);
    const low = fourOf(
      p, i32x4.extend_low_i16x8_s(a), i32x4.extend_low_i16x8_s(b), i32x4.extend_low_i16x8_s(c));
    const high = fourOf(
      p, i32x4.extend_high_i16x8_s(a), i32x4.extend_high_i16x8_s(b), i32x4.extend_high_i16x8_s(c));
    const eight = i16x8.narrow_i32x4_s(low, high);
    v128.store64_lane(y + i, i8x16.narrow_i16x8_s(eight, eight), 0);
  }
  for (; i < width; i++) {
    const sum = <i32>load<i8>(word + i) * p.multiplierWord +
      <i32>load<i8>(position + i) * p.multiplierPosition +
      <i32>load<i8>(segment + i) * p.multiplierSegment;
    store<i8>(y + i, <i8>clamp((sum + p.offset) >> p.shift, -128, 127));
  }
}

// @ts-ignore: decorator
@inline
function fourOf(p: Embed, word: v128, position: v128, segment: v128): v128 {
  const first = i32x4.add(
    i32x4.mul(word, i32x4.splat(p.multiplierWord)),
    i32x4.mul(position, i32x4.splat(p.multiplierPosition)));
  const last = i32x4.add(
    i32x4.mul(segment, i32x4.splat(p.multiplierSegment)), i32x4.splat(p.offset));
  return i32x4.shr_s(i32x4.add(first, last), p.shift);
}
