/* SPDX-License-Identifier: Apache-2.0
 * attend_inputs.c for the DSP extension, a block of 16 tokens for a chunk of queries at a time: the
 * scores of four queries a token, then the weighted sums of two queries by four columns of the block,
 * widened once for all queries. A query is a row's u of one head.
 *
 * Scratch: the widened columns, the weights of the chunk, and four queries in the order of SXTB16. */
#include <stddef.h>

#include "../kernels.h"
#include "dsp.h"
#include "four_rows.h"

enum {
  TOKENS = LM_ATTEND_BLOCK,
  PAIRS = TOKENS / 2,
  QUERIES = 16, /* of a chunk: a multiple of 4 */
  COLUMNS = LM_FOUR_COLUMNS_AT_ONCE,
};

/* What is carried of a query. */
enum { LARGEST, TOTAL, SUMS };

/* What makes a score of a sum, for right shifts of 1 ... 22. */
typedef struct {
  int32_t multiplier;
  int32_t shift; /* less one */
  int32_t half;  /* 1 << shift */
} score_scale;

enum { SMALLEST_SHIFT = -22 };

typedef struct {
  uint32_t zero_points;       /* 0: twice -zero_point */
  const int32_t *sums;        /* 4: of four queries, to begin with */
  int32_t sums_step;          /* 8: bytes to those of the next token */
  int32_t first_turns;        /* 12: of the first round of four; 0: there is none */
  const uint32_t *u;          /* 16: (columns / 4, 2, 4 queries): columns 0 and 2, 1 and 3 */
  const uint32_t *u_end;      /* 20 */
  const int8_t *x;            /* 24 */
  int32_t gap;                /* 28: from the end of a token's columns to the next token */
  uint32_t *scores;           /* 32: a byte a query */
  const uint32_t *scores_end; /* 36 */
  uint32_t largest;           /* 40: scores */
  int32_t *raw;               /* 44: NULL, or where the sums go that no scale fits */
  score_scale scales[4];      /* 48 */
  uint32_t saved[9];          /* 96 */
} score_block;

/* lm_requantize of twice the sum, without its last halving: the sign takes 1 from what rounds the
 * shift. Where twice the sum is saturated, so is the score. */
#define SCORE(sum)                       \
  "ldm r2!, {r8-r10}\n\t"                \
  "qadd " sum ", " sum ", " sum "\n\t"   \
  "add r1, r10, " sum ", asr #31\n\t"    \
  "smmlar " sum ", " sum ", r8, r1\n\t"  \
  "asr " sum ", " sum ", r9\n\t"         \
  "ssat " sum ", #8, " sum ", asr #1\n\t"

/* Scores of tokens, at least one, for four queries. Registers besides those of LM_FOUR_TURN: lr the
 * block. */
__attribute__((naked, noinline)) static void score_tokens(
    score_block *block __attribute__((unused))) {
  __asm volatile(
      LM_SAVE_REGISTERS("96")
      "mov lr, r0\n\t"
      "ldr r3, [lr, #24]\n\t"
      "ldr r12, [lr]\n"
      "1:\n\t"
      "ldrd r0, r1, [lr, #4]\n\t"
      "ldm r0, {r4-r7}\n\t"
      "add r0, r0, r1\n\t"
      "str r0, [lr, #4]\n\t"
      "ldrd r0, r2, [lr, #12]\n\t"
      LM_FOUR_COLUMNS("20")
      "ldrd r10, r11, [lr, #28]\n\t"
      "ldr r0, [lr, #44]\n\t"
      "add r3, r3, r10\n\t"
      "cbz r0, 8f\n\t"
      "stm r0!, {r4-r7}\n\t"
      "str r0, [lr, #44]\n"
      "8:\n\t"
      "add r2, lr, #48\n\t"
      SCORE("r4") SCORE("r5") SCORE("r6") SCORE("r7")
      "bfi r4, r5, #8, #8\n\t"
      "bfi r6, r7, #8, #8\n\t"
      "pkhbt r4, r4, r6, lsl #16\n\t"
      "str r4, [r11], #4\n\t"
      "ldrd r5, r6, [lr, #36]\n\t"
      "ssub8 r0, r4, r6\n\t"
      "sel r6, r4, r6\n\t"
      "str r11, [lr, #32]\n\t"
      "str r6, [lr, #40]\n\t"
      "cmp r11, r5\n\t"
      "bne.w 1b\n\t"
      LM_RETURN("96")
      :
      :
      : "memory");
}

typedef struct {
  uint32_t x[PAIRS][4];        /* 0: pairs of tokens, of four columns */
  int32_t *sums;               /* 128: of the first query at these columns */
  int32_t stride;              /* 132: bytes from a query's sums to the next one's */
  const uint32_t *weights;     /* 136: (pairs of queries, PAIRS, 2 queries) */
  const uint32_t *weights_end; /* 140 */
  uint32_t saved[9];           /* 144 */
} mix_block;

typedef char offsets_are_as_assembled[offsetof(score_block, saved) == 96 &&
                                              offsetof(mix_block, saved) == 144
                                          ? 1
                                          : -1];

/* Registers: r4 ... r7 and r8 ... r11 sums of two queries; r12 the next weights; lr the block. */
#define MIX_PAIR(at, next)         \
  "ldrd r0, r1, [r12], #8\n\t"     \
  "ldrd r2, r3, [lr, #" at "]\n\t" \
  "smlad r4, r2, r0, r4\n\t"       \
  "smlad r8, r2, r1, r8\n\t"       \
  "smlad r5, r3, r0, r5\n\t"       \
  "smlad r9, r3, r1, r9\n\t"       \
  "ldrd r2, r3, [lr, #" next "]\n\t" \
  "smlad r6, r2, r0, r6\n\t"       \
  "smlad r10, r2, r1, r10\n\t"     \
  "smlad r7, r3, r0, r7\n\t"       \
  "smlad r11, r3, r1, r11\n\t"

/* Adds the weighted block to the sums of pairs of queries, at least one. */
__attribute__((naked, noinline)) static void mix_columns(
    mix_block *block __attribute__((unused))) {
  __asm volatile(
      LM_SAVE_REGISTERS("144")
      "mov lr, r0\n\t"
      "ldr r12, [lr, #136]\n"
      "1:\n\t"
      "ldrd r0, r1, [lr, #128]\n\t"
      "add r1, r0, r1\n\t"
      "ldm r0, {r4-r7}\n\t"
      "ldm r1, {r8-r11}\n\t"
      MIX_PAIR("0", "8") MIX_PAIR("16", "24") MIX_PAIR("32", "40") MIX_PAIR("48", "56")
      MIX_PAIR("64", "72") MIX_PAIR("80", "88") MIX_PAIR("96", "104") MIX_PAIR("112", "120")
      "ldrd r0, r1, [lr, #128]\n\t"
      "ldr r2, [lr, #140]\n\t"
      "stm r0, {r4-r7}\n\t"
      "add r0, r0, r1\n\t"
      "stm r0, {r8-r11}\n\t"
      "add r0, r0, r1\n\t"
      "str r0, [lr, #128]\n\t"
      "cmp r12, r2\n\t"
      "bne.w 1b\n\t"
      LM_RETURN("144")
      :
      :
      : "memory");
}

/* Rows of u, of all heads. */
typedef struct {
  lm_wide_rows u;
  int32_t *carry;
  int32_t first; /* queries before the chunk */
  int32_t count; /* of the chunk */
} chunk;

typedef struct {
  int32_t head;
  const int16_t *u;
  int32_t *carry;
} query;

/* The query with an index in the chunk; what is not there is the last one. */
static query query_of(const lm_attend_inputs *p, const chunk *queries, int32_t index) {
  const int32_t number = queries->first + lm_min(index, queries->count - 1);
  const int32_t row = number / p->heads;
  const int32_t head = number - row * p->heads;
  const query one = {head, queries->u.data + row * queries->u.stride + head * p->width,
                     queries->carry + number * (SUMS + p->width)};
  return one;
}

/* Sums over the columns behind the last turn. */
static void sum_rest(const lm_attend_inputs *p, const query four[4], lm_rows x, int32_t tokens,
                     int32_t sums[TOKENS][4]) {
  for (int32_t token = 0; token < tokens; token++) {
    const int8_t *row = x.data + token * x.stride;
    for (int32_t i = 0; i < 4; i++) {
      int32_t sum = 0;
      for (int32_t column = p->width & -COLUMNS; column < p->width; column++) {
        sum += four[i].u[column] * (row[column] - p->zero_point);
      }
      sums[token][i] = sum;
    }
  }
}

/* Scores by every rule. */
static void score_sums(const lm_attend_inputs *p, const query four[4], int32_t sums[TOKENS][4],
                       int32_t tokens, score_block *block) {
  uint32_t *scores = block->scores - tokens;
  int8_t *largest = (int8_t *)&block->largest;
  for (int32_t i = 0; i < 4; i++) {
    const int32_t head = four[i].head;
    const lm_split_requant requant = lm_split(p->score_multipliers[head], p->score_shifts[head]);
    largest[i] = INT8_MIN;
    for (int32_t token = 0; token < tokens; token++) {
      const int32_t score = lm_add_to_s8(lm_requantize_split(sums[token][i], requant), 0);
      ((int8_t *)&scores[token])[i] = (int8_t)score;
      largest[i] = (int8_t)lm_max(largest[i], score);
    }
  }
}

/* Scores of the tokens for four queries, a byte each; returns the largest. */
static uint32_t score_block_of(const lm_attend_inputs *p, const query four[4], lm_rows x,
                               int32_t tokens, uint32_t *ordered, uint32_t scores[TOKENS]) {
  static const int32_t zeros[4];
  const int32_t columns = p->width & -COLUMNS;
  int32_t sums[TOKENS][4];
  const uint16_t zero_point = (uint16_t)-p->zero_point;
  score_block block = {
      .zero_points = (uint32_t)zero_point << 16 | zero_point,
      .sums = zeros,
      .first_turns = lm_first_turns(columns),
      .u = ordered,
      .u_end = ordered + 2 * columns,
      .x = x.data,
      .gap = x.stride - columns,
      .scores = scores,
      .scores_end = scores + tokens,
      .largest = 0x80808080u,
  };
  if (columns > 0) {
    lm_order_two(four[0].u, four[1].u, columns, ordered);
    lm_order_two(four[2].u, four[3].u, columns, ordered + 2);
  }
  if (columns < p->width) {
    sum_rest(p, four, x, tokens, sums);
    block.sums = sums[0];
    block.sums_step = sizeof sums[0];
  }
  for (int32_t i = 0; i < 4; i++) {
    const int32_t shift = p->score_shifts[four[i].head];
    if (shift >= 0 || shift < SMALLEST_SHIFT) {
      block.raw = sums[0];
      continue;
    }
    block.scales[i].multiplier = p->score_multipliers[four[i].head];
    block.scales[i].shift = -shift - 1;
    block.scales[i].half = 1 << (-shift - 1);
  }
  const bool is_raw = block.raw != NULL;
  score_tokens(&block);
  if (is_raw) score_sums(p, four, sums, tokens, &block);
  return block.largest;
}

/* x * factor in Q15, rounded, of four. */
#define RAISE_4                            \
  "ldm %[carried], {r8-r11}\n\t"           \
  "lsl r8, r8, #1\n\t"                     \
  "lsl r9, r9, #1\n\t"                     \
  "lsl r10, r10, #1\n\t"                   \
  "lsl r11, r11, #1\n\t"                   \
  "smmulr r8, r8, %[factor]\n\t"           \
  "smmulr r9, r9, %[factor]\n\t"           \
  "smmulr r10, r10, %[factor]\n\t"         \
  "smmulr r11, r11, %[factor]\n\t"         \
  "stm %[carried]!, {r8-r11}\n\t"

/* Makes what is carried relative to a larger score. */
static void raise(int32_t factor, int32_t count, int32_t *carried) {
  int32_t *const end = carried + (count & ~3);
  if (carried < end) {
    __asm volatile(
        "1:\n\t" RAISE_4
        "cmp %[carried], %[end]\n\t"
        "bne 1b"
        : [carried] "+&r"(carried)
        : [factor] "r"(factor << 16), [end] "r"(end)
        : "r8", "r9", "r10", "r11", "cc", "memory");
  }
  for (int32_t i = 0; i < (count & 3); i++) {
    carried[i] = lm_smmlar(carried[i] * 2, factor << 16, 0);
  }
}

/* What one query carries, with a block's largest score. */
static void begin_block(const lm_attend_inputs *p, const query *one, int32_t largest,
                        bool is_first) {
  int32_t *carry = one->carry;
  if (is_first) {
    carry[LARGEST] = largest;
    for (int32_t i = TOTAL; i < SUMS + p->width; i++) carry[i] = 0;
  } else if (largest > carry[LARGEST]) {
    raise(p->rescale_tables[one->head * 256 + largest - carry[LARGEST]],
          p->width + SUMS - TOTAL, carry + TOTAL);
    carry[LARGEST] = largest;
  }
}

/* Weights of the tokens for four queries. */
static void weigh_tokens(const lm_attend_inputs *p, const query four[4], int32_t count,
                         const uint32_t *scores, int32_t tokens, uint16_t *weights) {
  const uint8_t *const a = p->exp_tables + four[0].head * 256 + four[0].carry[LARGEST];
  const uint8_t *const b = p->exp_tables + four[1].head * 256 + four[1].carry[LARGEST];
  const uint8_t *const c = p->exp_tables + four[2].head * 256 + four[2].carry[LARGEST];
  const uint8_t *const d = p->exp_tables + four[3].head * 256 + four[3].carry[LARGEST];
  int32_t totals[4] = {0, 0, 0, 0};
  uint16_t *to = weights;
  for (int32_t token = 0; token < tokens; token++) {
    const uint32_t score = scores[token];
    const uint8_t weight_a = a[-(int8_t)score];
    const uint8_t weight_b = b[-(int8_t)(score >> 8)];
    const uint8_t weight_c = c[-(int8_t)(score >> 16)];
    const uint8_t weight_d = d[-(int8_t)(score >> 24)];
    to[0] = weight_a;
    to[2] = weight_b;
    to[2 * TOKENS] = weight_c;
    to[2 * TOKENS + 2] = weight_d;
    totals[0] += weight_a;
    totals[1] += weight_b;
    totals[2] += weight_c;
    totals[3] += weight_d;
    to += token & 1 ? 3 : 1;
  }
  for (int32_t token = tokens; token < TOKENS; token++) {
    uint16_t *none = weights + 4 * (token >> 1) + (token & 1);
    none[0] = none[2] = none[2 * TOKENS] = none[2 * TOKENS + 2] = 0;
  }
  for (int32_t i = 0; i < count; i++) four[i].carry[TOTAL] += totals[i];
}

#define WIDEN_PAIR                      \
  "ldr %[a], [%[x]]\n\t"                \
  "ldr %[b], [%[x], %[stride]]\n\t"     \
  "add %[x], %[x], %[stride], lsl #1\n\t" \
  "pkhbt %[c], %[a], %[b], lsl #16\n\t" \
  "pkhtb %[b], %[b], %[a], asr #16\n\t" \
  "sxtb16 %[a], %[c]\n\t"               \
  "sxtb16 %[c], %[c], ror #8\n\t"       \
  "strd %[a], %[c], [%[to]], #8\n\t"    \
  "sxtb16 %[a], %[b]\n\t"               \
  "sxtb16 %[b], %[b], ror #8\n\t"       \
  "strd %[a], %[b], [%[to]], #8\n\t"

/* Four columns of two tokens. */
static void widen_pair(const int8_t *first, const int8_t *second, uint32_t to[4]) {
  const uint32_t a = lm_load4(first);
  const uint32_t b = lm_load4(second);
  const uint32_t low = (a & 0xffffu) | b << 16;
  const uint32_t high = a >> 16 | (b & 0xffff0000u);
  to[0] = lm_widen_even(low);
  to[1] = lm_widen_odd(low);
  to[2] = lm_widen_even(high);
  to[3] = lm_widen_odd(high);
}

/* The same of an even number of neighbouring pairs. */
static void widen_pairs(const int8_t *x, int32_t stride, int32_t pairs, uint32_t *to) {
  uint32_t a, b, c;
  const uint32_t *const end = to + 4 * pairs;
  __asm volatile(
      "1:\n\t" WIDEN_PAIR WIDEN_PAIR
      "cmp %[to], %[end]\n\t"
      "bne 1b"
      : [x] "+&r"(x), [to] "+&r"(to), [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c)
      : [stride] "r"(stride), [end] "r"(end)
      : "cc", "memory");
}

/* Four columns of at most TOKENS tokens; what stands for those that are not there weighs nothing. */
static void widen_columns(const int8_t *x, int32_t stride, int32_t tokens, uint32_t to[PAIRS][4]) {
  if (tokens == TOKENS) {
    widen_pairs(x, stride, PAIRS, to[0]);
    return;
  }
  for (int32_t pair = 0; pair < PAIRS; pair++) {
    const int32_t first = lm_min(2 * pair, tokens - 1);
    const int32_t second = lm_min(2 * pair + 1, tokens - 1);
    widen_pair(x + first * stride, x + second * stride, to[pair]);
  }
}

/* Adds the weighted tokens to the sums of all queries of the chunk. */
static void mix_tokens(const lm_attend_inputs *p, const chunk *queries, lm_rows x, int32_t tokens,
                       const uint32_t *weights) {
  const int32_t stride = SUMS + p->width;
  const int32_t pairs = queries->count / 2;
  const int32_t columns = p->width & ~3;
  int32_t *carry = queries->carry + queries->first * stride;
  mix_block block;
  for (int32_t column = 0; column < columns; column += 4) {
    widen_columns(x.data + column, x.stride, tokens, block.x);
    block.sums = carry + SUMS + column;
    block.weights = weights;
    if (pairs > 0) {
      block.stride = stride * (int32_t)sizeof(int32_t);
      block.weights_end = weights + pairs * TOKENS;
      mix_columns(&block);
      block.weights = block.weights_end;
    }
    if (queries->count & 1) { /* a query without a neighbour is its own */
      block.stride = 0;
      block.weights_end = block.weights + TOKENS;
      mix_columns(&block);
    }
  }
  for (int32_t i = 0; i < queries->count; i++) {
    const uint16_t *own = (const uint16_t *)(weights + i / 2 * TOKENS + i % 2);
    int32_t *sums = carry + i * stride + SUMS;
    for (int32_t column = columns; column < p->width; column++) {
      for (int32_t token = 0; token < tokens; token++) {
        sums[column] += own[4 * (token >> 1) + (token & 1)] * x.data[token * x.stride + column];
      }
    }
  }
}

/* At most TOKENS tokens for all queries of the chunk. */
static void add_tokens(const lm_attend_inputs *p, const chunk *queries, lm_rows x, int32_t tokens,
                       bool is_first, uint32_t *scratch) {
  uint32_t *weights = scratch;
  uint32_t *ordered = scratch + QUERIES * PAIRS;
  for (int32_t first = 0; first < queries->count; first += 4) {
    const query four[4] = {query_of(p, queries, first), query_of(p, queries, first + 1),
                           query_of(p, queries, first + 2), query_of(p, queries, first + 3)};
    const int32_t count = lm_min(4, queries->count - first);
    uint32_t scores[TOKENS];
    const uint32_t largest = score_block_of(p, four, x, tokens, ordered, scores);
    for (int32_t i = 0; i < count; i++) {
      begin_block(p, &four[i], (int8_t)(largest >> 8 * i), is_first);
    }
    weigh_tokens(p, four, count, scores, tokens, (uint16_t *)(weights + first * PAIRS));
  }
  mix_tokens(p, queries, x, tokens, weights);
}

static void finish(const lm_attend_inputs *p, const int32_t *carry, int16_t *y) {
  const lm_requant mix = lm_divide_requant(p->mix, carry[TOTAL]);
  const int32_t start = -p->zero_point * carry[TOTAL];
  const int32_t *sums = carry + SUMS;
  if (mix.shift >= 0) {
    const lm_split_requant split = lm_split(mix.multiplier, mix.shift);
    for (int32_t i = 0; i < p->width; i++) {
      y[i] = (int16_t)lm_add_to_s16(lm_requantize_split(start + sums[i], split), 0);
    }
    return;
  }
  const int32_t shift = -mix.shift - 1;
  for (int32_t i = 0; i < p->width; i++) {
    y[i] = (int16_t)lm_scale_s16((start + sums[i]) * 2, mix.multiplier, shift, 1 << shift);
  }
}

void lm_attend_inputs_s16_s16_dsp(const lm_attend_inputs *p, lm_wide_rows u, int32_t rows,
                                  const lm_block *x, void *scratch, int16_t *y,
                                  int32_t y_stride) {
  const int32_t all = rows * p->heads;
  chunk queries = {.u = u, .carry = x->carry};
  for (; queries.first < all; queries.first += queries.count) {
    queries.count = lm_min(QUERIES, all - queries.first);
    for (int32_t token = 0; token < x->rows; token += TOKENS) {
      const lm_rows block = {x->x.data + token * x->x.stride, x->x.stride};
      add_tokens(p, &queries, block, lm_min(TOKENS, x->rows - token), x->first + token == 0,
                 scratch);
    }
    if (x->first + x->rows < x->tokens) continue;
    for (int32_t i = 0; i < queries.count; i++) {
      const query one = query_of(p, &queries, i);
      const int32_t row = (queries.first + i) / p->heads;
      finish(p, one.carry, y + row * y_stride + one.head * p->width);
    }
  }
}
