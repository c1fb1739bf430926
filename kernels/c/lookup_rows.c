/* SPDX-License-Identifier: Apache-2.0
 * y = rows[id]: rows of a table that are stored as they are read. */
#include "kernels.h"

void lm_lookup_rows_s8_s8(const lm_lookup_rows *p, const lm_token_tile *tile, int8_t *y,
                          int32_t y_stride) {
  for (int32_t row = 0; row < tile->rows; row++) {
    const int32_t index = tile->ids == NULL ? tile->row_start + row : tile->ids[row];
    __builtin_memcpy(y + row * y_stride, p->rows + index * p->width, (size_t)p->width);
  }
}
