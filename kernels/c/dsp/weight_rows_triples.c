/* SPDX-License-Identifier: Apache-2.0
 * weight_rows.c: rows of weights that lie in triples ("triples" in toolchain/schedule/packings.ts). */
#include "../table_rows.h"

enum { BLOCK = 16 }; /* inputs are filled up to a multiple */

/* Bytes of input i in the first of three halfwords, among those of four. */
static inline int32_t place_of(int32_t i) {
  static const uint8_t places[4] = {0, 12, 2, 14};
  return (i >> 2) * 24 + places[i & 3];
}

void lm_weight_rows_triples_s8_s16_dsp(const lm_weight_rows *p, const lm_token_tile *tile,
                                       int16_t *y, int32_t y_stride) {
  const int32_t padded = (p->width + BLOCK - 1) & -BLOCK;
  for (int32_t row = 0; row < tile->rows; row++) {
    const int32_t index = lm_table_row(tile, row);
    const bool is_high = (index & 3) == 3; /* of the third halfword, of which it is the last */
    const int32_t half = is_high ? 2 : index & 3;
    const int8_t *four = p->weights + (index >> 2) * 6 * padded + half * 4;
    for (int32_t i = 0; i < p->width; i++) {
      const int8_t *both = four + place_of(i); /* low, and high less what low borrows */
      const int32_t weight = is_high ? both[1] + (both[0] < 0) : both[0];
      y[row * y_stride + i] = lm_scale_weight(p, weight, index);
    }
  }
}
