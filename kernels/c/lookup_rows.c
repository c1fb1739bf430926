/* SPDX-License-Identifier: Apache-2.0
 * y = rows[id]: rows of a table that are stored one by one. */
#include "table_rows.h"

void lm_lookup_rows_s8_s8(const lm_lookup_rows *p, const lm_token_tile *tile, int8_t *y,
                          int32_t y_stride) {
  for (int32_t row = 0; row < tile->rows; row++) {
    lm_lookup_row(p, lm_table_row(tile, row), y + row * y_stride);
  }
}
