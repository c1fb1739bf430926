/* SPDX-License-Identifier: Apache-2.0
 * lookup_rows.c: rows that are words and stay as they are eight words at a time. */
#include "../table_rows.h"

/* Bytes that are copied at a time. */
enum { BLOCK = 32 };

/* A multiple of BLOCK bytes between multiples of four: 4 instructions for 32. */
static inline void copy_words(const int8_t *from, int8_t *to, int32_t bytes) {
  const int8_t *const end = from + bytes;
  __asm volatile(
      "1:\n\t"
      "ldm %[from]!, {r3-r6, r8-r11}\n\t"
      "cmp %[from], %[end]\n\t"
      "stm %[to]!, {r3-r6, r8-r11}\n\t"
      "bne 1b"
      : [from] "+&r"(from), [to] "+&r"(to)
      : [end] "r"(end)
      : "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "cc", "memory");
}

void lm_lookup_rows_s8_s8_dsp(const lm_lookup_rows *p, const lm_token_tile *tile, int8_t *y,
                              int32_t y_stride) {
  const int32_t width = p->width;
  const uint16_t *ids = tile->ids;
  const uintptr_t addresses = (uintptr_t)p->rows | (uintptr_t)y | (uintptr_t)y_stride;
  const bool are_words = width % BLOCK == 0 && addresses % sizeof(uint32_t) == 0;
  if (!are_words || p->bits != 8 || p->multipliers != NULL || ids == NULL) {
    for (int32_t row = 0; row < tile->rows; row++) {
      lm_lookup_row(p, lm_table_row(tile, row), y + row * y_stride);
    }
    return;
  }
  for (const uint16_t *const end = ids + tile->rows; ids != end; ids++, y += y_stride) {
    copy_words(p->rows + *ids * width, y, width);
  }
}
