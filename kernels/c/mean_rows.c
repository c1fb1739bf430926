/* SPDX-License-Identifier: Apache-2.0
 * The mean over all rows, one requantization a column; what is carried is the sum of each column. */
#include "kernels.h"

/* True when the sums are those of all rows. */
static bool add_rows(const lm_mean_rows *p, const lm_block *x) {
  for (int32_t i = 0; i < p->width && x->first == 0; i++) x->carry[i] = 0;
  for (int32_t row = 0; row < x->rows; row++) {
    const int8_t *from = x->x.data + row * x->x.stride;
    for (int32_t i = 0; i < p->width; i++) x->carry[i] += from[i];
  }
  return x->first + x->rows == x->tokens;
}

static inline int32_t mean_of(const lm_mean_rows *p, const lm_block *x, lm_requant mean,
                              int32_t column) {
  const int32_t sum = x->carry[column] - x->tokens * p->zero_point;
  return lm_clamp(lm_requantize(sum, mean.multiplier, mean.shift), p->min, p->max);
}

void lm_mean_rows_s8_s8(const lm_mean_rows *p, const lm_block *x, int8_t *y) {
  if (!add_rows(p, x)) return;
  const lm_requant mean = lm_divide_requant(p->mean, x->tokens);
  for (int32_t i = 0; i < p->width; i++) y[i] = (int8_t)mean_of(p, x, mean, i);
}

void lm_mean_rows_s8_s16(const lm_mean_rows *p, const lm_block *x, int16_t *y) {
  if (!add_rows(p, x)) return;
  const lm_requant mean = lm_divide_requant(p->mean, x->tokens);
  for (int32_t i = 0; i < p->width; i++) y[i] = (int16_t)mean_of(p, x, mean, i);
}
