/* SPDX-License-Identifier: Apache-2.0
 * attend_inputs.c for Helium: scores of four tokens at a time, then the weighted sums of sixteen
 * columns at a time in 32-bit lanes. */
#include "../kernels.h"
#include "mve.h"

/* Tokens between two requantizations of scores, columns between two of sums. */
enum { BAND = 16 };

/* start + the dot products of u and four rows of x: 10 instructions for 32 products. */
static void dot_4(const int16_t *u, const int8_t *const x[4], int32_t width, int32_t start,
                  int32_t *sums) {
  const int8_t *a = x[0], *b = x[1], *c = x[2], *d = x[3];
  int32_t ua = start, ub = start, uc = start, ud = start;
  __asm volatile(
      "wlstp.16 lr, %[n], 1f\n"
      "2:\n\t"
      "vldrh.16 q0, [%[u]], #16\n\t"
      "vldrb.s16 q1, [%[a]], #8\n\t"
      "vmladava.s16 %[ua], q0, q1\n\t"
      "vldrb.s16 q2, [%[b]], #8\n\t"
      "vmladava.s16 %[ub], q0, q2\n\t"
      "vldrb.s16 q1, [%[c]], #8\n\t"
      "vmladava.s16 %[uc], q0, q1\n\t"
      "vldrb.s16 q2, [%[d]], #8\n\t"
      "vmladava.s16 %[ud], q0, q2\n\t"
      "letp lr, 2b\n"
      "1:"
      : [ua] "+Te"(ua), [ub] "+Te"(ub), [uc] "+Te"(uc), [ud] "+Te"(ud), [u] "+r"(u), [a] "+l"(a),
        [b] "+l"(b), [c] "+l"(c), [d] "+l"(d)
      : [n] "r"(width)
      : "q0", "q1", "q2", "lr", "memory");
  sums[0] = ua;
  sums[1] = ub;
  sums[2] = uc;
  sums[3] = ud;
}

static int32_t sum_of(const int16_t *u, int32_t width) {
  int32_t sum = 0;
  __asm volatile(
      "wlstp.16 lr, %[n], 1f\n"
      "2:\n\t"
      "vldrh.16 q0, [%[u]], #16\n\t"
      "vaddva.s16 %[sum], q0\n\t"
      "letp lr, 2b\n"
      "1:"
      : [sum] "+Te"(sum), [u] "+r"(u)
      : [n] "r"(width)
      : "q0", "lr", "memory");
  return sum;
}

/* weights[token] = exp_table[largest score - score of token]; returns their sum. u: (width) */
static int32_t weigh_tokens(const lm_attend_inputs *p, int32_t head, const int16_t *u, lm_rows x,
                            int32_t tokens, uint8_t *weights) {
  const lm_requant requant = {p->score_multipliers[head], p->score_shifts[head]};
  const int32_t start = -p->zero_point * sum_of(u, p->width); /* the same for every token */
  int32_t sums[BAND];
  for (int32_t token = 0; token < tokens; token += BAND) {
    const int32_t count = lm_min(BAND, tokens - token);
    for (int32_t i = 0; i < count; i += 4) {
      const int8_t *row = x.data + (token + i) * x.stride;
      const int32_t last = count - i - 1; /* a token without a neighbour is its own */
      const int8_t *const four[4] = {row, row + lm_min(1, last) * x.stride,
                                     row + lm_min(2, last) * x.stride,
                                     row + lm_min(3, last) * x.stride};
      dot_4(u, four, p->width, start, sums + i);
    }
    lm_finish_uniform(sums, count, requant, 128, 0, 255, weights + token);
  }
  return lm_weigh_scores(p->exp_tables + head * 256, weights, tokens);
}

/* sums[c] = start + sum over tokens of weights * x[c] of sixteen columns: 11 instructions a token. */
static void mix_16(const uint8_t *weights, lm_rows x, int32_t tokens, int32_t start,
                   int32_t *sums) {
  const int8_t *columns = x.data;
  int32_t weight;
  __asm volatile(
      "vdup.32 q0, %[start]\n\t"
      "vmov q1, q0\n\t"
      "vmov q2, q0\n\t"
      "vmov q3, q0\n\t"
      "wls lr, %[n], 1f\n"
      "2:\n\t"
      "ldrb %[weight], [%[weights]], #1\n\t"
      "vldrb.s32 q4, [%[columns]]\n\t"
      "vmla.s32 q0, q4, %[weight]\n\t"
      "vldrb.s32 q5, [%[columns], #4]\n\t"
      "vmla.s32 q1, q5, %[weight]\n\t"
      "vldrb.s32 q4, [%[columns], #8]\n\t"
      "vmla.s32 q2, q4, %[weight]\n\t"
      "vldrb.s32 q5, [%[columns], #12]\n\t"
      "vmla.s32 q3, q5, %[weight]\n\t"
      "add %[columns], %[stride]\n\t"
      "le lr, 2b\n"
      "1:\n\t"
      "vstrw.32 q0, [%[sums]]\n\t"
      "vstrw.32 q1, [%[sums], #16]\n\t"
      "vstrw.32 q2, [%[sums], #32]\n\t"
      "vstrw.32 q3, [%[sums], #48]"
      : [weight] "=&r"(weight), [weights] "+r"(weights), [columns] "+l"(columns)
      : [n] "r"(tokens), [stride] "r"(x.stride), [start] "r"(start), [sums] "r"(sums)
      : "q0", "q1", "q2", "q3", "q4", "q5", "lr", "memory");
}

/* The same of fewer columns. */
static void mix_few(const uint8_t *weights, lm_rows x, int32_t tokens, int32_t start,
                    int32_t count, int32_t *sums) {
  for (int32_t column = 0; column < count; column++) {
    int32_t sum = start;
    for (int32_t token = 0; token < tokens; token++) {
      sum += weights[token] * x.data[token * x.stride + column];
    }
    sums[column] = sum;
  }
}

static void finish(const int32_t *sums, int32_t count, lm_requant requant, int16_t *y) {
  const int32_t zero_point = 0, min = INT16_MIN, max = INT16_MAX;
  LM_FINISH_UNIFORM("vstrh.32 q0, [%[y]], #8\n\t");
}

void lm_attend_inputs_s16_s16_mve(const lm_attend_inputs *p, lm_wide_rows u, int32_t rows, lm_rows x,
                                  int32_t tokens, uint8_t *scratch, int16_t *y, int32_t y_stride) {
  const int32_t width = p->width;
  const int32_t count = lm_min(BAND, width);
  int32_t sums[BAND];
  for (int32_t row = 0; row < rows; row++) {
    for (int32_t head = 0; head < p->heads; head++) {
      const int16_t *u_head = u.data + row * u.stride + head * width;
      int16_t *y_head = y + row * y_stride + head * width;
      const int32_t total = weigh_tokens(p, head, u_head, x, tokens, scratch);
      const lm_requant mix = lm_divide_requant(p->mix, total);
      const int32_t start = -p->zero_point * total;
      for (int32_t column = 0; column < width; column += BAND) {
        const int32_t first = lm_min(column, width - count); /* some columns twice */
        const lm_rows columns = {x.data + first, x.stride};
        if (count == BAND) {
          mix_16(scratch, columns, tokens, start, sums);
        } else {
          mix_few(scratch, columns, tokens, start, count, sums);
        }
        finish(sums, count, mix, y_head + first);
      }
    }
  }
}
