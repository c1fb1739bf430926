/* SPDX-License-Identifier: Apache-2.0
 * y = LayerNorm(x), x a stored sum. */
#include "norm_row.h"

static lm_moments moments_of(const lm_norm *p, const int8_t *x) {
  lm_moments moments = {0, 0};
  for (int32_t column = 0; column < p->width; column++) lm_moments_add(&moments, x[column]);
  return moments;
}

void lm_layernorm_s8_s8(const lm_norm *p, lm_rows x, int32_t rows, int8_t *y, int32_t y_stride) {
  for (int32_t row = 0; row < rows; row++) {
    const int8_t *x_row = x.data + row * x.stride;
    const lm_moments moments = moments_of(p, x_row);
    const lm_normalizer normalizer = lm_norm_normalizer(p, moments);
    for (int32_t column = 0; column < p->width; column++) {
      y[row * y_stride + column] =
          (int8_t)lm_norm_output(p, moments, normalizer, column, x_row[column]);
    }
  }
}

void lm_layernorm_s8_s16(const lm_norm *p, lm_rows x, int32_t rows, int16_t *y,
                         int32_t y_stride) {
  for (int32_t row = 0; row < rows; row++) {
    const int8_t *x_row = x.data + row * x.stride;
    const lm_moments moments = moments_of(p, x_row);
    const lm_normalizer normalizer = lm_norm_normalizer(p, moments);
    for (int32_t column = 0; column < p->width; column++) {
      y[row * y_stride + column] =
          (int16_t)lm_norm_output(p, moments, normalizer, column, x_row[column]);
    }
  }
}

static lm_moments moments_of_wide(const lm_norm *p, const int16_t *x) {
  lm_moments moments = {0, 0};
  for (int32_t i = 0; i < p->width; i++) lm_moments_add(&moments, x[i]);
  return moments;
}

void lm_layernorm_s16_s8(const lm_norm *p, lm_wide_rows x, int32_t rows, int8_t *y,
                         int32_t y_stride) {
  for (int32_t row = 0; row < rows; row++) {
    const int16_t *x_row = x.data + row * x.stride;
    const lm_moments moments = moments_of_wide(p, x_row);
    const lm_normalizer normalizer = lm_norm_normalizer(p, moments);
    for (int32_t i = 0; i < p->width; i++) {
      y[row * y_stride + i] = (int8_t)lm_norm_output(p, moments, normalizer, i, x_row[i]);
    }
  }
}

void lm_layernorm_s16_s16(const lm_norm *p, lm_wide_rows x, int32_t rows, int16_t *y,
                          int32_t y_stride) {
  for (int32_t row = 0; row < rows; row++) {
    const int16_t *x_row = x.data + row * x.stride;
    const lm_moments moments = moments_of_wide(p, x_row);
    const lm_normalizer normalizer = lm_norm_normalizer(p, moments);
    for (int32_t i = 0; i < p->width; i++) {
      y[row * y_stride + i] = (int16_t)lm_norm_output(p, moments, normalizer, i, x_row[i]);
    }
  }
}
