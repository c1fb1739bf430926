/* SPDX-License-Identifier: Apache-2.0
 * linear_wide.c for Helium: three rows by two outputs; a row without neighbours is its own. */
#include <stddef.h>

#include "../kernels.h"
#include "mve.h"
#include "wide_products.h"

static void finish(const lm_linear *p, const int32_t *sums, int32_t first, int32_t count,
                   int8_t *to) {
  const int32_t *bias = p->bias + first;
  const int32_t *multipliers = p->multipliers + first;
  const int8_t *shifts = p->shifts + first;
  const int32_t zero_point = p->zero_point, min = p->min, max = p->max;
  int8_t *y = to;
  LM_FINISH_OUTPUTS("vstrb.32 q0, [%[y]], #4\n\t");
  if (p->table == NULL) return;
  for (int32_t i = 0; i < count; i++) to[i] = p->table[to[i] + 128];
}

void lm_linear_s16_s8_mve(const lm_linear *p, lm_wide_rows x, int32_t rows, int8_t *y,
                          int32_t y_stride, void *scratch) {
  (void)scratch;
  for (int32_t row = 0; row < rows; row += 3) {
    const int32_t next = lm_min(row + 1, rows - 1), last = lm_min(row + 2, rows - 1);
    const int16_t *const three[3] = {x.data + row * x.stride, x.data + next * x.stride,
                                     x.data + last * x.stride};
    for (int32_t first = 0; first < p->outputs; first += LM_WIDE_BAND) {
      const int32_t count = lm_min(LM_WIDE_BAND, p->outputs - first);
      const lm_rows weights = {p->weights + first * p->inputs, p->inputs};
      int32_t sums[3][LM_WIDE_BAND];
      lm_dot_wide(three, weights, count, p->inputs, sums);
      for (int32_t i = 0; i < lm_min(3, rows - row); i++) {
        finish(p, sums[i], first, count, y + (row + i) * y_stride + first);
      }
    }
  }
}
