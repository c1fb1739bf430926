/* SPDX-License-Identifier: Apache-2.0
 * causal_attention.c for Helium: scores of two heads that share a key, a key of at most 16 columns
 * an instruction; then four columns of values at a time, 16 keys an instruction. */
#include "../kernels.h"
#include "mve.h"

enum { LANES = 16, COLUMNS = 4 };

/* dots of heads a and b with `count` keys of at most 16 columns. */
LM_NOINLINE static void dot_keys(const int8_t *a, const int8_t *b, int32_t width, lm_rows k,
                                 int32_t count, int32_t *dots_a, int32_t *dots_b) {
  const int8_t *key = k.data;
  int32_t sum_a, sum_b;
  __asm volatile(
      "vctp.8 %[width]\n\t"
      "vpstt\n\t"
      "vldrbt.8 q0, [%[a]]\n\t"
      "vldrbt.8 q1, [%[b]]\n\t"
      "wls lr, %[count], 1f\n"
      "2:\n\t"
      "vpst\n\t"
      "vldrbt.8 q2, [%[key]]\n\t"
      "add %[key], %[key], %[stride]\n\t"
      "vmladav.s8 %[sum_a], q2, q0\n\t"
      "vmladav.s8 %[sum_b], q2, q1\n\t"
      "str %[sum_a], [%[dots_a]], #4\n\t"
      "str %[sum_b], [%[dots_b]], #4\n\t"
      "le lr, 2b\n"
      "1:"
      : [sum_a] "=&Te"(sum_a), [sum_b] "=&Te"(sum_b), [key] "+&r"(key), [dots_a] "+&r"(dots_a),
        [dots_b] "+&r"(dots_b)
      : [a] "r"(a), [b] "r"(b), [width] "r"(width), [stride] "r"(k.stride), [count] "r"(count)
      : "q0", "q1", "q2", "lr", LM_PREDICATE "memory");
}

/* The same of one head, of any width. */
LM_NOINLINE static int32_t dot(const int8_t *a, const int8_t *b, int32_t width) {
  int32_t sum;
  __asm volatile(
      "mov %[sum], #0\n\t"
      "wlstp.8 lr, %[n], 1f\n"
      "2:\n\t"
      "vldrb.8 q0, [%[a]], #16\n\t"
      "vldrb.8 q1, [%[b]], #16\n\t"
      "vmladava.s8 %[sum], q0, q1\n\t"
      "letp lr, 2b\n"
      "1:"
      : [sum] "=&Te"(sum), [a] "+&r"(a), [b] "+&r"(b)
      : [n] "r"(width)
      : "q0", "q1", "lr", "memory");
  return sum;
}

/* scores = clamp8(dots * multiplier / 2^32); returns the largest. */
LM_NOINLINE static int32_t scale_scores(const int32_t *dots, int32_t count, int32_t multiplier,
                                        int8_t *scores) {
  int32_t largest = INT8_MIN;
  __asm volatile(
      "vdup.32 q1, %[multiplier]\n\t"
      "vmov.i32 q2, #127\n\t"
      "vmvn.i32 q3, #127\n\t"
      "wlstp.32 lr, %[n], 1f\n"
      "2:\n\t"
      "vldrw.32 q0, [%[dots]], #16\n\t"
      "vrmulh.s32 q0, q0, q1\n\t"
      "vmin.s32 q0, q0, q2\n\t"
      "vmax.s32 q0, q0, q3\n\t"
      "vstrb.32 q0, [%[scores]], #4\n\t"
      "vmaxv.s32 %[largest], q0\n\t"
      "letp lr, 2b\n"
      "1:"
      : [dots] "+&r"(dots), [scores] "+&l"(scores), [largest] "+&r"(largest)
      : [multiplier] "r"(multiplier), [n] "r"(count)
      : "q0", "q1", "q2", "q3", "lr", "memory");
  return largest;
}

/* weights = table[largest - scores], in place; returns their sum. */
LM_NOINLINE static int32_t weigh(const uint8_t *table, int8_t *scores, int32_t count,
                                 int32_t largest) {
  int32_t sum;
  int8_t *weights = scores, *end = scores + count;
  __asm volatile(
      "vdup.16 q1, %[largest]\n\t"
      "mov %[sum], #0\n\t"
      "wlstp.16 lr, %[n], 1f\n"
      "2:\n\t"
      "vldrb.s16 q0, [%[scores]], #8\n\t"
      "vsub.i16 q0, q1, q0\n\t"
      "vldrb.u16 q2, [%[table], q0]\n\t"
      "vaddva.u16 %[sum], q2\n\t"
      "vstrb.16 q2, [%[weights]], #8\n\t"
      "letp lr, 2b\n"
      "1:"
      : [scores] "+&l"(scores), [weights] "+&l"(weights), [sum] "=&Te"(sum)
      : [largest] "r"(largest), [table] "r"(table), [n] "r"(count)
      : "q0", "q1", "q2", "lr", "memory");
  for (int32_t i = count; i % LANES != 0; i++) *end++ = 0;
  return sum;
}

/* Sums of four columns over all keys, and of some behind them whose weights are 0. */
LM_NOINLINE static void mix_columns(const int8_t *weights, int32_t blocks,
                                    const int8_t *const columns[COLUMNS],
                                    int32_t sums[COLUMNS]) {
  const int8_t *c0 = columns[0], *c1 = columns[1], *c2 = columns[2], *c3 = columns[3];
  int32_t s0, s1, s2, s3;
  __asm volatile(
      "mov %[s0], #0\n\t"
      "mov %[s1], #0\n\t"
      "mov %[s2], #0\n\t"
      "mov %[s3], #0\n\t"
      "wls lr, %[n], 1f\n"
      "2:\n\t"
      "vldrb.8 q0, [%[weights]], #16\n\t"
      "vldrb.8 q1, [%[c0]], #16\n\t"
      "vmladava.s8 %[s0], q0, q1\n\t"
      "vldrb.8 q2, [%[c1]], #16\n\t"
      "vmladava.s8 %[s1], q0, q2\n\t"
      "vldrb.8 q1, [%[c2]], #16\n\t"
      "vmladava.s8 %[s2], q0, q1\n\t"
      "vldrb.8 q2, [%[c3]], #16\n\t"
      "vmladava.s8 %[s3], q0, q2\n\t"
      "le lr, 2b\n"
      "1:"
      : [s0] "=&Te"(s0), [s1] "=&Te"(s1), [s2] "=&Te"(s2), [s3] "=&Te"(s3), [c0] "+&r"(c0),
        [c1] "+&r"(c1), [c2] "+&r"(c2), [c3] "+&r"(c3), [weights] "+&r"(weights)
      : [n] "r"(blocks)
      : "q0", "q1", "q2", "lr", "memory");
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

/* v: (value_width, tokens) */
static void mix_values(const lm_causal_attention *p, const int8_t *weights, int32_t count,
                       int32_t total, lm_rows v, int8_t *y) {
  const lm_requant mix = lm_divide_requant(p->mix, total);
  const int32_t width = p->value_width;
  for (int32_t first = 0; first < width; first += COLUMNS) {
    const int8_t *columns[COLUMNS];
    int32_t sums[COLUMNS];
    for (int32_t i = 0; i < COLUMNS; i++) {
      columns[i] = v.data + lm_min(first + i, width - 1) * v.stride;
    }
    mix_columns(weights, (count + LANES - 1) / LANES, columns, sums);
    for (int32_t i = 0; i < lm_min(COLUMNS, width - first); i++) {
      const int32_t scaled = lm_requantize(sums[i], mix.multiplier, mix.shift);
      y[first + i] =
          (int8_t)lm_clamp_from_zero_point(scaled, p->zero_point, INT8_MIN, INT8_MAX);
    }
  }
}

void lm_causal_attention_s8_s8_mve(const lm_causal_attention *p, const lm_causal_tile *tile,
                                   int8_t *y, int32_t y_stride) {
  const int32_t sharing = p->heads / p->key_value_heads;
  const int32_t width = p->head_width;
  for (int32_t row = 0; row < tile->rows; row++) {
    const int32_t count = tile->row_start + row + 1;
    int32_t *const dots[2] = {tile->scratch, (int32_t *)tile->scratch + count};
    int8_t *const scores = (int8_t *)(dots[1] + count);
    for (int32_t head = 0; head < p->heads; head++) {
      const int32_t shared = head / sharing;
      const int8_t *q = tile->q.data + row * tile->q.stride + head * width;
      const lm_rows k = {tile->k.data + shared * width, tile->k.stride};
      const bool is_second = width <= LANES && head % sharing % 2 == 1;
      if (width > LANES) {
        for (int32_t key = 0; key < count; key++) {
          dots[0][key] = dot(q, k.data + key * k.stride, width);
        }
      } else if (!is_second) { /* and its neighbour's, if it has one */
        const bool has_second = head % sharing + 1 < sharing;
        dot_keys(q, has_second ? q + width : q, width, k, count, dots[0], dots[1]);
      }
      const int32_t largest =
          scale_scores(dots[is_second], count, p->score_multipliers[head], scores);
      const int32_t total = weigh(p->exp_tables + head * 256, scores, count, largest);
      const lm_rows v = {tile->v.data + shared * p->value_width * tile->v.stride,
                         tile->v.stride};
      mix_values(p, scores, count, total, v, y + row * y_stride + head * p->value_width);
    }
  }
}
