/* SPDX-License-Identifier: Apache-2.0
 * linear.c and linear_wide.c for weights of 4 bits, two inputs a byte, the first in the low half. */
#include <stddef.h>

#include "kernels.h"

/* -8 ... 7 */
static inline int32_t low_half(int32_t byte) { return ((byte & 15) ^ 8) - 8; }
static inline int32_t high_half(int32_t byte) { return byte >> 4; }

/* Rows are padded to whole bytes. */
static inline const int8_t *row_of(const lm_linear *p, int32_t output) {
  return p->weights + output * ((p->inputs + 1) / 2);
}

static inline int32_t value_of(const lm_linear *p, int32_t sum, int32_t column) {
  const int32_t scaled = lm_requantize(sum, p->multipliers[column], p->shifts[column]);
  const int32_t value = lm_clamp_from_zero_point(scaled, p->zero_point, p->min, p->max);
  return p->table == NULL ? value : p->table[value + 128];
}

/* x: (inputs) */
static inline int32_t output_of(const lm_linear *p, const int8_t *x, int32_t column) {
  const int8_t *w = row_of(p, column);
  int32_t sum = p->bias[column];
  for (int32_t i = 0; i + 1 < p->inputs; i += 2, w++) {
    sum += x[i] * low_half(*w) + x[i + 1] * high_half(*w);
  }
  if (p->inputs % 2 != 0) sum += x[p->inputs - 1] * low_half(*w);
  return value_of(p, sum, column);
}

void lm_linear_w4_s8_s8(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y, int32_t y_stride,
                        void *scratch) {
  (void)scratch;
  for (int32_t row = 0; row < rows; row++) {
    for (int32_t column = 0; column < p->outputs; column++) {
      y[row * y_stride + column] = (int8_t)output_of(p, x.data + row * x.stride, column);
    }
  }
}

void lm_linear_w4_s8_s16(const lm_linear *p, lm_rows x, int32_t rows, int16_t *y,
                         int32_t y_stride, void *scratch) {
  (void)scratch;
  for (int32_t row = 0; row < rows; row++) {
    for (int32_t column = 0; column < p->outputs; column++) {
      y[row * y_stride + column] = (int16_t)output_of(p, x.data + row * x.stride, column);
    }
  }
}

void lm_linear_w4_s16_s8(const lm_linear *p, lm_wide_rows x, int32_t rows, int8_t *y,
                         int32_t y_stride, void *scratch) {
  (void)scratch;
  for (int32_t row = 0; row < rows; row++) {
    const int16_t *x_row = x.data + row * x.stride;
    for (int32_t column = 0; column < p->outputs; column++) {
      const int8_t *w = row_of(p, column);
      int32_t sum = p->bias[column];
      for (int32_t i = 0; i + 1 < p->inputs; i += 2, w++) {
        sum += x_row[i] * low_half(*w) + x_row[i + 1] * high_half(*w);
      }
      if (p->inputs % 2 != 0) sum += x_row[p->inputs - 1] * low_half(*w);
      y[row * y_stride + column] = (int8_t)value_of(p, sum, column);
    }
  }
}
