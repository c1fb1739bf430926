/* SPDX-License-Identifier: Apache-2.0
 * Scores to weights, and sums to results. */
#include "npu_attention.h"

int32_t lm_npu_weigh(const uint8_t *exp_table, uint8_t *scores, int32_t keys) {
  int32_t largest = 0, total = 0;
  for (int32_t key = 0; key < keys; key++) largest = lm_max(largest, scores[key]);
  for (int32_t key = 0; key < keys; key++) {
    scores[key] = exp_table[largest - scores[key]];
    total += scores[key];
  }
  return total;
}

void lm_npu_scale(const int32_t *sums, int32_t count, lm_requant requant, int32_t zero_point,
                  int8_t *y) {
  for (int32_t i = 0; i < count; i++) {
    const int32_t scaled = lm_requantize(sums[i], requant.multiplier, requant.shift);
    y[i] = (int8_t)lm_clamp_from_zero_point(scaled, zero_point, INT8_MIN, INT8_MAX);
  }
}
