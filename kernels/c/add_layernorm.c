/* SPDX-License-Identifier: Apache-2.0
 * y = LayerNorm(a + b): the residual join. The sum is made twice and never stored. */
#include "norm_row.h"

static inline int32_t sum_at(const lm_add_layernorm *p, const int8_t *a, const int8_t *b,
                             int32_t column) {
  return (a[column] - p->zero_point_a) * p->multiplier_a +
         (b[column] - p->zero_point_b) * p->multiplier_b;
}

static lm_moments moments_of(const lm_add_layernorm *p, const int8_t *a, const int8_t *b) {
  lm_moments moments = {0, 0};
  for (int32_t column = 0; column < p->norm.width; column++) {
    lm_moments_add(&moments, sum_at(p, a, b, column));
  }
  return moments;
}

void lm_add_layernorm_s8_s8(const lm_add_layernorm *p, lm_rows a, lm_rows b, int32_t rows,
                            int8_t *y, int32_t y_stride) {
  for (int32_t row = 0; row < rows; row++) {
    const int8_t *a_row = a.data + row * a.stride;
    const int8_t *b_row = b.data + row * b.stride;
    const lm_moments moments = moments_of(p, a_row, b_row);
    const lm_normalizer normalizer = lm_norm_normalizer(&p->norm, moments);
    for (int32_t column = 0; column < p->norm.width; column++) {
      const int32_t v = sum_at(p, a_row, b_row, column);
      y[row * y_stride + column] =
          (int8_t)lm_norm_output(&p->norm, moments, normalizer, column, v);
    }
  }
}

void lm_add_layernorm_s8_s16(const lm_add_layernorm *p, lm_rows a, lm_rows b, int32_t rows,
                             int16_t *y, int32_t y_stride) {
  for (int32_t row = 0; row < rows; row++) {
    const int8_t *a_row = a.data + row * a.stride;
    const int8_t *b_row = b.data + row * b.stride;
    const lm_moments moments = moments_of(p, a_row, b_row);
    const lm_normalizer normalizer = lm_norm_normalizer(&p->norm, moments);
    for (int32_t column = 0; column < p->norm.width; column++) {
      const int32_t v = sum_at(p, a_row, b_row, column);
      y[row * y_stride + column] =
          (int16_t)lm_norm_output(&p->norm, moments, normalizer, column, v);
    }
  }
}
