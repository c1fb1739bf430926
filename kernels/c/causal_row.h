/* SPDX-License-Identifier: Apache-2.0
 * One query of a decoder and one head: the weights of the keys, and their mix of the values. */
#ifndef LM_CAUSAL_ROW_H
#define LM_CAUSAL_ROW_H

#include "kernels.h"

static inline int32_t lm_key_dot(const int8_t *a, const int8_t *b, int32_t width) {
  int32_t sum = 0;
  for (int32_t i = 0; i < width; i++) sum += a[i] * b[i];
  return sum;
}

/* weights[key] = exp_table[largest score - score of key]; returns their sum. */
static inline int32_t lm_weigh_keys(const lm_causal_attention *p, int32_t head, const int8_t *q,
                                    lm_rows k, int32_t keys, uint8_t *weights) {
  const uint8_t *exp_table = p->exp_tables + head * 256;
  int32_t largest = 0;
  for (int32_t key = 0; key < keys; key++) {
    const int32_t sum = lm_key_dot(q, k.data + key * k.stride, p->head_width);
    const int32_t scaled = lm_rounding_high_mul(sum, p->score_multipliers[head]);
    const int32_t score = lm_clamp(scaled, INT8_MIN, INT8_MAX) + 128;
    weights[key] = (uint8_t)score;
    largest = lm_max(largest, score);
  }
  int32_t total = 0;
  for (int32_t key = 0; key < keys; key++) {
    weights[key] = exp_table[largest - weights[key]];
    total += weights[key];
  }
  return total;
}

/* y[c] = sum over keys weights * v[c], times mix. v: (value_width, keys) */
static inline void lm_mix_values(const lm_causal_attention *p, lm_requant mix,
                                 const uint8_t *weights, lm_rows v, int32_t keys, int8_t *y) {
  for (int32_t column = 0; column < p->value_width; column++) {
    int32_t sum = 0;
    for (int32_t key = 0; key < keys; key++) sum += weights[key] * v.data[column * v.stride + key];
    const int32_t scaled = lm_requantize(sum, mix.multiplier, mix.shift);
    y[column] = (int8_t)lm_clamp_from_zero_point(scaled, p->zero_point, INT8_MIN, INT8_MAX);
  }
}

#endif
