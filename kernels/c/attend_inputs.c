/* SPDX-License-Identifier: Apache-2.0
 * y = softmax(u * xT) * x: absorbed attention, which needs neither keys nor values. */
#include "kernels.h"

/* weights[token] = exp_table[largest score - score of token]; returns their sum. u: (width) */
static int32_t weigh_tokens(const lm_attend_inputs *p, int32_t head, const int16_t *u, lm_rows x,
                            int32_t tokens, uint8_t *weights) {
  const uint8_t *exp_table = p->exp_tables + head * 256;
  int32_t start = 0; /* -zero_point * sum u, the same for every token */
  for (int32_t i = 0; i < p->width; i++) start -= p->zero_point * u[i];
  int32_t largest = 0;
  for (int32_t token = 0; token < tokens; token++) {
    const int8_t *row = x.data + token * x.stride;
    int32_t sum = start;
    for (int32_t i = 0; i < p->width; i++) sum += u[i] * row[i];
    const int32_t scaled = lm_requantize(sum, p->score_multipliers[head], p->score_shifts[head]);
    const int32_t score = lm_clamp(scaled, INT8_MIN, INT8_MAX) + 128;
    weights[token] = (uint8_t)score;
    largest = lm_max(largest, score);
  }
  int32_t total = 0;
  for (int32_t token = 0; token < tokens; token++) {
    weights[token] = exp_table[largest - weights[token]];
    total += weights[token];
  }
  return total;
}

void lm_attend_inputs_s16_s16(const lm_attend_inputs *p, lm_wide_rows u, int32_t rows, lm_rows x,
                              int32_t tokens, uint8_t *scratch, int16_t *y, int32_t y_stride) {
  for (int32_t row = 0; row < rows; row++) {
    for (int32_t head = 0; head < p->heads; head++) {
      const int16_t *u_head = u.data + row * u.stride + head * p->width;
      const int32_t total = weigh_tokens(p, head, u_head, x, tokens, scratch);
      const lm_requant mix = lm_divide_requant(p->mix, total);
      for (int32_t column = 0; column < p->width; column++) {
        int32_t sum = -p->zero_point * total;
        for (int32_t token = 0; token < tokens; token++) {
          sum += scratch[token] * x.data[token * x.stride + column];
        }
        const int32_t scaled = lm_requantize(sum, mix.multiplier, mix.shift);
        y[row * y_stride + head * p->width + column] =
            (int16_t)lm_clamp(scaled, INT16_MIN, INT16_MAX);
      }
    }
  }
}
