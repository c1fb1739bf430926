/* SPDX-License-Identifier: Apache-2.0
 * attend_inputs.c for the DSP extension: two tokens at once, for scores by four columns of u in the
 * order of SXTB16, for sums by four columns of x.
 *
 * Scratch: the scores + 128 of all tokens and then their weights, as uint16, to a whole pair of
 * tokens; behind them u: of each quad of columns 0 and 2, 1 and 3. */
#include "../kernels.h"
#include "dsp.h"

/* The halves of two words that lie low, and those that lie high. */
static inline uint32_t low_halves(uint32_t a, uint32_t b) { return (a & 0xffffu) | b << 16; }

static inline uint32_t high_halves(uint32_t a, uint32_t b) { return a >> 16 | (b & 0xffff0000u); }

static inline uint32_t load_pair(const void *from) {
  uint32_t pair;
  __builtin_memcpy(&pair, from, sizeof pair);
  return pair;
}

static void order_columns(const int16_t *u, int32_t quads, uint32_t *to) {
  for (int32_t quad = 0; quad < quads; quad++) {
    const uint32_t first = load_pair(u + 4 * quad);
    const uint32_t second = load_pair(u + 4 * quad + 2);
    to[2 * quad] = low_halves(first, second);
    to[2 * quad + 1] = high_halves(first, second);
  }
}

/* The sums of two tokens a, b over all columns, from `start`. */
static inline void dot_2(const lm_attend_inputs *p, const int16_t *u, const uint32_t *ordered,
                         const int8_t *a, const int8_t *b, int32_t start, int32_t sums[2]) {
  int32_t sum_a = start, sum_b = start;
  int32_t i = 0;
  for (; i + 4 <= p->width; i += 4) {
    const uint32_t even = *ordered++;
    const uint32_t odd = *ordered++;
    const uint32_t bytes_a = lm_load4(a + i);
    const uint32_t bytes_b = lm_load4(b + i);
    sum_a = lm_smlad(lm_widen_even(bytes_a), even, sum_a);
    sum_b = lm_smlad(lm_widen_even(bytes_b), even, sum_b);
    sum_a = lm_smlad(lm_widen_odd(bytes_a), odd, sum_a);
    sum_b = lm_smlad(lm_widen_odd(bytes_b), odd, sum_b);
  }
  uint32_t rest_a = (uint32_t)sum_a, rest_b = (uint32_t)sum_b;
  for (; i < p->width; i++) {
    rest_a += (uint32_t)(u[i] * a[i]);
    rest_b += (uint32_t)(u[i] * b[i]);
  }
  sums[0] = (int32_t)rest_a;
  sums[1] = (int32_t)rest_b;
}

/* weights[token] = exp_table[largest score - score of token]; returns their sum. u: (width) */
static int32_t weigh_tokens(const lm_attend_inputs *p, int32_t head, const int16_t *u, lm_rows x,
                            int32_t tokens, uint16_t *weights) {
  const uint8_t *exp_table = p->exp_tables + head * 256;
  const lm_split_requant requant = lm_split(p->score_multipliers[head], p->score_shifts[head]);
  uint32_t *ordered = (uint32_t *)(void *)(weights + ((tokens + 1) & ~1));
  order_columns(u, p->width / 4, ordered);
  int32_t total_u = 0;
  for (int32_t i = 0; i < p->width; i++) total_u += u[i];
  const int32_t start = -p->zero_point * total_u;
  int32_t largest = 0;
  for (int32_t token = 0; token < tokens; token += 2) {
    const int32_t next = lm_min(token + 1, tokens - 1);
    int32_t sums[2];
    dot_2(p, u, ordered, x.data + token * x.stride, x.data + next * x.stride, start, sums);
    const int32_t score = lm_add_to_u8(lm_requantize_split(sums[0], requant), 128);
    const int32_t next_score = lm_add_to_u8(lm_requantize_split(sums[1], requant), 128);
    weights[token] = (uint16_t)score;
    weights[token + 1] = (uint16_t)next_score;
    largest = lm_max(largest, lm_max(score, next_score));
  }
  int32_t total = 0;
  for (int32_t token = 0; token < tokens; token++) {
    const uint8_t weight = exp_table[largest - weights[token]];
    weights[token] = weight;
    total += weight;
  }
  if (tokens & 1) weights[tokens] = 0;
  return total;
}

/* sums[i] = sum over tokens weights * x[i] of four columns, from `start`. x: (tokens, 4) */
static void mix_4(const uint16_t *weights, const int8_t *x, int32_t stride, int32_t tokens,
                  int32_t start, int32_t sums[4]) {
  int32_t sum0 = start, sum1 = start, sum2 = start, sum3 = start;
  for (int32_t token = 0; token < tokens; token += 2) {
    const int8_t *next = token + 1 < tokens ? x + stride : x;
    const uint32_t first = lm_load4(x);
    const uint32_t second = lm_load4(next);
    const uint32_t pair = load_pair(weights + token);
    const uint32_t low = low_halves(first, second);
    const uint32_t high = high_halves(first, second);
    sum0 = lm_smlad(lm_widen_even(low), pair, sum0);
    sum1 = lm_smlad(lm_widen_odd(low), pair, sum1);
    sum2 = lm_smlad(lm_widen_even(high), pair, sum2);
    sum3 = lm_smlad(lm_widen_odd(high), pair, sum3);
    x = next + stride;
  }
  sums[0] = sum0;
  sums[1] = sum1;
  sums[2] = sum2;
  sums[3] = sum3;
}

static int32_t mix_1(const uint16_t *weights, const int8_t *x, int32_t stride, int32_t tokens,
                     int32_t start) {
  int32_t sum = start;
  for (int32_t token = 0; token < tokens; token++) sum += weights[token] * x[token * stride];
  return sum;
}

void lm_attend_inputs_s16_s16_dsp(const lm_attend_inputs *p, lm_wide_rows u, int32_t rows,
                                  lm_rows x, int32_t tokens, uint8_t *scratch, int16_t *y,
                                  int32_t y_stride) {
  uint16_t *weights = (uint16_t *)(void *)scratch;
  for (int32_t row = 0; row < rows; row++) {
    for (int32_t head = 0; head < p->heads; head++) {
      const int16_t *u_head = u.data + row * u.stride + head * p->width;
      int16_t *to = y + row * y_stride + head * p->width;
      const int32_t total = weigh_tokens(p, head, u_head, x, tokens, weights);
      const lm_requant divided = lm_divide_requant(p->mix, total);
      const lm_split_requant mix = lm_split(divided.multiplier, divided.shift);
      const int32_t start = -p->zero_point * total;
      int32_t column = 0;
      for (; column + 4 <= p->width; column += 4) {
        int32_t sums[4];
        mix_4(weights, x.data + column, x.stride, tokens, start, sums);
        for (int32_t i = 0; i < 4; i++) {
          to[column + i] = (int16_t)lm_add_to_s16(lm_requantize_split(sums[i], mix), 0);
        }
      }
      for (; column < p->width; column++) {
        const int32_t sum = mix_1(weights, x.data + column, x.stride, tokens, start);
        to[column] = (int16_t)lm_add_to_s16(lm_requantize_split(sum, mix), 0);
      }
    }
  }
}
