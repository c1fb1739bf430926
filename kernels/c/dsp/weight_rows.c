/* SPDX-License-Identifier: Apache-2.0
 * weight_rows.c: rows of weights that lie in pairs ("pairs" in toolchain/schedule/packings.ts). */
#include "../table_rows.h"

enum { BLOCK = 32 }; /* inputs are filled up to a multiple */

/* Bytes of input i among those of four. */
static inline int32_t place_of(int32_t i) {
  static const uint8_t places[4] = {0, 4, 2, 6};
  return (i >> 2) * 16 + places[i & 3];
}

void lm_weight_rows_s8_s16_dsp(const lm_weight_rows *p, const lm_token_tile *tile, int16_t *y,
                               int32_t y_stride) {
  const int32_t padded = (p->width + BLOCK - 1) & -BLOCK;
  for (int32_t row = 0; row < tile->rows; row++) {
    const int32_t index = lm_table_row(tile, row);
    const int8_t *pair = p->weights + (index >> 2) * 4 * padded + ((index >> 1) & 1) * 8;
    for (int32_t i = 0; i < p->width; i++) {
      const int8_t *both = pair + place_of(i); /* low, and high less what low borrows */
      const int32_t weight = index & 1 ? both[1] + (both[0] < 0) : both[0];
      y[row * y_stride + i] = lm_scale_weight(p, weight, index);
    }
  }
}
