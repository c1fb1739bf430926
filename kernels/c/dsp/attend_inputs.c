/* SPDX-License-Identifier: Apache-2.0
 * attend_inputs.c for the DSP extension, a block of 16 tokens for a chunk of queries at a time: the
 * scores of four queries a token, then the weighted sums of two queries by four columns of the block,
 * widened once for all queries. A query is a row's u of one head.
 *
 * Scratch: the widened columns, the weights of the chunk, and four queries in the order of SXTB16. */
#include <stddef.h>

#include "../kernels.h"
#include "dsp.h"

enum {
  TOKENS = LM_ATTEND_BLOCK,
  PAIRS = TOKENS / 2,
  QUERIES = 32, /* of a chunk: a multiple of 4 */
  COLUMNS = 16, /* that a turn of the scores takes */
};

/* What is carried of a query. */
enum { LARGEST, TOTAL, SUMS };

/* The assembly knows the offsets in the blocks. It saves registers there, for no compiler counts what
 * assembly pushes. */
#define SAVE_REGISTERS(offset) "add r12, r0, #" offset "\n\tstm r12, {r4-r11, lr}\n\t"
#define RETURN(offset) "add r0, lr, #" offset "\n\tldm r0, {r4-r11, pc}"

typedef struct {
  uint32_t zero_points;  /* 0: twice -zero_point */
  int32_t first_turn;    /* 4: turns of the first round of four; 4 for all */
  const uint32_t *u;     /* 8: (columns / 4, 2, 4 queries) pairs: columns 0 and 2, 1 and 3 */
  const uint32_t *u_end; /* 12 */
  const int8_t *x;       /* 16 */
  int32_t gap;           /* 20: from the end of a token's columns to the next token */
  int32_t *sums;         /* 24: (tokens, 4 queries) */
  int32_t *sums_end;     /* 28 */
  uint32_t saved[9];     /* 32 */
} score_block;

/* Registers: r4 ... r7 sums; r8 ... r11 queries; r2 of these the next, r3 of the token; r12 the zero
 * points; lr the block. */
#define SCORE_QUAD                  \
  "ldr r0, [r3], #4\n\t"            \
  "ldm r2!, {r8-r11}\n\t"           \
  "sxtab16 r1, r12, r0\n\t"         \
  "smlad r4, r1, r8, r4\n\t"        \
  "smlad r5, r1, r9, r5\n\t"        \
  "smlad r6, r1, r10, r6\n\t"       \
  "smlad r7, r1, r11, r7\n\t"       \
  "ldm r2!, {r8-r11}\n\t"           \
  "sxtab16 r1, r12, r0, ror #8\n\t" \
  "smlad r4, r1, r8, r4\n\t"        \
  "smlad r5, r1, r9, r5\n\t"        \
  "smlad r6, r1, r10, r6\n\t"       \
  "smlad r7, r1, r11, r7\n\t"

#define SCORE_TURN SCORE_QUAD SCORE_QUAD SCORE_QUAD SCORE_QUAD

/* Sums of products of tokens, at least one, and four queries over turns of 16 columns. */
__attribute__((naked, noinline)) static void score_tokens(
    score_block *block __attribute__((unused))) {
  __asm volatile(
      SAVE_REGISTERS("32")
      "mov lr, r0\n\t"
      "ldr r3, [lr, #16]\n\t"
      "ldr r12, [lr]\n"
      "1:\n\t"
      "ldrd r0, r2, [lr, #4]\n\t"
      "mov r4, #0\n\t"
      "mov r5, #0\n\t"
      "mov r6, #0\n\t"
      "mov r7, #0\n\t"
      "cmp r0, #2\n\t"
      "blt.w 6f\n\t"
      "beq.w 5f\n\t"
      "cmp r0, #3\n\t"
      "beq.w 4f\n"
      "3:\n\t" SCORE_TURN
      "4:\n\t" SCORE_TURN
      "5:\n\t" SCORE_TURN
      "6:\n\t" SCORE_TURN
      "ldr r0, [lr, #12]\n\t"
      "cmp r2, r0\n\t"
      "bne.w 3b\n\t"
      "ldrd r0, r1, [lr, #20]\n\t"
      "add r3, r3, r0\n\t"
      "stm r1!, {r4-r7}\n\t"
      "ldr r0, [lr, #28]\n\t"
      "str r1, [lr, #24]\n\t"
      "cmp r0, r1\n\t"
      "bne.w 1b\n\t"
      RETURN("32")
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

typedef char offsets_are_as_assembled[offsetof(score_block, saved) == 32 &&
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
      SAVE_REGISTERS("144")
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
      RETURN("144")
      :
      :
      : "memory");
}

/* The halves of two words that lie low, and those that lie high. */
static inline uint32_t low_halves(uint32_t a, uint32_t b) { return (a & 0xffffu) | b << 16; }

static inline uint32_t high_halves(uint32_t a, uint32_t b) { return a >> 16 | (b & 0xffff0000u); }

static inline uint32_t load_pair(const int16_t *from) {
  uint32_t pair;
  __builtin_memcpy(&pair, from, sizeof pair);
  return pair;
}

/* Queries first ... first + count - 1 of all, row by row and head by head. */
typedef struct {
  lm_wide_rows u;
  int32_t first;
  int32_t count;
  int32_t *carry; /* of the first */
} chunk;

static const int16_t *query_of(const lm_attend_inputs *p, const chunk *queries, int32_t index) {
  const int32_t query = queries->first + lm_min(index, queries->count - 1);
  const int32_t row = query / p->heads;
  return queries->u.data + row * queries->u.stride + (query - row * p->heads) * p->width;
}

/* Four queries from `first` on in the order of SXTB16. A query that is not there is the last one. */
static void order_queries(const int16_t *const u[4], int32_t columns, uint32_t *to) {
  for (int32_t i = 0; i < columns; i += 4, to += 8) {
    for (int32_t query = 0; query < 4; query++) {
      const uint32_t first = load_pair(u[query] + i);
      const uint32_t second = load_pair(u[query] + i + 2);
      to[query] = low_halves(first, second);
      to[4 + query] = high_halves(first, second);
    }
  }
}

/* sums[token][query] of four queries over all columns of the block. */
static void sum_products(const lm_attend_inputs *p, const int16_t *const u[4], lm_rows x,
                         int32_t tokens, uint32_t *ordered, int32_t sums[TOKENS][4]) {
  const int32_t columns = p->width & -COLUMNS;
  const int32_t zero_point = p->zero_point;
  if (columns > 0) {
    order_queries(u, columns, ordered);
    score_block block = {
        .zero_points = low_halves((uint32_t)-zero_point, (uint32_t)-zero_point),
        .first_turn = ((columns / COLUMNS - 1) & 3) + 1,
        .u = ordered,
        .u_end = ordered + 2 * columns,
        .x = x.data,
        .gap = x.stride - columns,
        .sums = sums[0],
        .sums_end = sums[tokens],
    };
    score_tokens(&block);
  }
  if (columns == p->width) return;
  for (int32_t token = 0; token < tokens; token++) {
    const int8_t *row = x.data + token * x.stride;
    for (int32_t query = 0; query < 4; query++) {
      int32_t sum = columns > 0 ? sums[token][query] : 0;
      for (int32_t i = columns; i < p->width; i++) sum += u[query][i] * (row[i] - zero_point);
      sums[token][query] = sum;
    }
  }
}

/* Makes what is carried relative to a larger score: x * factor in Q15, rounded. */
static void raise(int32_t factor, int32_t count, int32_t *carried) {
  for (int32_t i = 0; i < count; i++) {
    carried[i] = (int32_t)(((int64_t)carried[i] * factor + (1 << 14)) >> 15);
  }
}

/* Weights of the tokens of one query, from its column of sums: pairs of tokens, two words apart. */
static void weigh_tokens(const lm_attend_inputs *p, int32_t head, const int32_t *sums,
                         int32_t tokens, bool is_first, int32_t *carry, uint16_t *weights) {
  const lm_split_requant requant = lm_split(p->score_multipliers[head], p->score_shifts[head]);
  int32_t scores[TOKENS];
  int32_t largest = INT8_MIN;
  for (int32_t token = 0; token < tokens; token++) {
    scores[token] = lm_add_to_s8(lm_requantize_split(sums[4 * token], requant), 0);
    largest = lm_max(largest, scores[token]);
  }
  if (is_first) {
    carry[LARGEST] = largest;
    for (int32_t i = TOTAL; i < SUMS + p->width; i++) carry[i] = 0;
  } else if (largest > carry[LARGEST]) {
    raise(p->rescale_tables[head * 256 + largest - carry[LARGEST]], p->width + SUMS - TOTAL,
          carry + TOTAL);
    carry[LARGEST] = largest;
  }
  const uint8_t *exp_table = p->exp_tables + head * 256 + carry[LARGEST];
  int32_t total = carry[TOTAL];
  for (int32_t token = 0; token < TOKENS; token++) {
    const uint8_t weight = token < tokens ? exp_table[-scores[token]] : 0;
    total += weight;
    weights[4 * (token >> 1) + (token & 1)] = weight;
  }
  carry[TOTAL] = total;
}

/* Four columns of the tokens as pairs; the last token stands for those that are not there. */
static void widen_columns(const int8_t *x, int32_t stride, int32_t tokens, uint32_t to[PAIRS][4]) {
  const int8_t *last = x + (tokens - 1) * stride;
  for (int32_t pair = 0; pair < PAIRS; pair++) {
    const int8_t *next = x + stride <= last ? x + stride : last;
    const uint32_t first = lm_load4(x);
    const uint32_t second = lm_load4(next);
    const uint32_t low = low_halves(first, second);
    const uint32_t high = high_halves(first, second);
    to[pair][0] = lm_widen_even(low);
    to[pair][1] = lm_widen_odd(low);
    to[pair][2] = lm_widen_even(high);
    to[pair][3] = lm_widen_odd(high);
    x = next + stride <= last ? next + stride : last;
  }
}

/* Adds the weighted tokens to the sums of all queries of the chunk. */
static void mix_tokens(const lm_attend_inputs *p, const chunk *queries, lm_rows x, int32_t tokens,
                       const uint32_t *weights) {
  const int32_t stride = SUMS + p->width;
  const int32_t pairs = queries->count / 2;
  const int32_t columns = p->width & ~3;
  mix_block block;
  for (int32_t column = 0; column < columns; column += 4) {
    widen_columns(x.data + column, x.stride, tokens, block.x);
    block.sums = queries->carry + SUMS + column;
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
  for (int32_t query = 0; query < queries->count; query++) {
    const uint16_t *own = (const uint16_t *)(weights + query / 2 * TOKENS + query % 2);
    int32_t *sums = queries->carry + query * stride + SUMS;
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
  int32_t sums[TOKENS][4];
  for (int32_t first = 0; first < queries->count; first += 4) {
    const int16_t *const u[4] = {query_of(p, queries, first), query_of(p, queries, first + 1),
                                 query_of(p, queries, first + 2), query_of(p, queries, first + 3)};
    sum_products(p, u, x, tokens, ordered, sums);
    for (int32_t i = 0; i < lm_min(4, queries->count - first); i++) {
      const int32_t query = first + i;
      uint32_t *own = weights + query / 2 * TOKENS + query % 2;
      weigh_tokens(p, (queries->first + query) % p->heads, &sums[0][i], tokens, is_first,
                   queries->carry + query * (SUMS + p->width), (uint16_t *)own);
    }
  }
  if (queries->count & 1) {
    uint32_t *own = weights + queries->count / 2 * TOKENS;
    for (int32_t pair = 0; pair < PAIRS; pair++) own[2 * pair + 1] = own[2 * pair];
  }
  mix_tokens(p, queries, x, tokens, weights);
}

static void finish(const lm_attend_inputs *p, const int32_t *carry, int16_t *y) {
  const lm_requant divided = lm_divide_requant(p->mix, carry[TOTAL]);
  const lm_split_requant mix = lm_split(divided.multiplier, divided.shift);
  const int32_t start = -p->zero_point * carry[TOTAL];
  for (int32_t i = 0; i < p->width; i++) {
    y[i] = (int16_t)lm_add_to_s16(lm_requantize_split(start + carry[SUMS + i], mix), 0);
  }
}

void lm_attend_inputs_s16_s16_dsp(const lm_attend_inputs *p, lm_wide_rows u, int32_t rows,
                                  const lm_block *x, void *scratch, int16_t *y,
                                  int32_t y_stride) {
  const int32_t all = rows * p->heads;
  chunk queries = {.u = u, .first = 0, .carry = x->carry};
  for (; queries.first < all; queries.first += queries.count) {
    queries.count = lm_min(QUERIES, all - queries.first);
    for (int32_t token = 0; token < x->rows; token += TOKENS) {
      const lm_rows block = {x->x.data + token * x->x.stride, x->x.stride};
      add_tokens(p, &queries, block, lm_min(TOKENS, x->rows - token), x->first + token == 0,
                 scratch);
    }
    for (int32_t i = 0; i < queries.count; i++, queries.carry += SUMS + p->width) {
      if (x->first + x->rows < x->tokens) continue;
      const int32_t row = (queries.first + i) / p->heads;
      const int32_t head = queries.first + i - row * p->heads;
      finish(p, queries.carry, y + row * y_stride + head * p->width);
    }
  }
}
