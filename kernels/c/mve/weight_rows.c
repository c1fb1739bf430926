/* SPDX-License-Identifier: Apache-2.0
 * weight_rows.c: rows of weights that lie in bands ("bands-64x32" in
 * toolchain/schedule/packings.ts). */
#include "../table_rows.h"

enum { BAND = 64, GROUP = 32 };

void lm_weight_rows_s8_s16_mve(const lm_weight_rows *p, const lm_token_tile *tile, int16_t *y,
                               int32_t y_stride) {
  const int32_t padded = (p->width + GROUP - 1) & -GROUP;
  for (int32_t row = 0; row < tile->rows; row++) {
    const int32_t index = lm_table_row(tile, row);
    const int32_t first = index & -BAND;
    const int32_t outputs = (lm_min(BAND, p->rows - first) + 1) & -2; /* with the last one's twin */
    const int8_t *group = p->weights + first * padded + (index - first) * GROUP;
    for (int32_t i = 0; i < p->width; i++) {
      const int32_t weight = group[(i / GROUP) * outputs * GROUP + i % GROUP];
      y[row * y_stride + i] = lm_scale_weight(p, weight, index);
    }
  }
}
