/* SPDX-License-Identifier: Apache-2.0
 * causal_attention.c with SMLAD: two heads at a time that share keys and values, and two rows of
 * bytes: scores of two keys, then outputs of two columns. What is left over is a single head. */
#include "../kernels.h"
#include "causal_single.h"
#include "dsp.h"

/* What heads a and b multiply: for each four bytes those that meet 0 and 2, then 1 and 3. */
typedef struct {
  uint32_t a_even, b_even, a_odd, b_odd;
} quad_pairs;

typedef struct {
  int32_t a0, a1, b0, b1;
} sums;

/* Four bytes of each of two rows times both heads, 16 instructions for 16 products. LOAD: the words
 * in k0 and k1; NEXT: a pair of words of the heads. FIRST begins the sums. */
#define LM_HALF(widened, SUM)                                              \
  "sxtb16 %[t], %[k0]" widened "\n\t"                                      \
  SUM("a0", "q0") SUM("b0", "q1")                                          \
  "sxtb16 %[t], %[k1]" widened "\n\t"                                      \
  SUM("a1", "q0") SUM("b1", "q1")
#define LM_FIRST(sum, q) "smuad %[" sum "], %[t], %[" q "]\n\t"
#define LM_ADD(sum, q) "smlad %[" sum "], %[t], %[" q "], %[" sum "]\n\t"
#define LM_QUAD_AT(offset, pairs, more, SUM)            \
  "ldr %[k0], [%[row0], #" offset "]\n\t"               \
  "ldr %[k1], [%[row1], #" offset "]\n\t"               \
  "ldrd %[q0], %[q1], [%[pairs], #" pairs "]\n\t"       \
  LM_HALF("", SUM)                                      \
  "ldrd %[q0], %[q1], [%[pairs], #" more "]\n\t"        \
  LM_HALF(", ror #8", LM_ADD)
#define LM_NEXT_QUAD                          \
  "ldr %[k0], [%[row0]], #4\n\t"              \
  "ldr %[k1], [%[row1]], #4\n\t"              \
  "ldrd %[q0], %[q1], [%[pairs]], #8\n\t"     \
  LM_HALF("", LM_ADD)                         \
  "ldrd %[q0], %[q1], [%[pairs]], #8\n\t"     \
  LM_HALF(", ror #8", LM_ADD)
#define LM_TEMPORARIES(s)                                                                  \
  [k0] "=&r"(k0), [k1] "=&r"(k1), [t] "=&r"(t), [q0] "=&r"(q0), [q1] "=&r"(q1),             \
      [a0] "=&r"(s.a0), [a1] "=&r"(s.a1), [b0] "=&r"(s.b0), [b1] "=&r"(s.b1)

__attribute__((always_inline)) static inline sums two_quads(const int8_t *row0,
                                                            const int8_t *row1,
                                                            const quad_pairs *pairs) {
  sums s;
  uint32_t k0, k1, t, q0, q1;
  __asm volatile(LM_QUAD_AT("0", "0", "8", LM_FIRST) LM_QUAD_AT("4", "16", "24", LM_ADD)
                 : LM_TEMPORARIES(s)
                 : [row0] "r"(row0), [row1] "r"(row1), [pairs] "r"(pairs)
                 : "memory");
  return s;
}

__attribute__((always_inline)) static inline sums four_quads(const int8_t *row0,
                                                             const int8_t *row1,
                                                             const quad_pairs *pairs) {
  sums s;
  uint32_t k0, k1, t, q0, q1;
  __asm volatile(LM_QUAD_AT("0", "0", "8", LM_FIRST) LM_QUAD_AT("4", "16", "24", LM_ADD)
                     LM_QUAD_AT("8", "32", "40", LM_ADD) LM_QUAD_AT("12", "48", "56", LM_ADD)
                 : LM_TEMPORARIES(s)
                 : [row0] "r"(row0), [row1] "r"(row1), [pairs] "r"(pairs)
                 : "memory");
  return s;
}

/* Up to `end`, at least one. */
__attribute__((noinline)) static void some_quads(const int8_t *row0, const int8_t *row1,
                                                 const quad_pairs *pairs, const quad_pairs *end,
                                                 sums *result) {
  sums s;
  uint32_t k0, k1, t, q0, q1;
  if ((end - pairs) & 1) {
    __asm volatile(LM_QUAD_AT("0", "0", "8", LM_FIRST)
                   : LM_TEMPORARIES(s)
                   : [row0] "r"(row0), [row1] "r"(row1), [pairs] "r"(pairs)
                   : "memory");
    row0 += 4;
    row1 += 4;
    pairs++;
  } else {
    s = (sums){0, 0, 0, 0};
  }
  if (pairs != end) {
    __asm volatile("1:\n\t" LM_NEXT_QUAD LM_NEXT_QUAD
                   "cmp %[pairs], %[end]\n\t"
                   "bne 1b"
                   : [k0] "=&r"(k0), [k1] "=&r"(k1), [t] "=&r"(t), [q0] "=&r"(q0),
                     [q1] "=&r"(q1), [a0] "+&r"(s.a0), [a1] "+&r"(s.a1), [b0] "+&r"(s.b0),
                     [b1] "+&r"(s.b1), [row0] "+&r"(row0), [row1] "+&r"(row1),
                     [pairs] "+&r"(pairs)
                   : [end] "r"(end)
                   : "cc", "memory");
  }
  *result = s;
}

static inline quad_pairs widened(uint32_t a, uint32_t b) {
  return (quad_pairs){lm_widen_even(a), lm_widen_even(b), lm_widen_odd(a), lm_widen_odd(b)};
}

/* Both heads' queries; what is missing of the last quad is 0. */
static void widen_queries(const int8_t *a, const int8_t *b, int32_t width, quad_pairs *to) {
  int32_t i = 0;
  for (; i + 4 <= width; i += 4) *to++ = widened(lm_load4(a + i), lm_load4(b + i));
  if (i == width) return;
  uint32_t last[2] = {0, 0};
  for (int32_t at = 0; i < width; i++, at += 8) {
    last[0] |= (uint32_t)(uint8_t)a[i] << at;
    last[1] |= (uint32_t)(uint8_t)b[i] << at;
  }
  *to = widened(last[0], last[1]);
}

typedef struct {
  const quad_pairs *queries;
  const int8_t *keys;
  int32_t stride;
  int32_t width;
  int32_t count; /* of keys */
  int32_t multiplier_a, multiplier_b;
} score_request;

/* Bytes a0, b0, a1, b1. */
static inline uint32_t scores_of(sums s, int32_t multiplier_a, int32_t multiplier_b) {
  const int32_t a0 = lm_score(s.a0, multiplier_a), a1 = lm_score(s.a1, multiplier_a);
  const int32_t b0 = lm_score(s.b0, multiplier_b), b1 = lm_score(s.b1, multiplier_b);
  uint32_t joined = (uint32_t)a0, other = (uint32_t)a1;
  __asm("bfi %0, %2, #8, #8\n\tbfi %1, %3, #8, #8\n\tpkhbt %0, %0, %1, lsl #16"
        : "+&r"(joined), "+&r"(other)
        : "r"(b0), "r"(b1));
  return joined;
}

/* scores[2 * key + head] of all keys but an odd last one; width is a multiple of 4. */
#define SCORE_KEYS(name, SUM)                                                                   \
  __attribute__((noinline)) static void name(const score_request *p, uint32_t *scores) {        \
    const int32_t step = 2 * p->stride;                                                         \
    const int8_t *key0 = p->keys, *key1 = key0 + p->stride;                                     \
    for (uint32_t *const end = scores + p->count / 2; scores != end; scores++) {                \
      sums s;                                                                                   \
      SUM;                                                                                      \
      *scores = scores_of(s, p->multiplier_a, p->multiplier_b);                                 \
      key0 += step;                                                                             \
      key1 += step;                                                                             \
    }                                                                                           \
  }

SCORE_KEYS(score_width_8, s = two_quads(key0, key1, p->queries))
SCORE_KEYS(score_width_16, s = four_quads(key0, key1, p->queries))
SCORE_KEYS(score_width, some_quads(key0, key1, p->queries, p->queries + p->width / 4, &s))

/* Any width, key by key from `first` on. */
static void score_rest(const score_request *p, const int8_t *a, const int8_t *b, int32_t first,
                       int8_t *scores) {
  for (int32_t key = first; key < p->count; key++) {
    const int8_t *k = p->keys + key * p->stride;
    int32_t sum_a = 0, sum_b = 0;
    for (int32_t i = 0; i < p->width; i++) {
      sum_a += a[i] * k[i];
      sum_b += b[i] * k[i];
    }
    scores[2 * key] = (int8_t)lm_score(sum_a, p->multiplier_a);
    scores[2 * key + 1] = (int8_t)lm_score(sum_b, p->multiplier_b);
  }
}

/* The largest score of each head, twice: as bytes a, b, a, b. */
static uint32_t largest_scores(const int8_t *scores, int32_t count) {
  uint32_t largest = 0x80808080u;
  int32_t i = 0;
  for (; i + 4 <= 2 * count; i += 4) largest = lm_max_s8x4(largest, lm_load4(scores + i));
  if (i < 2 * count) {
    const uint32_t pair = (uint8_t)scores[i] | (uint32_t)(uint8_t)scores[i + 1] << 8;
    largest = lm_max_s8x4(largest, pair | pair << 16);
  }
  return lm_max_s8x4(largest, largest << 16 | largest >> 16);
}

typedef struct {
  int32_t a, b;
} totals;

/* Weights of four keys a quad, 0 behind the last key; returns their sums. */
static totals weigh(const uint8_t *table_a, const uint8_t *table_b, const int8_t *scores,
                    int32_t count, quad_pairs *weights) {
  const uint32_t largest = largest_scores(scores, count);
  const uint32_t ones = 0x00010001u;
  totals total = {0, 0};
  int32_t key = 0;
  for (; key + 4 <= count; key += 4, weights++) {
    const uint32_t first = lm_subtract_u8x4(largest, lm_load4(scores + 2 * key));
    const uint32_t second = lm_subtract_u8x4(largest, lm_load4(scores + 2 * key + 4));
    const uint32_t a_even = table_a[first & 255u] | (uint32_t)table_a[second & 255u] << 16;
    const uint32_t b_even =
        table_b[first >> 8 & 255u] | (uint32_t)table_b[second >> 8 & 255u] << 16;
    const uint32_t a_odd =
        table_a[first >> 16 & 255u] | (uint32_t)table_a[second >> 16 & 255u] << 16;
    const uint32_t b_odd = table_b[first >> 24] | (uint32_t)table_b[second >> 24] << 16;
    total.a = lm_smlad(a_odd, ones, lm_smlad(a_even, ones, total.a));
    total.b = lm_smlad(b_odd, ones, lm_smlad(b_even, ones, total.b));
    *weights = (quad_pairs){a_even, b_even, a_odd, b_odd};
  }
  if (key == count) return total;
  uint32_t a[4] = {0, 0, 0, 0}, b[4] = {0, 0, 0, 0};
  for (int32_t i = 0; key + i < count; i++) {
    a[i] = table_a[(uint8_t)(largest - (uint8_t)scores[2 * (key + i)])];
    b[i] = table_b[(uint8_t)((largest >> 8) - (uint8_t)scores[2 * (key + i) + 1])];
    total.a += (int32_t)a[i];
    total.b += (int32_t)b[i];
  }
  *weights = (quad_pairs){a[0] | a[2] << 16, b[0] | b[2] << 16, a[1] | a[3] << 16,
                          b[1] | b[3] << 16};
  return total;
}

static inline int8_t output_of(const lm_causal_attention *p, lm_requant mix, int32_t sum) {
  const int32_t scaled = lm_requantize_split(sum, lm_split(mix.multiplier, mix.shift));
  return (int8_t)lm_add_to_s8(scaled, p->zero_point);
}

typedef struct {
  const quad_pairs *weights;
  int32_t quads;
  lm_rows v; /* (value_width, tokens) */
  totals total;
} mix_request;

static void mix_values(const lm_causal_attention *p, const mix_request *m, int8_t *y_a,
                       int8_t *y_b) {
  const lm_requant mix_a = lm_divide_requant(p->mix, m->total.a);
  const lm_requant mix_b = lm_divide_requant(p->mix, m->total.b);
  const quad_pairs *const end = m->weights + m->quads;
  const int32_t width = p->value_width;
  for (int32_t column = 0; column < width; column += 2) {
    const int32_t next = lm_min(column + 1, width - 1);
    sums s;
    some_quads(m->v.data + column * m->v.stride, m->v.data + next * m->v.stride, m->weights, end,
               &s);
    y_a[column] = output_of(p, mix_a, s.a0);
    y_b[column] = output_of(p, mix_b, s.b0);
    if (next == column) return;
    y_a[next] = output_of(p, mix_a, s.a1);
    y_b[next] = output_of(p, mix_b, s.b1);
  }
}

/* Heads `a` and `b` of row `row`. */
static void attend(const lm_causal_attention *p, const lm_causal_tile *tile, int32_t row,
                   int32_t a, int32_t b, int8_t *y) {
  const int32_t shared = a / (p->heads / p->key_value_heads);
  const int32_t count = tile->row_start + row + 1;
  const int32_t width = p->head_width;
  const int8_t *q = tile->q.data + row * tile->q.stride;
  quad_pairs *const queries = tile->scratch;
  quad_pairs *const weights = queries + (width + 3) / 4;
  uint32_t *const pairs_of_scores = (uint32_t *)(weights + (count + 3) / 4);
  int8_t *const scores = (int8_t *)pairs_of_scores;
  widen_queries(q + a * width, q + b * width, width, queries);
  const score_request request = {
      queries, tile->k.data + shared * width, tile->k.stride,          width,
      count,   p->score_multipliers[a],       p->score_multipliers[b],
  };
  const bool is_whole = width % 4 == 0;
  if (width == 8) score_width_8(&request, pairs_of_scores);
  else if (width == 16) score_width_16(&request, pairs_of_scores);
  else if (is_whole) score_width(&request, pairs_of_scores);
  score_rest(&request, q + a * width, q + b * width, is_whole ? count & ~1 : 0, scores);
  const totals total = weigh(p->exp_tables + a * 256, p->exp_tables + b * 256, scores, count,
                             weights);
  const int8_t *v = tile->v.data + shared * p->value_width * tile->v.stride;
  const mix_request mix = {weights, (count + 3) / 4, {v, tile->v.stride}, total};
  mix_values(p, &mix, y + a * p->value_width, y + b * p->value_width);
}

void lm_causal_attention_s8_s8_dsp(const lm_causal_attention *p, const lm_causal_tile *tile,
                                   int8_t *y, int32_t y_stride) {
  const int32_t sharing = p->heads / p->key_value_heads;
  for (int32_t row = 0; row < tile->rows; row++) {
    for (int32_t first = 0; first < p->heads; first += sharing) {
      int8_t *const to = y + row * y_stride;
      int32_t i = 0;
      for (; i + 2 <= sharing; i += 2) attend(p, tile, row, first + i, first + i + 1, to);
      if (i == sharing) continue;
      lm_attend_single(p, tile, row, first + i, to + (first + i) * p->value_width);
    }
  }
}
