/* SPDX-License-Identifier: Apache-2.0
 * y = the sum of one entry of each codebook, saturated after each. */
#include "table_rows.h"

static void add_entry(const int8_t *entry, int32_t columns, int8_t *y) {
  for (int32_t i = 0; i < columns; i++) {
    y[i] = (int8_t)lm_clamp(y[i] + entry[i], INT8_MIN, INT8_MAX);
  }
}

void lm_codebook_rows_s8_s8(const lm_codebook_rows *p, const lm_token_tile *tile, int8_t *y,
                            int32_t y_stride) {
  for (int32_t row = 0; row < tile->rows; row++) {
    const lm_group_place place = lm_place_in_group(&p->groups, lm_table_row(tile, row));
    const lm_tier *const tier = p->tiers + place.group;
    const uint8_t *const codes = tier->codes + place.rank * tier->stages;
    int8_t *const to = y + row * y_stride;
    memset(to, 0, (size_t)p->rank);
    for (int32_t stage = 0; stage < tier->stages; stage++) {
      const lm_codebook *const book = p->books + stage;
      add_entry(book->entries + codes[stage] * book->columns, book->columns,
                to + book->first_column);
    }
  }
}
