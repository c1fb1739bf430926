/* SPDX-License-Identifier: Apache-2.0
 * y = rows[id]: rows of a table that are stored one by one. */
#include "table_rows.h"

void lm_lookup_rows_s8_s8(const lm_lookup_rows *p, const lm_token_tile *tile, int8_t *y,
                          int32_t y_stride) {
  for (int32_t row = 0; row < tile->rows; row++) {
    lm_lookup_row(p, lm_table_row(tile, row), y + row * y_stride);
  }
}

/* Element i of a row of 8 bits, or of 4, two a byte. */
static inline int32_t element(const lm_lookup_rows *p, const int8_t *row, int32_t i) {
  if (p->bits == 8) return row[i];
  return i & 1 ? row[i >> 1] >> 4 : ((row[i >> 1] & 15) ^ 8) - 8;
}

void lm_lookup_rows_s8_s16(const lm_lookup_rows *p, const lm_token_tile *tile, int16_t *y,
                           int32_t y_stride) {
  const int32_t row_bytes = p->bits == 8 ? p->width : (p->width + 1) >> 1;
  const int32_t half = lm_shift_left(1, p->shift) >> 1;
  for (int32_t row = 0; row < tile->rows; row++) {
    const int32_t index = lm_table_row(tile, row);
    const int32_t multiplier = p->multipliers[index];
    for (int32_t i = 0; i < p->width; i++) {
      const int32_t scaled = element(p, p->rows + index * row_bytes, i) * multiplier + half;
      y[row * y_stride + i] = (int16_t)lm_clamp(scaled >> p->shift, INT16_MIN, INT16_MAX);
    }
  }
}
