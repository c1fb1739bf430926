/* SPDX-License-Identifier: Apache-2.0
 * y = a + b in int16: the residual stream. */
#include "kernels.h"

static inline int32_t scaled(int16_t value, int32_t multiplier) {
  return (int32_t)(((int64_t)value * multiplier) >> 16);
}

void lm_residual_add_s16_s16(const lm_residual_add *p, lm_wide_rows a, lm_wide_rows b,
                             int32_t rows, int16_t *y, int32_t y_stride) {
  const int32_t half = 1 << (p->shift - 1);
  for (int32_t row = 0; row < rows; row++) {
    const int16_t *a_row = a.data + row * a.stride;
    const int16_t *b_row = b.data + row * b.stride;
    for (int32_t i = 0; i < p->width; i++) {
      const int32_t sum = scaled(a_row[i], p->multiplier_a) + scaled(b_row[i], p->multiplier_b);
      y[row * y_stride + i] = (int16_t)lm_clamp((sum + half) >> p->shift, INT16_MIN, INT16_MAX);
    }
  }
}
