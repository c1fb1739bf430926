/* SPDX-License-Identifier: Apache-2.0
 * The mean over all rows, one requantization a column. */
#include "kernels.h"

static inline int32_t mean_of(const lm_mean_rows *p, lm_requant mean, lm_rows x, int32_t rows,
                              int32_t column) {
  int32_t sum = 0;
  for (int32_t row = 0; row < rows; row++) sum += x.data[row * x.stride + column] - p->zero_point;
  return lm_clamp(lm_requantize(sum, mean.multiplier, mean.shift), p->min, p->max);
}

void lm_mean_rows_s8_s8(const lm_mean_rows *p, lm_rows x, int32_t rows, int8_t *y) {
  const lm_requant mean = lm_divide_requant(p->mean, rows);
  for (int32_t column = 0; column < p->width; column++) {
    y[column] = (int8_t)mean_of(p, mean, x, rows, column);
  }
}

void lm_mean_rows_s8_s16(const lm_mean_rows *p, lm_rows x, int32_t rows, int16_t *y) {
  const lm_requant mean = lm_divide_requant(p->mean, rows);
  for (int32_t column = 0; column < p->width; column++) {
    y[column] = (int16_t)mean_of(p, mean, x, rows, column);
  }
}
