/* SPDX-License-Identifier: Apache-2.0
 * attend_inputs.c for Helium, a block of 16 tokens for a chunk of queries at a time: the scores of
 * three queries by two tokens, then the weighted sums of three queries by pairs of columns, turned
 * once for all queries. A query is a row's u of one head; one without neighbours is its own. */
#include "../kernels.h"
#include "mve.h"
#include "turned.h"
#include "wide_products.h"

enum {
  TOKENS = LM_ATTEND_BLOCK,
  QUERIES = 12, /* of a chunk: a multiple of 3 */
  COLUMNS = 2 * LM_TURNED_COLUMNS,
  TURNED_STEP = 4 * COLUMNS,
};

/* What is carried of a query. */
enum { LARGEST, TOTAL, SUMS };

typedef struct {
  int32_t head;
  const int16_t *u;
  int32_t *carry;
} query;

/* Query `number` of all rows and heads. */
static query query_of(const lm_attend_inputs *p, lm_wide_rows u, int32_t *carry, int32_t number) {
  const int32_t row = number / p->heads;
  const int32_t head = number - row * p->heads;
  const query one = {head, u.data + row * u.stride + head * p->width,
                     carry + number * (SUMS + p->width)};
  return one;
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
      : [sum] "+&Te"(sum), [u] "+&r"(u)
      : [n] "r"(width)
      : "q0", "lr", "memory");
  return sum;
}

/* Makes what is carried relative to a larger score: x * factor in Q15, rounded. */
static void raise(int32_t factor, int32_t count, int32_t *carried) {
  __asm volatile(
      "wlstp.32 lr, %[n], 1f\n"
      "2:\n\t"
      "vldrw.32 q0, [%[carried]]\n\t"
      "vqrdmulh.s32 q0, q0, %[factor]\n\t"
      "vstrw.32 q0, [%[carried]], #16\n\t"
      "letp lr, 2b\n"
      "1:"
      : [carried] "+&r"(carried)
      : [n] "r"(count), [factor] "r"(factor << 16)
      : "q0", "lr", "memory");
}

static void clear(int32_t count, int32_t *carried) {
  __asm volatile(
      "vmov.i32 q0, #0\n\t"
      "wlstp.32 lr, %[n], 1f\n"
      "2:\n\t"
      "vstrw.32 q0, [%[carried]], #16\n\t"
      "letp lr, 2b\n"
      "1:"
      : [carried] "+&r"(carried)
      : [n] "r"(count)
      : "q0", "lr", "memory");
}

static int32_t largest_of(const int8_t *scores, int32_t tokens) {
  int32_t largest = INT8_MIN;
  __asm volatile(
      "vctp.8 %[n]\n\t"
      "vpstt\n\t"
      "vldrbt.8 q0, [%[scores]]\n\t"
      "vmaxvt.s8 %[largest], q0"
      : [largest] "+&r"(largest)
      : [n] "r"(tokens), [scores] "r"(scores)
      : "q0", LM_PREDICATE "memory");
  return largest;
}

/* weights[token] = exp_table[largest - score]; returns their sum. Tokens behind the last weigh 0. */
static int32_t weigh_scores(const uint8_t *exp_table, int32_t largest, const int8_t *scores,
                            int32_t tokens, uint8_t *weights) {
  int32_t total = 0;
  __asm volatile(
      "vctp.8 %[n]\n\t"
      "vdup.8 q0, %[largest]\n\t"
      "vldrb.8 q1, [%[scores]]\n\t"
      "vsub.i8 q0, q0, q1\n\t"
      "vpst\n\t"
      "vldrbt.u8 q1, [%[table], q0]\n\t"
      "vaddva.u8 %[total], q1\n\t"
      "vstrb.8 q1, [%[weights]]"
      : [total] "+&Te"(total)
      : [n] "r"(tokens), [largest] "r"(largest), [scores] "r"(scores), [table] "r"(exp_table),
        [weights] "r"(weights)
      : "q0", "q1", LM_PREDICATE "memory");
  return total;
}

/* Weights of a block's tokens for one query, from its sums with x as it is. */
static void weigh_tokens(const lm_attend_inputs *p, const query *one, const int32_t *sums,
                         int32_t tokens, bool is_first, uint8_t *weights) {
  const int32_t start = -p->zero_point * sum_of(one->u, p->width);
  const lm_requant requant = {p->score_multipliers[one->head], p->score_shifts[one->head]};
  int32_t *carry = one->carry;
  int8_t scores[TOKENS];
  lm_finish_uniform_s8(sums, start, tokens, requant, scores);
  const int32_t largest = largest_of(scores, tokens);
  if (is_first) {
    carry[LARGEST] = largest;
    clear(p->width + SUMS - TOTAL, carry + TOTAL);
  } else if (largest > carry[LARGEST]) {
    raise(p->rescale_tables[one->head * 256 + largest - carry[LARGEST]],
          p->width + SUMS - TOTAL, carry + TOTAL);
    carry[LARGEST] = largest;
  }
  carry[TOTAL] +=
      weigh_scores(p->exp_tables + one->head * 256, carry[LARGEST], scores, tokens, weights);
}

/* Weights of a block's tokens for three queries. */
static void weigh_three(const lm_attend_inputs *p, const query three[3], int32_t count, lm_rows x,
                        int32_t tokens, bool is_first, uint8_t (*weights)[TOKENS]) {
  const int16_t *const u[3] = {three[0].u, three[1].u, three[2].u};
  int32_t sums[3][LM_WIDE_BAND];
  lm_dot_wide(u, x, tokens, p->width, sums);
  for (int32_t i = 0; i < count; i++) {
    weigh_tokens(p, &three[i], sums[i], tokens, is_first, weights[i]);
  }
}

/* Byte offsets of the tokens of a column of turned quads, less a pair of columns. */
static const int32_t tokens_before[4] = {-8, TURNED_STEP - 8, 2 * TURNED_STEP - 8,
                                         3 * TURNED_STEP - 8};

/* Adds the weighted tokens of pairs of columns to the sums of three queries: 15 instructions for 96
 * products. Accumulators must be in even core registers. */
LM_NOINLINE static void mix_pairs(const uint8_t *const weights[3], int32_t *const sums[3],
                                  const int8_t *turned, int32_t pairs) {
  register int32_t *r1 __asm("r1") = sums[0];
  register int32_t *r3 __asm("r3") = sums[1];
  register int32_t *r5 __asm("r5") = sums[2];
  register const uint8_t *r0 __asm("r0") = weights[0];
  register const uint8_t *r2 __asm("r2") = weights[1];
  register const uint8_t *r4 __asm("r4") = weights[2];
  register const int32_t *r6 __asm("r6") = tokens_before;
  register const int8_t *r8 __asm("r8") = turned;
  __asm volatile(
      "vldrb.8 q0, [r0]\n\t"
      "vldrb.8 q1, [r2]\n\t"
      "vldrb.8 q2, [r4]\n\t"
      "vldrw.32 q5, [r6]\n\t"
      "vadd.i32 q5, q5, r8\n\t"
      "wls lr, %[n], 1f\n"
      "2:\n\t"
      "vldrw.32 q3, [q5, #8]!\n\t"
      "ldrd r0, r2, [r1]\n\t"
      "ldrd r4, r6, [r3]\n\t"
      "vmladava.s8 r0, q0, q3\n\t"
      "vldrw.32 q4, [q5, #4]\n\t"
      "vmladava.s8 r2, q0, q4\n\t"
      "ldrd r8, r10, [r5]\n\t"
      "vmladava.s8 r4, q1, q3\n\t"
      "strd r0, r2, [r1], #8\n\t"
      "vmladava.s8 r6, q1, q4\n\t"
      "vmladava.s8 r8, q2, q3\n\t"
      "strd r4, r6, [r3], #8\n\t"
      "vmladava.s8 r10, q2, q4\n\t"
      "strd r8, r10, [r5], #8\n\t"
      "le lr, 2b\n"
      "1:"
      : "+&r"(r0), "+&r"(r1), "+&r"(r2), "+&r"(r3), "+&r"(r4), "+&r"(r5), "+&r"(r6), "+&r"(r8)
      : [n] "r"(pairs)
      : "r10", "q0", "q1", "q2", "q3", "q4", "q5", "lr", "memory");
}

static void turn_columns(lm_rows x, int32_t tokens, int32_t columns, int8_t *turned) {
  if (tokens == TOKENS) {
    lm_turn_quads(x, x.stride, columns, TOKENS / 4, TURNED_STEP, turned);
  } else {
    lm_turn_rest(x, tokens, columns, TURNED_STEP, turned);
  }
}

/* Adds the weighted tokens to the sums of the queries. */
static void mix_tokens(const lm_attend_inputs *p, int32_t *carry, int32_t count, lm_rows x,
                       int32_t tokens, uint8_t (*weights)[TOKENS]) {
  const int32_t stride = SUMS + p->width;
  const int32_t width = p->width & ~1;
  int8_t turned[TOKENS * COLUMNS] __attribute__((aligned(4)));
  for (int32_t column = 0; column < width; column += COLUMNS) {
    const int32_t columns = lm_min(COLUMNS, width - column);
    for (int32_t half = 0; half < columns; half += LM_TURNED_COLUMNS) {
      const lm_rows values = {x.data + column + half, x.stride};
      turn_columns(values, tokens, lm_min(LM_TURNED_COLUMNS, columns - half), turned + 4 * half);
    }
    for (int32_t first = 0; first < count; first += 3) {
      const uint8_t *own[3];
      int32_t *sums[3];
      for (int32_t i = 0; i < 3; i++) {
        const int32_t index = lm_min(first + i, count - 1);
        own[i] = weights[index];
        sums[i] = carry + index * stride + SUMS + column;
      }
      mix_pairs(own, sums, turned, columns >> 1);
    }
  }
  if (width == p->width) return;
  for (int32_t i = 0; i < count; i++) { /* the last column, where it has no neighbour */
    for (int32_t token = 0; token < tokens; token++) {
      carry[i * stride + SUMS + width] += weights[i][token] * x.data[token * x.stride + width];
    }
  }
}

static void finish(const lm_attend_inputs *p, const int32_t *carry, int16_t *y) {
  lm_finish_uniform_s16(carry + SUMS, -p->zero_point * carry[TOTAL], p->width,
                        lm_divide_requant(p->mix, carry[TOTAL]), y);
}

void lm_attend_inputs_s16_s16_mve(const lm_attend_inputs *p, lm_wide_rows u, int32_t rows,
                                  const lm_block *x, void *scratch, int16_t *y,
                                  int32_t y_stride) {
  (void)scratch;
  const int32_t all = rows * p->heads;
  for (int32_t begin = 0; begin < all; begin += QUERIES) {
    const int32_t count = lm_min(QUERIES, all - begin);
    int32_t *carry = x->carry + begin * (SUMS + p->width);
    for (int32_t token = 0; token < x->rows; token += TOKENS) {
      const lm_rows block = {x->x.data + token * x->x.stride, x->x.stride};
      const int32_t tokens = lm_min(TOKENS, x->rows - token);
      uint8_t weights[QUERIES][TOKENS];
      for (int32_t first = 0; first < count; first += 3) {
        query three[3];
        for (int32_t i = 0; i < 3; i++) {
          three[i] = query_of(p, u, x->carry, begin + lm_min(first + i, count - 1));
        }
        weigh_three(p, three, lm_min(3, count - first), block, tokens, x->first + token == 0,
                    weights + first);
      }
      mix_tokens(p, carry, count, block, tokens, weights);
    }
    if (x->first + x->rows < x->tokens) continue;
    for (int32_t i = begin; i < begin + count; i++) {
      const query one = query_of(p, u, x->carry, i);
      finish(p, one.carry, y + i / p->heads * y_stride + one.head * p->width);
    }
  }
}
