/* SPDX-License-Identifier: Apache-2.0
 * y = x with each two columns turned by the angle of their row. */
#include "kernels.h"

static inline int8_t scaled(const lm_rotary *p, int32_t sum) {
  const int32_t product = lm_rounding_high_mul(sum, p->multiplier);
  return (int8_t)lm_clamp(lm_rounding_shift_right(product, p->shift), INT8_MIN, INT8_MAX);
}

void lm_rotary_s16_s8(const lm_rotary *p, lm_wide_rows x, int32_t rows, int32_t row_start,
                      int8_t *y, int32_t y_stride) {
  for (int32_t row = 0; row < rows; row++) {
    const int16_t *angles = p->table + (row_start + row) * p->head_width;
    const int16_t *from = x.data + row * x.stride;
    int8_t *to = y + row * y_stride;
    for (int32_t head = 0; head < p->heads; head++) {
      for (int32_t i = 0; i < p->head_width; i += 2) {
        const int32_t cosine = angles[i], sine = angles[i + 1];
        to[i] = scaled(p, from[i] * cosine - from[i + 1] * sine);
        to[i + 1] = scaled(p, from[i] * sine + from[i + 1] * cosine);
      }
      from += p->head_width;
      to += p->head_width;
    }
  }
}
