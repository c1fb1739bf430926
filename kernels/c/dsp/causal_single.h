/* SPDX-License-Identifier: Apache-2.0
 * Attention of a head that shares its keys and values with no other: four rows of bytes at a time,
 * scores of four keys, then outputs of four columns. */
#ifndef LM_CAUSAL_SINGLE_H
#define LM_CAUSAL_SINGLE_H

#include "../kernels.h"
#include "dsp.h"

static inline int32_t lm_high_mul(int32_t a, int32_t b) {
  int32_t result;
  __asm("smmulr %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
  return result;
}

/* The larger of each pair of int8. */
static inline uint32_t lm_max_s8x4(uint32_t a, uint32_t b) {
  uint32_t larger;
  __asm("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(larger) : "r"(a), "r"(b));
  return larger;
}

static inline uint32_t lm_subtract_u8x4(uint32_t a, uint32_t b) {
  uint32_t differences;
  __asm("usub8 %0, %1, %2" : "=r"(differences) : "r"(a), "r"(b));
  return differences;
}

/* What four bytes are multiplied by: 0 and 2, then 1 and 3. */
typedef struct {
  uint32_t even, odd;
} lm_quad;

#define LM_SINGLE_ROW(address, sum)                      \
  "ldr %[k], " address "\n\t"                            \
  "sxtb16 %[t], %[k]\n\t"                                \
  "sxtb16 %[k], %[k], ror #8\n\t"                        \
  "smlad %[" sum "], %[t], %[q0], %[" sum "]\n\t"        \
  "smlad %[" sum "], %[k], %[q1], %[" sum "]\n\t"

/* Rows `stride` apart; at least one quad. */
__attribute__((noinline)) static void lm_four_rows(const int8_t *row, int32_t stride,
                                                   const lm_quad *quads, const lm_quad *end,
                                                   int32_t sums[4]) {
  const int8_t *row2 = row + 2 * stride;
  int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  uint32_t k, t, q0, q1;
  __asm volatile(
      "1:\n\t"
      "ldrd %[q0], %[q1], [%[quads]], #8\n\t" /* row 1 and 3 first: 0 and 2 move on */
      LM_SINGLE_ROW("[%[row], %[stride]]", "s1") LM_SINGLE_ROW("[%[row2], %[stride]]", "s3")
      LM_SINGLE_ROW("[%[row]], #4", "s0") LM_SINGLE_ROW("[%[row2]], #4", "s2")
      "cmp %[quads], %[end]\n\t"
      "bne 1b"
      : [k] "=&r"(k), [t] "=&r"(t), [q0] "=&r"(q0), [q1] "=&r"(q1), [s0] "+&r"(s0),
        [s1] "+&r"(s1), [s2] "+&r"(s2), [s3] "+&r"(s3), [row] "+&r"(row), [row2] "+&r"(row2),
        [quads] "+&r"(quads)
      : [end] "r"(end), [stride] "r"(stride)
      : "cc", "memory");
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

static inline int32_t lm_score(int32_t sum, int32_t multiplier) {
  return lm_saturate8(lm_high_mul(sum, multiplier));
}

/* Scores of keys `stride` apart, by four from the first on; those of the rest and of other widths
 * one by one. */
static void lm_score_single(const int8_t *q, lm_rows k, int32_t width, int32_t count,
                            int32_t multiplier, lm_quad *query, int8_t *scores) {
  int32_t key = 0;
  if (width % 4 == 0) {
    for (int32_t i = 0; i < width; i += 4) {
      query[i / 4] = (lm_quad){lm_widen_even(lm_load4(q + i)), lm_widen_odd(lm_load4(q + i))};
    }
    for (; key + 4 <= count; key += 4) {
      int32_t sums[4];
      lm_four_rows(k.data + key * k.stride, k.stride, query, query + width / 4, sums);
      for (int32_t i = 0; i < 4; i++) scores[key + i] = (int8_t)lm_score(sums[i], multiplier);
    }
  }
  for (; key < count; key++) {
    int32_t sum = 0;
    for (int32_t i = 0; i < width; i++) sum += q[i] * k.data[key * k.stride + i];
    scores[key] = (int8_t)lm_score(sum, multiplier);
  }
}

/* Weights of four keys a quad, 0 behind the last; returns their sum. */
static int32_t lm_weigh_single(const uint8_t *table, int8_t *scores, int32_t count,
                               lm_quad *weights) {
  const uint32_t ones = 0x00010001u;
  uint32_t most = 0x80808080u;
  for (int32_t i = count; i & 3; i++) scores[i] = INT8_MIN;
  for (int32_t i = 0; i < count; i += 4) most = lm_max_s8x4(most, lm_load4(scores + i));
  most = lm_max_s8x4(most, most >> 16 | most << 16);
  most = lm_max_s8x4(most, most >> 8 | most << 24);
  int32_t total = 0;
  for (int32_t i = 0; i < count; i += 4, weights++) {
    const uint32_t d = lm_subtract_u8x4(most, lm_load4(scores + i));
    const uint32_t even = table[d & 255u] | (uint32_t)table[d >> 16 & 255u] << 16;
    const uint32_t odd = table[d >> 8 & 255u] | (uint32_t)table[d >> 24] << 16;
    *weights = (lm_quad){even, odd};
    total = lm_smlad(odd, ones, lm_smlad(even, ones, total));
  }
  if ((count & 3) == 0) return total;
  /* The last quad has keys that there are not: 1 to 3 of them. */
  lm_quad *const last = weights - 1;
  const uint32_t all[4] = {last->even & 0xffffu, last->odd & 0xffffu, last->even >> 16,
                           last->odd >> 16};
  for (int32_t i = count & 3; i < 4; i++) total -= (int32_t)all[i];
  last->even = (count & 3) > 2 ? all[0] | all[2] << 16 : all[0];
  last->odd = (count & 3) > 1 ? all[1] : 0u;
  return total;
}

static inline int8_t lm_mixed(const lm_causal_attention *p, lm_split_requant mix, int32_t sum) {
  return (int8_t)lm_add_to_s8(lm_requantize_split(sum, mix), p->zero_point);
}

/* v: (value_width, tokens) */
static void lm_mix_single(const lm_causal_attention *p, const lm_quad *weights, int32_t quads,
                          lm_rows v, int32_t total, int8_t *y) {
  const lm_requant divided = lm_divide_requant(p->mix, total);
  const lm_split_requant mix = lm_split(divided.multiplier, divided.shift);
  const int32_t width = p->value_width;
  if (width < 4) {
    for (int32_t column = 0; column < width; column++) {
      int32_t sum = 0;
      for (int32_t i = 0; i < quads; i++) {
        const uint32_t bytes = lm_load4(v.data + column * v.stride + 4 * i);
        sum = lm_smlad(lm_widen_even(bytes), weights[i].even, sum);
        sum = lm_smlad(lm_widen_odd(bytes), weights[i].odd, sum);
      }
      y[column] = lm_mixed(p, mix, sum);
    }
    return;
  }
  for (int32_t next = 0; next < width; next += 4) {
    const int32_t column = lm_min(next, width - 4); /* the last ones again */
    int32_t sums[4];
    lm_four_rows(v.data + column * v.stride, v.stride, weights, weights + quads, sums);
    for (int32_t i = 0; i < 4; i++) y[column + i] = lm_mixed(p, mix, sums[i]);
  }
}

/* Head `head` of the tile's row `row`; y: that head's outputs. */
static void lm_attend_single(const lm_causal_attention *p, const lm_causal_tile *tile, int32_t row,
                             int32_t head, int8_t *y) {
  const int32_t shared = head / (p->heads / p->key_value_heads);
  const int32_t count = tile->row_start + row + 1;
  const int32_t quads = (count + 3) / 4;
  const int8_t *q = tile->q.data + row * tile->q.stride + head * p->head_width;
  const lm_rows k = {tile->k.data + shared * p->head_width, tile->k.stride};
  const lm_rows v = {tile->v.data + shared * p->value_width * tile->v.stride, tile->v.stride};
  lm_quad *const query = tile->scratch;
  lm_quad *const weights = query + (p->head_width + 3) / 4;
  int8_t *const scores = (int8_t *)(weights + quads);
  lm_score_single(q, k, p->head_width, count, p->score_multipliers[head], query, scores);
  const int32_t total = lm_weigh_single(p->exp_tables + head * 256, scores, count, weights);
  lm_mix_single(p, weights, quads, v, total, y);
}

#endif
