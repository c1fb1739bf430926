/* SPDX-License-Identifier: Apache-2.0
 * linear.c for int16 inputs: y = x * wT + b, requantized per output column. */
#include <stddef.h>

#include "kernels.h"

static int32_t value_of(const lm_linear *p, const int16_t *x, int32_t column) {
  const int8_t *w = p->weights + column * p->inputs;
  int32_t sum = p->bias[column];
  for (int32_t i = 0; i < p->inputs; i++) sum += x[i] * w[i];
  const int32_t scaled = lm_requantize(sum, p->multipliers[column], p->shifts[column]);
  const int32_t value = lm_clamp_from_zero_point(scaled, p->zero_point, p->min, p->max);
  return p->table == NULL ? value : p->table[value + 128];
}

void lm_linear_s16_s8(const lm_linear *p, lm_wide_rows x, int32_t rows, int8_t *y, int32_t y_stride,
                      void *scratch) {
  (void)scratch;
  for (int32_t row = 0; row < rows; row++) {
    for (int32_t column = 0; column < p->outputs; column++) {
      y[row * y_stride + column] = (int8_t)value_of(p, x.data + row * x.stride, column);
    }
  }
}

void lm_linear_s16_s16(const lm_linear *p, lm_wide_rows x, int32_t rows, int16_t *y,
                       int32_t y_stride, void *scratch) {
  (void)scratch;
  for (int32_t row = 0; row < rows; row++) {
    for (int32_t column = 0; column < p->outputs; column++) {
      y[row * y_stride + column] = (int16_t)value_of(p, x.data + row * x.stride, column);
    }
  }
}
