/* SPDX-License-Identifier: Apache-2.0
 * The steps every layer normalization shares, around a sum v that its caller makes twice. */
#ifndef LM_NORM_ROW_H
#define LM_NORM_ROW_H

#include "kernels.h"

/* Sum of v and of v squared over a row: exact, one pass. */
typedef struct {
  int32_t sum;
  int64_t squares;
} lm_moments;

static inline void lm_moments_add(lm_moments *moments, int32_t v) {
  moments->sum += v;
  moments->squares += (int64_t)v * v;
}

/* width^2 * variance = width * sum v^2 - (sum v)^2 */
static inline lm_normalizer lm_norm_normalizer(const lm_norm *p, lm_moments moments) {
  const int64_t variance = p->width * moments.squares - (int64_t)moments.sum * moments.sum;
  return lm_normalizer_of(variance + p->epsilon, p->fraction);
}

/* The product wraps like ToInt32 where gamma and beta are at their limits. */
static inline int32_t lm_norm_output(const lm_norm *p, lm_moments moments,
                                     lm_normalizer normalizer, int32_t column, int32_t v) {
  const int32_t normalized = lm_normalize(p->width * v - moments.sum, normalizer);
  const uint32_t product = (uint32_t)(normalized * p->gamma[column]);
  const int32_t scaled = (int32_t)(product + (uint32_t)p->beta[column]);
  return lm_clamp(scaled >> p->out_shift, p->min, p->max);
}

#endif
