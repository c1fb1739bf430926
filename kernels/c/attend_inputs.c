/* SPDX-License-Identifier: Apache-2.0
 * y = softmax(u * xT) * x: absorbed attention, which needs neither keys nor values, with the online
 * softmax: what a row and head carries is its largest score, the sum of its weights, and the weighted
 * sum of each column of x. */
#include "kernels.h"

enum { LARGEST, TOTAL, SUMS };

/* x * factor in Q15, rounded. */
static int32_t rescale(int32_t x, int32_t factor) {
  return (int32_t)(((int64_t)x * factor + (1 << 14)) >> 15);
}

/* The scores of tokens; returns the largest. u: (width) */
static int32_t score_tokens(const lm_attend_inputs *p, int32_t head, const int16_t *u, lm_rows x,
                            int32_t tokens, int8_t *scores) {
  int32_t start = 0; /* -zero_point * sum u, the same for every token */
  for (int32_t i = 0; i < p->width; i++) start -= p->zero_point * u[i];
  int32_t largest = INT8_MIN;
  for (int32_t token = 0; token < tokens; token++) {
    const int8_t *row = x.data + token * x.stride;
    int32_t sum = start;
    for (int32_t i = 0; i < p->width; i++) sum += u[i] * row[i];
    const int32_t scaled = lm_requantize(sum, p->score_multipliers[head], p->score_shifts[head]);
    const int32_t score = lm_clamp(scaled, INT8_MIN, INT8_MAX);
    scores[token] = (int8_t)score;
    largest = lm_max(largest, score);
  }
  return largest;
}

/* Makes what is carried relative to a larger score. */
static void raise(const lm_attend_inputs *p, int32_t head, int32_t largest, int32_t *carry) {
  const int32_t factor = p->rescale_tables[head * 256 + largest - carry[LARGEST]];
  carry[LARGEST] = largest;
  carry[TOTAL] = rescale(carry[TOTAL], factor);
  for (int32_t i = 0; i < p->width; i++) carry[SUMS + i] = rescale(carry[SUMS + i], factor);
}

/* At most LM_ATTEND_BLOCK tokens. */
static void add_tokens(const lm_attend_inputs *p, int32_t head, const int16_t *u, lm_rows x,
                       int32_t tokens, bool is_first, int32_t *carry) {
  int8_t scores[LM_ATTEND_BLOCK];
  const int32_t largest = score_tokens(p, head, u, x, tokens, scores);
  if (is_first) {
    carry[LARGEST] = largest;
    for (int32_t i = TOTAL; i < SUMS + p->width; i++) carry[i] = 0;
  } else if (largest > carry[LARGEST]) {
    raise(p, head, largest, carry);
  }
  const uint8_t *exp_table = p->exp_tables + head * 256;
  for (int32_t token = 0; token < tokens; token++) {
    const int32_t weight = exp_table[carry[LARGEST] - scores[token]];
    const int8_t *row = x.data + token * x.stride;
    carry[TOTAL] += weight;
    for (int32_t i = 0; i < p->width; i++) carry[SUMS + i] += weight * row[i];
  }
}

static void finish(const lm_attend_inputs *p, const int32_t *carry, int16_t *y) {
  const lm_requant mix = lm_divide_requant(p->mix, carry[TOTAL]);
  const int32_t start = -p->zero_point * carry[TOTAL];
  for (int32_t i = 0; i < p->width; i++) {
    const int32_t scaled = lm_requantize(start + carry[SUMS + i], mix.multiplier, mix.shift);
    y[i] = (int16_t)lm_clamp(scaled, INT16_MIN, INT16_MAX);
  }
}

void lm_attend_inputs_s16_s16(const lm_attend_inputs *p, lm_wide_rows u, int32_t rows,
                              const lm_block *x, void *scratch, int16_t *y, int32_t y_stride) {
  (void)scratch;
  int32_t *carry = x->carry;
  for (int32_t row = 0; row < rows; row++) {
    for (int32_t head = 0; head < p->heads; head++, carry += SUMS + p->width) {
      const int16_t *u_head = u.data + row * u.stride + head * p->width;
      for (int32_t token = 0; token < x->rows; token += LM_ATTEND_BLOCK) {
        const lm_rows block = {x->x.data + token * x->x.stride, x->x.stride};
        add_tokens(p, head, u_head, block, lm_min(LM_ATTEND_BLOCK, x->rows - token),
                   x->first + token == 0, carry);
      }
      if (x->first + x->rows < x->tokens) continue;
      finish(p, carry, y + row * y_stride + head * p->width);
    }
  }
}
