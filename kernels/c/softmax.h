/* SPDX-License-Identifier: Apache-2.0
 * TFLite's int8 softmax: the twin of toolchain/ops/softmax.ts, where each step's meaning stands. */
#ifndef LM_SOFTMAX_H
#define LM_SOFTMAX_H

#include "fixed_point.h"

/* From int8 differences to numbers with 5 bits before the point. */
typedef struct {
  int32_t multiplier;
  int32_t shift;               /* 0 ... 30 */
  int32_t smallest_difference; /* below, weights are 0 */
} lm_softmax_scale;

/* e^x of x in [-1/4, 0), Q5.26 with the point moved to Q0.31. */
static inline int32_t lm_exponential_near_eighth(int32_t x) {
  const int32_t eighth = 1895147668; /* e^(-1/8) */
  const int32_t third = 715827883;   /* 1/3 */
  const int32_t t = x + (1 << 28);
  const int32_t t2 = lm_doubling_high_mul(t, t);
  const int32_t t3 = lm_doubling_high_mul(t2, t);
  const int32_t t4 = lm_doubling_high_mul(t2, t2);
  const int32_t cubic =
      lm_doubling_high_mul(lm_rounding_divide_by_power_of_two(t4, 2) + t3, third);
  const int32_t higher = lm_rounding_divide_by_power_of_two(cubic + t2, 1);
  return eighth + lm_doubling_high_mul(eighth, t + higher);
}

/* e^x of x <= 0 in Q5.26, as Q0.31. */
static inline int32_t lm_exponential(int32_t x) {
  static const int32_t of_bits[7] = {1672461947, 1302514674, 790015084, 290630308,
                                     39332535,   720401,     242};
  if (x == 0) return INT32_MAX;
  const int32_t quarter = 1 << 24;
  const int32_t below_quarter = (x & (quarter - 1)) - quarter;
  const int32_t rest = below_quarter - x;
  int32_t result = lm_exponential_near_eighth(lm_shift_left(below_quarter, 5));
  for (int32_t bit = 0; bit < 7; bit++) {
    if ((rest & (quarter << bit)) != 0) result = lm_doubling_high_mul(result, of_bits[bit]);
  }
  return result;
}

/* 1 / (1 + x) of x in [0, 1), both Q0.31. */
static inline int32_t lm_reciprocal(int32_t x) {
  const int32_t half = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2);
  int32_t y = 1515870810 + lm_doubling_high_mul(half, -1010580540);
  for (int step = 0; step < 3; step++) {
    const int32_t error = (1 << 29) - lm_doubling_high_mul(half, y);
    y += lm_saturating_shift_left(lm_doubling_high_mul(y, error), 2);
  }
  return lm_saturating_shift_left(y, 1);
}

/* e^-difference, difference in 0 ... 255. */
static inline int32_t lm_softmax_exponential(lm_softmax_scale scale, int32_t difference) {
  if (-difference < scale.smallest_difference) return 0;
  return lm_exponential(
      lm_doubling_high_mul(lm_shift_left(-difference, scale.shift), scale.multiplier));
}

/* Makes weights 0 ... 255 of the scores + 128, in their place; 1 <= count <= 511. */
static inline void lm_softmax(lm_softmax_scale scale, uint8_t *scores, int32_t count) {
  int32_t largest = 0;
  for (int32_t i = 0; i < count; i++) largest = lm_max(largest, scores[i]);
  int32_t sum = 0;
  for (int32_t i = 0; i < count; i++) {
    const int32_t exponential = lm_softmax_exponential(scale, largest - scores[i]);
    sum += lm_rounding_divide_by_power_of_two(exponential, 12);
  }
  const int32_t headroom = lm_leading_zeros((uint32_t)sum);
  const int32_t reciprocal = lm_reciprocal(lm_shift_left(sum, headroom) & INT32_MAX);
  for (int32_t i = 0; i < count; i++) {
    const int32_t exponential = lm_softmax_exponential(scale, largest - scores[i]);
    const int32_t weight = lm_doubling_high_mul(reciprocal, exponential);
    scores[i] =
        (uint8_t)lm_min(lm_rounding_divide_by_power_of_two(weight, 35 - headroom), UINT8_MAX);
  }
}

#endif
