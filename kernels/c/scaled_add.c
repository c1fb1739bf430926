/* SPDX-License-Identifier: Apache-2.0
 * y = a + b * gamma: a residual join that scales its columns. */
#include "kernels.h"

/* The parameters are a copy, which no output can be taken to overwrite. */
static inline int32_t output(lm_scaled_add p, int32_t column, int32_t a, int32_t b) {
  const int32_t sum = a * p.multiplier + (b - p.zero_point_b) * p.gamma[column] + p.offset;
  return lm_clamp(sum >> p.shift, p.min, p.max);
}

void lm_scaled_add_s8_s8(const lm_scaled_add *p, lm_rows a, lm_rows b, int32_t rows, int8_t *y,
                         int32_t y_stride) {
  const lm_scaled_add own = *p;
  for (int32_t row = 0; row < rows; row++) {
    const int8_t *a_row = a.data + row * a.stride;
    const int8_t *b_row = b.data + row * b.stride;
    for (int32_t i = 0; i < own.width; i++) {
      y[row * y_stride + i] = (int8_t)output(own, i, a_row[i], b_row[i]);
    }
  }
}

void lm_scaled_add_s8_s16(const lm_scaled_add *p, lm_rows a, lm_rows b, int32_t rows, int16_t *y,
                          int32_t y_stride) {
  const lm_scaled_add own = *p;
  for (int32_t row = 0; row < rows; row++) {
    const int8_t *a_row = a.data + row * a.stride;
    const int8_t *b_row = b.data + row * b.stride;
    for (int32_t i = 0; i < own.width; i++) {
      y[row * y_stride + i] = (int16_t)output(own, i, a_row[i], b_row[i]);
    }
  }
}
