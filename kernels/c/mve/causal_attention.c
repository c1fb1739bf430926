/* SPDX-License-Identifier: Apache-2.0
 * causal_attention.c for Helium: two heads at a time that share keys and values. Scores of a key of at
 * most 16 columns are an instruction a head; weights and sums over values take 16 keys an instruction.
 * A head that shares with none is its own neighbour where that costs next to nothing. */
#include "../kernels.h"
#include "mve.h"

enum { LANES = 16, COLUMNS = 16, QUAD = 4 };

/* What two heads have in scratch, each from a multiple of 16 bytes behind the other's. */
typedef struct {
  int8_t *weights[2]; /* (keys), and 16 bytes behind them; scores before they are weights */
  int32_t *dots;      /* (keys, 2), and those of 8 keys behind them */
} workspace;

static workspace workspace_of(void *scratch, int32_t count) {
  const int32_t bytes = (count + 2 * LANES - 1) & -LANES;
  int8_t *const first = scratch;
  return (workspace){{first, first + bytes}, (int32_t *)(void *)(first + 2 * bytes)};
}

/* dots (count, 2) of queries a and b with keys of at most 16 columns: 8 instructions a key. */
LM_NOINLINE static void dot_keys(const int8_t *a, const int8_t *b, int32_t width,
                                 const int8_t *key, int32_t stride, int32_t count,
                                 int32_t *dots) {
  int32_t sum_a, sum_b;
  __asm volatile(
      "vctp.8 %[width]\n\t"
      "vpstt\n\t"
      "vldrbt.u8 q0, [%[a]]\n\t"
      "vldrbt.u8 q1, [%[b]]\n\t"
      "wls lr, %[count], 1f\n"
      "2:\n\t"
      "vpst\n\t"
      "vldrbt.u8 q2, [%[key]]\n\t"
      "add %[key], %[key], %[stride]\n\t"
      "vmladav.s8 %[sum_a], q2, q0\n\t"
      "vmladav.s8 %[sum_b], q2, q1\n\t"
      "strd %[sum_a], %[sum_b], [%[dots]], #8\n\t"
      "le lr, 2b\n"
      "1:"
      : [sum_a] "=&Te"(sum_a), [sum_b] "=&Te"(sum_b), [key] "+&r"(key), [dots] "+&r"(dots)
      : [a] "r"(a), [b] "r"(b), [width] "r"(width), [stride] "r"(stride), [count] "r"(count)
      : "q0", "q1", "q2", "lr", LM_PREDICATE "memory");
}

/* The same of 16 columns, two keys at a time: 10 instructions for them. */
LM_NOINLINE static void dot_pairs_of_keys(const int8_t *a, const int8_t *b, const int8_t *key,
                                          int32_t stride, int32_t pairs, int32_t *dots) {
  int32_t sum_a, sum_b, next_a, next_b;
  __asm volatile(
      "vldrb.8 q0, [%[a]]\n\t"
      "vldrb.8 q1, [%[b]]\n\t"
      "wls lr, %[pairs], 1f\n"
      "2:\n\t"
      "vldrb.8 q2, [%[key]]\n\t"
      "add %[key], %[key], %[stride]\n\t"
      "vmladav.s8 %[sum_a], q2, q0\n\t"
      "vldrb.8 q3, [%[key]]\n\t"
      "vmladav.s8 %[sum_b], q2, q1\n\t"
      "add %[key], %[key], %[stride]\n\t"
      "vmladav.s8 %[next_a], q3, q0\n\t"
      "strd %[sum_a], %[sum_b], [%[dots]], #16\n\t"
      "vmladav.s8 %[next_b], q3, q1\n\t"
      "strd %[next_a], %[next_b], [%[dots], #-8]\n\t"
      "le lr, 2b\n"
      "1:"
      : [sum_a] "=&Te"(sum_a), [sum_b] "=&Te"(sum_b), [next_a] "=&Te"(next_a),
        [next_b] "=&Te"(next_b), [key] "+&r"(key), [dots] "+&r"(dots)
      : [a] "r"(a), [b] "r"(b), [stride] "r"(stride), [pairs] "r"(pairs)
      : "q0", "q1", "q2", "q3", "lr", "memory");
}

/* Of 8 columns, aligned to words, four keys at a time, two in a register: 16 instructions for them. */
LM_NOINLINE static void dot_quads_of_keys(const int8_t *a, const int8_t *b, const int8_t *key,
                                          int32_t stride, int32_t quads, int32_t *dots) {
  const uint32_t words[3][4] = {
      {0, 4, (uint32_t)stride, (uint32_t)stride + 4},
      {0, 4, 16, 16}, /* the query, then zeros */
      {16, 16, 0, 4},
  };
  int8_t queries[2][24] = {{0}, {0}};
  __builtin_memcpy(queries[0], a, 8);
  __builtin_memcpy(queries[1], b, 8);
  int32_t sum_a, sum_b, next_a, next_b;
  __asm volatile(
      "vldrw.32 q6, [%[words], #16]\n\t"
      "vldrw.32 q7, [%[words], #32]\n\t"
      "vldrw.u32 q0, [%[queries], q6]\n\t"
      "vldrw.u32 q2, [%[queries], q7]\n\t"
      "add %[queries], %[queries], #24\n\t"
      "vldrw.u32 q1, [%[queries], q6]\n\t"
      "vldrw.u32 q3, [%[queries], q7]\n\t"
      "vldrw.32 q6, [%[words]]\n\t"
      "vadd.i32 q7, q6, %[step]\n\t"
      "wls lr, %[quads], 1f\n"
      "2:\n\t"
      "vldrw.u32 q4, [%[key], q6]\n\t"
      "vmladav.s8 %[sum_a], q4, q0\n\t"
      "vmladav.s8 %[sum_b], q4, q1\n\t"
      "vldrw.u32 q5, [%[key], q7]\n\t"
      "vmladav.s8 %[next_a], q4, q2\n\t"
      "vmladav.s8 %[next_b], q4, q3\n\t"
      "strd %[sum_a], %[sum_b], [%[dots]], #32\n\t"
      "add %[key], %[key], %[step], lsl #1\n\t"
      "vmladav.s8 %[sum_a], q5, q0\n\t"
      "strd %[next_a], %[next_b], [%[dots], #-24]\n\t"
      "vmladav.s8 %[sum_b], q5, q1\n\t"
      "vmladav.s8 %[next_a], q5, q2\n\t"
      "strd %[sum_a], %[sum_b], [%[dots], #-16]\n\t"
      "vmladav.s8 %[next_b], q5, q3\n\t"
      "strd %[next_a], %[next_b], [%[dots], #-8]\n\t"
      "le lr, 2b\n"
      "1:"
      : [sum_a] "=&Te"(sum_a), [sum_b] "=&Te"(sum_b), [next_a] "=&Te"(next_a),
        [next_b] "=&Te"(next_b), [key] "+&r"(key), [dots] "+&r"(dots)
      : [words] "r"(words), [queries] "r"(queries), [step] "r"(2 * stride), [quads] "r"(quads)
      : "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "lr", "memory");
}

/* A key of any width and one head, as both. */
LM_NOINLINE static void dot_single(const int8_t *a, const int8_t *key, int32_t width,
                                   int32_t dots[2]) {
  int32_t sum;
  __asm volatile(
      "mov %[sum], #0\n\t"
      "wlstp.8 lr, %[n], 1f\n"
      "2:\n\t"
      "vldrb.8 q0, [%[a]], #16\n\t"
      "vldrb.8 q1, [%[key]], #16\n\t"
      "vmladava.s8 %[sum], q0, q1\n\t"
      "letp lr, 2b\n"
      "1:"
      : [sum] "=&Te"(sum), [a] "+&r"(a), [key] "+&r"(key)
      : [n] "r"(width)
      : "q0", "q1", "lr", "memory");
  dots[0] = sum;
  dots[1] = sum;
}

/* A key of any width. */
LM_NOINLINE static void dot_wide(const int8_t *a, const int8_t *b, const int8_t *key,
                                 int32_t width, int32_t dots[2]) {
  int32_t sum_a, sum_b;
  __asm volatile(
      "mov %[sum_a], #0\n\t"
      "mov %[sum_b], #0\n\t"
      "wlstp.8 lr, %[n], 1f\n"
      "2:\n\t"
      "vldrb.8 q0, [%[key]], #16\n\t"
      "vldrb.8 q1, [%[a]], #16\n\t"
      "vmladava.s8 %[sum_a], q0, q1\n\t"
      "vldrb.8 q2, [%[b]], #16\n\t"
      "vmladava.s8 %[sum_b], q0, q2\n\t"
      "letp lr, 2b\n"
      "1:"
      : [sum_a] "=&Te"(sum_a), [sum_b] "=&Te"(sum_b), [a] "+&r"(a), [b] "+&r"(b),
        [key] "+&r"(key)
      : [n] "r"(width)
      : "q0", "q1", "q2", "lr", "memory");
  dots[0] = sum_a;
  dots[1] = sum_b;
}

static bool are_words(lm_rows rows) {
  return (((uintptr_t)rows.data | (uint32_t)rows.stride) & 3u) == 0;
}

static void dot_all(const int8_t *a, const int8_t *b, int32_t width, lm_rows k, int32_t count,
                    int32_t *dots) {
  int32_t done = 0;
  if (width > LANES) {
    for (int32_t key = 0; key < count; key++) {
      const int8_t *at = k.data + key * k.stride;
      if (a == b) dot_single(a, at, width, dots + 2 * key);
      else dot_wide(a, b, at, width, dots + 2 * key);
    }
    return;
  }
  if (width == 8 && are_words(k)) {
    done = count & ~3;
    dot_quads_of_keys(a, b, k.data, k.stride, count >> 2, dots);
  } else if (width == LANES) {
    done = count & ~1;
    dot_pairs_of_keys(a, b, k.data, k.stride, count >> 1, dots);
  }
  dot_keys(a, b, width, k.data + done * k.stride, k.stride, count - done, dots + 2 * done);
}

/* scores = clamp8(dots * multiplier / 2^32) of both heads, 8 keys at a time, 19 instructions for the
 * 16 of them; the largest of each before its clamp. What stands for keys behind the last is the
 * smallest. */
LM_NOINLINE static void scale_scores(const int32_t *dots, int32_t count,
                                     const int32_t multipliers[2], int8_t *const scores[2],
                                     int32_t largest[2]) {
  int32_t largest_a = INT16_MIN, largest_b = INT16_MIN;
  int8_t *scores_a = scores[0], *scores_b = scores[1];
  __asm volatile(
      "vdup.32 q4, %[multiplier_a]\n\t"
      "vdup.32 q5, %[multiplier_b]\n\t"
      "vmov.i32 q6, #0x80000000\n\t"
      "vstrw.32 q6, [%[end]]\n\t"
      "vstrw.32 q6, [%[end], #16]\n\t"
      "vstrw.32 q6, [%[end], #32]\n\t"
      "vstrw.32 q6, [%[end], #48]\n\t"
      "dls lr, %[turns]\n"
      "2:\n\t" /* even keys of a, of b, odd ones of a, of b */
      "vld40.32 {q0, q1, q2, q3}, [%[dots]]\n\t"
      "vld41.32 {q0, q1, q2, q3}, [%[dots]]\n\t"
      "vld42.32 {q0, q1, q2, q3}, [%[dots]]\n\t"
      "vld43.32 {q0, q1, q2, q3}, [%[dots]]!\n\t"
      "vrmulh.s32 q0, q0, q4\n\t"
      "vrmulh.s32 q2, q2, q4\n\t"
      "vqmovnb.s32 q0, q0\n\t"
      "vrmulh.s32 q1, q1, q5\n\t"
      "vqmovnt.s32 q0, q2\n\t"
      "vrmulh.s32 q3, q3, q5\n\t"
      "vqmovnb.s32 q1, q1\n\t"
      "vmaxv.s16 %[largest_a], q0\n\t"
      "vqmovnt.s32 q1, q3\n\t"
      "vqmovnb.s16 q0, q0\n\t"
      "vmaxv.s16 %[largest_b], q1\n\t"
      "vstrb.16 q0, [%[scores_a]], #8\n\t"
      "vqmovnb.s16 q1, q1\n\t"
      "vstrb.16 q1, [%[scores_b]], #8\n\t"
      "le lr, 2b"
      : [dots] "+&r"(dots), [scores_a] "+&l"(scores_a), [scores_b] "+&l"(scores_b),
        [largest_a] "+&r"(largest_a), [largest_b] "+&r"(largest_b)
      : [multiplier_a] "r"(multipliers[0]), [multiplier_b] "r"(multipliers[1]),
        [end] "r"(dots + 2 * count), [turns] "r"((count + 7) >> 3)
      : "q0", "q1", "q2", "q3", "q4", "q5", "q6", "lr", "memory");
  largest[0] = lm_clamp(largest_a, INT8_MIN, INT8_MAX);
  largest[1] = lm_clamp(largest_b, INT8_MIN, INT8_MAX);
}

/* weights = table[largest - scores], in place, and zeros behind them; returns their sum: 6
 * instructions for 16. */
LM_NOINLINE static int32_t weigh(const uint8_t *table, int8_t *weights, int32_t count,
                                 int32_t largest) {
  int32_t sum;
  const int8_t *end = weights + count;
  __asm volatile(
      "vdup.8 q1, %[largest]\n\t"
      "mov %[sum], #0\n\t"
      "wlstp.8 lr, %[n], 1f\n"
      "2:\n\t"
      "vldrb.8 q0, [%[weights]]\n\t"
      "vsub.i8 q0, q1, q0\n\t"
      "vldrb.u8 q2, [%[table], q0]\n\t"
      "vaddva.u8 %[sum], q2\n\t"
      "vstrb.8 q2, [%[weights]], #16\n\t"
      "letp lr, 2b\n"
      "1:\n\t"
      "vmov.i32 q0, #0\n\t"
      "vstrb.8 q0, [%[end]]"
      : [weights] "+&r"(weights), [sum] "=&Te"(sum)
      : [largest] "r"(largest), [table] "r"(table), [n] "r"(count), [end] "r"(end)
      : "q0", "q1", "q2", "lr", "memory");
  return sum;
}

/* sums (2, COLUMNS) of both heads over all keys, and over some behind them whose weights are 0: two
 * columns, `stride` apart, of 16 keys in 9 instructions. */
LM_NOINLINE static void mix_columns(int8_t *const weights[2], int32_t blocks,
                                    const int8_t *column, int32_t stride, int32_t pairs,
                                    int32_t *sums) {
  const int8_t *a = weights[0], *b = weights[1], *next = column + stride;
  int32_t a0, a1, b0, b1;
  __asm volatile(
      "3:\n\t"
      "mov %[a0], #0\n\t"
      "mov %[a1], #0\n\t"
      "mov %[b0], #0\n\t"
      "mov %[b1], #0\n\t"
      "dls lr, %[blocks]\n"
      "2:\n\t"
      "vldrb.8 q0, [%[a]], #16\n\t"
      "vldrb.8 q2, [%[column]], #16\n\t"
      "vmladava.s8 %[a0], q0, q2\n\t"
      "vldrb.8 q1, [%[b]], #16\n\t"
      "vmladava.s8 %[b0], q1, q2\n\t"
      "vldrb.8 q3, [%[next]], #16\n\t"
      "vmladava.s8 %[a1], q0, q3\n\t"
      "vmladava.s8 %[b1], q1, q3\n\t"
      "le lr, 2b\n\t"
      "sub %[a], %[a], %[blocks], lsl #4\n\t"
      "sub %[b], %[b], %[blocks], lsl #4\n\t"
      "sub %[column], %[next], %[blocks], lsl #4\n\t"
      "strd %[b0], %[b1], [%[sums], #64]\n\t"
      "add %[column], %[column], %[stride]\n\t"
      "strd %[a0], %[a1], [%[sums]], #8\n\t"
      "add %[next], %[column], %[stride]\n\t"
      "subs %[pairs], %[pairs], #1\n\t"
      "bne 3b"
      : [a0] "=&Te"(a0), [a1] "=&Te"(a1), [b0] "=&Te"(b0), [b1] "=&Te"(b1), [a] "+&r"(a),
        [b] "+&r"(b), [column] "+&r"(column), [next] "+&r"(next), [sums] "+&r"(sums),
        [pairs] "+&r"(pairs)
      : [blocks] "r"(blocks), [stride] "r"(stride)
      : "q0", "q1", "q2", "q3", "lr", "cc", "memory");
}

/* The same of one head and four columns: 10 instructions. */
LM_NOINLINE static void mix_quad(const int8_t *weights, int32_t blocks,
                                 const int8_t *const columns[QUAD], int32_t sums[QUAD]) {
  const int8_t *c0 = columns[0], *c1 = columns[1], *c2 = columns[2], *c3 = columns[3];
  int32_t s0, s1, s2, s3;
  __asm volatile(
      "mov %[s0], #0\n\t"
      "mov %[s1], #0\n\t"
      "mov %[s2], #0\n\t"
      "mov %[s3], #0\n\t"
      "dls lr, %[n]\n"
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
      "le lr, 2b"
      : [s0] "=&Te"(s0), [s1] "=&Te"(s1), [s2] "=&Te"(s2), [s3] "=&Te"(s3), [c0] "+&r"(c0),
        [c1] "+&r"(c1), [c2] "+&r"(c2), [c3] "+&r"(c3), [weights] "+&r"(weights)
      : [n] "r"(blocks)
      : "q0", "q1", "q2", "lr", "memory");
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

static void mix_single(const int8_t *weights, int32_t blocks, const int8_t *column, int32_t stride,
                       int32_t columns, int32_t *sums) {
  for (int32_t first = 0; first < columns; first += QUAD) {
    const int8_t *quad[QUAD];
    for (int32_t i = 0; i < QUAD; i++) {
      quad[i] = column + lm_min(first + i, columns - 1) * stride;
    }
    mix_quad(weights, blocks, quad, sums + first);
  }
}

/* y = clamp8(requantize(sums) + zero_point): 12 instructions for four. */
LM_NOINLINE static void finish_columns(const int32_t *sums, int32_t count, lm_requant mix,
                                       int32_t zero_point, int8_t *y) {
  __asm volatile(
      "vdup.32 q1, %[right]\n\t"
      "wlstp.32 lr, %[n], 1f\n"
      "2:\n\t"
      "vldrw.32 q0, [%[sums]], #16\n\t"
      "vshl.s32 q0, %[left]\n\t"
      "vqrdmulh.s32 q0, q0, %[multiplier]\n\t" LM_ROUNDING_SHIFT_Q0_BY_Q1
      "vqadd.s32 q0, q0, %[zero_point]\n\t"
      "vqmovnb.s32 q0, q0\n\t"
      "vqmovnb.s16 q0, q0\n\t"
      "vstrb.32 q0, [%[y]], #4\n\t"
      "letp lr, 2b\n"
      "1:"
      : [sums] "+&r"(sums), [y] "+&l"(y)
      : [n] "r"(count), [left] "r"(lm_max(mix.shift, 0)), [right] "r"(lm_min(mix.shift, 0)),
        [multiplier] "r"(mix.multiplier), [zero_point] "r"(zero_point)
      : "q0", "q1", "q2", "lr", "memory");
}

/* Two heads, or one. */
typedef struct {
  int32_t heads;
  int32_t head[2];
  lm_rows k; /* (tokens, head_width) */
  lm_rows v; /* (value_width, tokens) */
} head_pair;

static void mix_values(const lm_causal_attention *p, const head_pair *pair,
                       int8_t *const weights[2], int32_t count, const int32_t totals[2],
                       int8_t *y) {
  const int32_t blocks = (count + LANES - 1) / LANES, stride = pair->v.stride;
  lm_requant mix[2];
  for (int32_t i = 0; i < pair->heads; i++) mix[i] = lm_divide_requant(p->mix, totals[i]);
  for (int32_t first = 0; first < p->value_width; first += COLUMNS) {
    const int32_t columns = lm_min(COLUMNS, p->value_width - first);
    const int8_t *column = pair->v.data + first * stride;
    const int32_t even = columns & ~1;
    int32_t sums[2 * COLUMNS];
    if (pair->heads == 1) {
      mix_single(weights[0], blocks, column, stride, columns, sums);
    } else {
      if (even > 0) mix_columns(weights, blocks, column, stride, even / 2, sums);
      if (even < columns) { /* the last column twice */
        mix_columns(weights, blocks, column + even * stride, 0, 1, sums + even);
      }
    }
    for (int32_t i = 0; i < pair->heads; i++) {
      finish_columns(sums + i * COLUMNS, columns, mix[i], p->zero_point,
                     y + pair->head[i] * p->value_width + first);
    }
  }
}

static void attend(const lm_causal_attention *p, const head_pair *pair, const workspace *own,
                   int32_t count, const int8_t *q, int8_t *y) {
  const int32_t width = p->head_width, a = pair->head[0], b = pair->head[1];
  const int32_t multipliers[2] = {p->score_multipliers[a], p->score_multipliers[b]};
  int32_t largest[2], totals[2];
  dot_all(q + a * width, q + b * width, width, pair->k, count, own->dots);
  scale_scores(own->dots, count, multipliers, own->weights, largest);
  for (int32_t i = 0; i < pair->heads; i++) {
    const uint8_t *table = p->exp_tables + pair->head[i] * 256;
    totals[i] = weigh(table, own->weights[i], count, largest[i]);
  }
  mix_values(p, pair, own->weights, count, totals, y);
}

void lm_causal_attention_s8_s8_mve(const lm_causal_attention *p, const lm_causal_tile *tile,
                                   int8_t *y, int32_t y_stride) {
  const int32_t sharing = p->heads / p->key_value_heads;
  for (int32_t row = 0; row < tile->rows; row++) {
    const int32_t count = tile->row_start + row + 1;
    const workspace own = workspace_of(tile->scratch, count);
    const int8_t *const q = tile->q.data + row * tile->q.stride;
    for (int32_t shared = 0; shared < p->key_value_heads; shared++) {
      const lm_rows k = {tile->k.data + shared * p->head_width, tile->k.stride};
      const lm_rows v = {tile->v.data + shared * p->value_width * tile->v.stride,
                         tile->v.stride};
      for (int32_t i = 0; i < sharing; i += 2) {
        const int32_t first = shared * sharing + i;
        const bool has_second = i + 1 < sharing;
        const head_pair pair = {
            has_second ? 2 : 1, {first, has_second ? first + 1 : first}, k, v};
        attend(p, &pair, &own, count, q, y + row * y_stride);
      }
    }
  }
}
