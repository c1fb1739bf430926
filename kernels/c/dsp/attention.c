/* SPDX-License-Identifier: Apache-2.0
 * attention.c for the DSP extension: two query rows a, b by two keys, then by two value columns.
 * A row or key without a neighbour is its own.
 *
 * Scratch: a pair of words for each pair of keys, (key, key + 1) of row a and then of row b as
 * uint16, first the scores + 128 and then the weights; behind them the widened queries. */
#include "../kernels.h"
#include "dsp.h"

/* The query rows of a block and a head's columns of all matrices. */
typedef struct {
  const int8_t *a;
  const int8_t *b;
  lm_rows k;
  lm_rows v;
  int32_t keys_a;
  int32_t keys_b; /* at least keys_a */
} block;

static inline uint32_t score_pair(int32_t sum, int32_t next_sum, lm_split_requant requant) {
  const int32_t score = lm_add_to_u8(lm_requantize_split(sum, requant), 128);
  const int32_t next_score = lm_add_to_u8(lm_requantize_split(next_sum, requant), 128);
  return (uint32_t)score | (uint32_t)next_score << 16;
}

static void score_keys(const lm_attention *p, int32_t head, const block *rows, uint32_t *scores,
                       uint32_t *widened) {
  const lm_split_requant requant = lm_split(p->score_multipliers[head], p->score_shifts[head]);
  lm_widen_rows(rows->a, rows->b, p->head_width / 4, widened);
  for (int32_t key = 0; key < rows->keys_b; key += 2) {
    const int8_t *w = rows->k.data + key * rows->k.stride;
    const int8_t *v = key + 1 < rows->keys_b ? w + rows->k.stride : w;
    lm_sums_2x2 sums = {0, 0, 0, 0};
    for (int32_t i = p->head_width & ~3; i < p->head_width; i++) {
      sums.aw += rows->a[i] * w[i];
      sums.bw += rows->b[i] * w[i];
      sums.av += rows->a[i] * v[i];
      sums.bv += rows->b[i] * v[i];
    }
    if (p->head_width >= 4) lm_dot_2x2(widened, w, v, p->head_width / 4, &sums);
    scores[key] = score_pair(sums.aw, sums.av, requant);
    scores[key + 1] = score_pair(sums.bw, sums.bv, requant);
  }
}

/* Turns a row's scores into weights and returns their sum; `keys` to `all_keys` weigh nothing. */
static int32_t weigh_keys(const uint8_t *exp_table, uint32_t *scores, int32_t keys,
                          int32_t all_keys) {
  const int32_t odd_key = keys & ~1;
  if (keys & 1) scores[odd_key] &= 0xffffu; /* the lowest score */
  uint32_t largest = 0;
  for (int32_t key = 0; key < keys; key += 2) largest = lm_max_u16x2(largest, scores[key]);
  largest = lm_max_u16x2(largest, largest >> 16 | largest << 16);
  uint32_t total = 0;
  for (int32_t key = 0; key < keys; key += 2) {
    const uint32_t difference = largest - scores[key]; /* no half borrows */
    const uint32_t weight = exp_table[difference & 0xffffu];
    const uint32_t next_weight = exp_table[difference >> 16];
    total += weight + next_weight;
    scores[key] = weight | next_weight << 16;
  }
  if (keys & 1) {
    total -= scores[odd_key] >> 16;
    scores[odd_key] &= 0xffffu;
  }
  for (int32_t key = (keys + 1) & ~1; key < all_keys; key += 2) scores[key] = 0;
  return (int32_t)total;
}

/* The last key, where it has no neighbour. */
static inline void mix_odd_key(const block *rows, const uint32_t *weights, int32_t column,
                               lm_sums_2x2 *sums, int32_t columns) {
  const int32_t key = rows->keys_b - 1;
  const int8_t *v = rows->v.data + key * rows->v.stride + column;
  sums->aw += (int32_t)weights[key] * v[0];
  sums->bw += (int32_t)weights[key + 1] * v[0];
  if (columns < 2) return;
  sums->av += (int32_t)weights[key] * v[1];
  sums->bv += (int32_t)weights[key + 1] * v[1];
}

/* Sums of one column: the last one, where it has no neighbour. */
static lm_sums_2x2 mix_column(const block *rows, const uint32_t *weights, int32_t column) {
  lm_sums_2x2 sums = {0, 0, 0, 0};
  for (int32_t key = 0; key + 1 < rows->keys_b; key += 2) {
    const int8_t *v = rows->v.data + key * rows->v.stride + column;
    const int32_t next = v[rows->v.stride];
    sums.aw += (int32_t)(weights[key] & 0xffffu) * v[0] + (int32_t)(weights[key] >> 16) * next;
    sums.bw +=
        (int32_t)(weights[key + 1] & 0xffffu) * v[0] + (int32_t)(weights[key + 1] >> 16) * next;
  }
  if (rows->keys_b & 1) mix_odd_key(rows, weights, column, &sums, 1);
  return sums;
}

static inline int8_t scale(const lm_attention *p, int32_t sum, lm_split_requant mix) {
  return (int8_t)lm_add_to_s8(lm_requantize_split(sum, mix), p->zero_point);
}

static void mix_values(const lm_attention *p, const block *rows, const uint32_t *weights,
                       const lm_split_requant mix[2], int8_t *ya, int8_t *yb) {
  const int32_t paired_columns = p->value_width & ~1;
  for (int32_t column = 0; column < paired_columns; column += 2) {
    lm_sums_2x2 sums = {0, 0, 0, 0};
    if (rows->keys_b >= 2) {
      lm_mix_2x2(weights, rows->v.data + column, rows->v.stride, rows->keys_b / 2, &sums);
    }
    if (rows->keys_b & 1) mix_odd_key(rows, weights, column, &sums, 2);
    ya[column] = scale(p, sums.aw, mix[0]);
    yb[column] = scale(p, sums.bw, mix[1]);
    ya[column + 1] = scale(p, sums.av, mix[0]);
    yb[column + 1] = scale(p, sums.bv, mix[1]);
  }
  if (p->value_width & 1) {
    const lm_sums_2x2 sums = mix_column(rows, weights, paired_columns);
    ya[paired_columns] = scale(p, sums.aw, mix[0]);
    yb[paired_columns] = scale(p, sums.bw, mix[1]);
  }
}

static lm_split_requant mix_of(const lm_attention *p, int32_t total) {
  const lm_requant mix = lm_divide_requant(p->mix, total);
  return lm_split(mix.multiplier, mix.shift);
}

void lm_attention_s8_s8_dsp(const lm_attention *p, const lm_attention_tile *tile, int8_t *y,
                            int32_t y_stride) {
  uint32_t *weights = tile->scratch;
  uint32_t *widened = weights + ((tile->tokens + 1) & ~1);
  for (int32_t row = 0; row < tile->rows; row += 2) {
    const int32_t next = lm_min(row + 1, tile->rows - 1);
    const int32_t seen_a = p->causal ? tile->row_start + row + 1 : tile->tokens;
    const int32_t seen_b = p->causal ? tile->row_start + next + 1 : tile->tokens;
    for (int32_t head = 0; head < p->heads; head++) {
      const block rows = {
          .a = tile->q.data + row * tile->q.stride + head * p->head_width,
          .b = tile->q.data + next * tile->q.stride + head * p->head_width,
          .k = {tile->k.data + head * p->head_width, tile->k.stride},
          .v = {tile->v.data + head * p->value_width, tile->v.stride},
          .keys_a = lm_min(tile->tokens, seen_a),
          .keys_b = lm_min(tile->tokens, seen_b),
      };
      const uint8_t *exp_table = p->exp_tables + head * 256;
      score_keys(p, head, &rows, weights, widened);
      const int32_t total_a = weigh_keys(exp_table, weights, rows.keys_a, rows.keys_b);
      const int32_t total_b = weigh_keys(exp_table, weights + 1, rows.keys_b, rows.keys_b);
      const lm_split_requant mix[2] = {mix_of(p, total_a), mix_of(p, total_b)};
      const int32_t first = head * p->value_width;
      mix_values(p, &rows, weights, mix, y + row * y_stride + first, y + next * y_stride + first);
    }
  }
}
