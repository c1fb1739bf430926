/* SPDX-License-Identifier: Apache-2.0
 * y = weights[id]: rows of a table that is a linear's weights, row by row. */
#include "table_rows.h"

void lm_weight_rows_s8_s16(const lm_weight_rows *p, const lm_token_tile *tile, int16_t *y,
                           int32_t y_stride) {
  for (int32_t row = 0; row < tile->rows; row++) {
    const int32_t index = lm_table_row(tile, row);
    const int8_t *weights = p->weights + index * p->width;
    for (int32_t i = 0; i < p->width; i++) {
      y[row * y_stride + i] = lm_scale_weight(p, weights[i], index);
    }
  }
}
