// SPDX-License-Identifier: Apache-2.0
/** y = each token's row beside those of its neighbours. */

@unmanaged
export class Trigrams {
  width: i32;
}

export function lm_trigrams_s8_s8_simd(
  p: Trigrams, x: usize, xStride: i32, rows: i32, rowStart: i32, tokens: i32,
  y: usize, yStride: i32,
): void {
  const width = <usize>p.width;
  for (let row = 0; row < rows; row++) {
    const own = rowStart + row;
    let to = y + <usize>(row * yStride);
    for (let token = own + 1; token >= own - 1; token--, to += width) {
      if (token >= 0 && token < tokens) memory.copy(to, x + <usize>(token * xStride), width);
      else memory.fill(to, 0, width);
    }
  }
}
