/* SPDX-License-Identifier: Apache-2.0
 * lookup_rows.c for Helium: rows that stay as they are 16 columns at a time. */
#include "../table_rows.h"
#include "mve.h"

static inline void copy_row(const int8_t *from, int8_t *to, int32_t width) {
  __asm volatile(
      "wlstp.8 lr, %[n], 1f\n"
      "2:\n\t"
      "vldrb.8 q0, [%[from]], #16\n\t"
      "vstrb.8 q0, [%[to]], #16\n\t"
      "letp lr, 2b\n"
      "1:"
      : [from] "+&l"(from), [to] "+&l"(to)
      : [n] "r"(width)
      : "q0", "lr", "memory");
}

void lm_lookup_rows_s8_s8_mve(const lm_lookup_rows *p, const lm_token_tile *tile, int8_t *y,
                              int32_t y_stride) {
  for (int32_t row = 0; row < tile->rows; row++) {
    const int32_t index = lm_table_row(tile, row);
    if (p->bits == 8 && p->multipliers == NULL) {
      copy_row(p->rows + index * p->width, y + row * y_stride, p->width);
    } else {
      lm_lookup_row(p, index, y + row * y_stride);
    }
  }
}
