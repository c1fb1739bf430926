/* SPDX-License-Identifier: Apache-2.0
 * TFLite's int8 softmax, from the definitions of gemmlowp's fixed-point exponential and reciprocal:
 * numbers are Q(integer bits).(fraction bits) in int32. */
#include "arm_nnfunctions.h"
#include "fixed_point_of_tflite.h"

static int32_t doubled(int32_t x, int32_t times) {
  return saturated((int64_t)x * ((int64_t)1 << times));
}

/* exp(x) of x <= 0 in Q5.26, as Q0.31: e^(x mod 1/4) by its Taylor series around -1/8, times
 * e^(-1/4), e^(-1/2), ... e^(-16) where the rest has that bit. */
static int32_t exp_of(int32_t x) {
  static const int32_t powers[] = {1672461947, 1302514674, 790015084, 290630308,
                                   39332535,   720401,     242};
  const int32_t quarter = 1 << 24;
  if (x == 0) return INT32_MAX;
  int32_t rest = -x / quarter * quarter; /* multiples of 1/4 that are taken out */
  int32_t small = x + rest;              /* (-1/4, 0] */
  if (small == 0) {
    small = -quarter;
    rest -= quarter;
  }
  const int32_t d = small * 32 + (1 << 28);
  const int32_t d2 = high_product(d, d), d3 = high_product(d2, d), d4 = high_product(d2, d2);
  const int32_t thirds = high_product(divided_by_power(d4, 2) + d3, 715827883);
  const int32_t series = d + divided_by_power(thirds + d2, 1);
  int32_t result = 1895147668 + high_product(1895147668, series);
  for (int32_t bit = 0; bit < 7; bit++) {
    if ((rest >> (24 + bit)) & 1) result = high_product(result, powers[bit]);
  }
  return result;
}

/* 1 / (1 + x) of x in [0, 1), both Q0.31, by Newton's method in Q2.29. */
static int32_t one_over_one_plus(int32_t x) {
  const int32_t half = (int32_t)(((int64_t)x + (int64_t)INT32_MAX + 1) / 2);
  int32_t y = 1515870810 + high_product(half, -1010580540);
  for (int32_t step = 0; step < 3; step++) {
    const int32_t error = (1 << 29) - high_product(half, y);
    y += doubled(high_product(y, error), 2);
  }
  return doubled(y, 1);
}

static int32_t zeros_above(int32_t x) {
  int32_t zeros = 0;
  while (zeros < 32 && ((uint32_t)x << zeros & 0x80000000u) == 0) zeros++;
  return zeros;
}

void arm_softmax_s8(const int8_t *input, const int32_t num_rows, const int32_t row_size,
                    const int32_t mult, const int32_t shift, const int32_t diff_min,
                    int8_t *output) {
  for (int32_t row = 0; row < num_rows; row++, input += row_size, output += row_size) {
    int32_t largest = input[0];
    for (int32_t i = 1; i < row_size; i++) {
      if (input[i] > largest) largest = input[i];
    }
    int32_t sum = 0; /* Q12.19 */
    for (int32_t i = 0; i < row_size; i++) {
      const int32_t difference = input[i] - largest;
      if (difference < diff_min) continue;
      sum += divided_by_power(exp_of(high_product(difference * (1 << shift), mult)), 12);
    }
    const int32_t headroom = zeros_above(sum);
    const int32_t fraction = (int32_t)(((uint32_t)sum << headroom) - 0x80000000u);
    const int32_t scale = one_over_one_plus(fraction);
    for (int32_t i = 0; i < row_size; i++) {
      const int32_t difference = input[i] - largest;
      output[i] = INT8_MIN;
      if (difference < diff_min) continue;
      const int32_t product =
          high_product(scale, exp_of(high_product(difference * (1 << shift), mult)));
      const int32_t weight = divided_by_power(product, 12 + 31 - 8 - headroom);
      output[i] = (int8_t)limited(weight + INT8_MIN, INT8_MIN, INT8_MAX);
    }
  }
}
