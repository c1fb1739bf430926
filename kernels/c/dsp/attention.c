/* SPDX-License-Identifier: Apache-2.0
 * attention.c for the DSP extension: four query rows at once (attention_rows.h), or, where few rows
 * or unusual parameters remain, two query rows a, b by two keys, then by two value columns; there a
 * row or key without a neighbour is its own.
 *
 * Scratch of two rows: a pair of words for each pair of keys, (key, key + 1) of row a and then of row b as
 * uint16, first the scores + 128 and then the weights; behind them the widened queries. */
#include "../attention_band.h"
#include "attention_rows.h"
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

/* Two rows, or one twice, of a head. */
static void attend_2(const lm_attention *p, const lm_attention_tile *tile, int32_t head,
                     int32_t row, int8_t *y, int32_t y_stride) {
  uint32_t *weights = tile->scratch;
  uint32_t *widened = weights + ((tile->tokens + 1) & ~1);
  const int32_t next = lm_min(row + 1, tile->rows - 1);
  const int32_t seen_a = p->causal ? tile->row_start + row + 1 : tile->tokens;
  const int32_t seen_b = p->causal ? tile->row_start + next + 1 : tile->tokens;
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

/* Twice the queries of a row as pairs of int16, to every fourth word. */
static void widen_doubled(const int8_t *q, int32_t width, uint32_t *to) {
  for (int32_t i = 0; i < width; i += 4) {
    const uint32_t bytes = lm_load4(q + i);
    to[0] = lm_double_s16x2(lm_widen_even(bytes));
    to[4] = lm_double_s16x2(lm_widen_odd(bytes));
    to += 8;
  }
}

/* Four rows' scores of a head; returns the largest of each row. rows: words behind the scores. */
static uint32_t score_rows(const lm_attention *p, const lm_attention_tile *tile, int32_t head,
                           const int32_t rows[4]) {
  uint32_t *scores = tile->scratch;
  uint32_t *widened = scores + ((tile->tokens + 1) & ~1);
  for (int32_t i = 0; i < 4; i++) {
    const int8_t *q = tile->q.data + rows[i] * tile->q.stride + head * p->head_width;
    widen_doubled(q, p->head_width, widened + i);
  }
  const int32_t shift = -1 - p->score_shifts[head];
  lm_score_block block = {
      .multiplier = p->score_multipliers[head],
      .shift = shift,
      .half = lm_shift_left(1, shift),
      .largest = 0x80808080u,
      .widened = widened,
      .widened_end = widened + 2 * p->head_width,
      .key = tile->k.data + head * p->head_width,
      .gap = tile->k.stride - p->head_width,
      .scores = scores,
      .scores_end = scores + tile->tokens,
  };
  if ((p->head_width & 63) == 0) {
    lm_score_keys_by_64(&block);
  } else {
    lm_score_keys_by_16(&block);
  }
  return block.largest;
}

/* Turns the scores of four rows into weights, with their sums. */
static void weigh_rows(const uint8_t *exp_table, uint32_t largest, uint32_t *scores, int32_t keys,
                       int32_t totals[4]) {
  lm_weigh_block block = {
      .exp_table = exp_table,
      .largest = largest,
      .pair = scores,
      .pairs_end = scores + (keys & ~1),
      .totals = {0, 0, 0, 0},
  };
  if (keys >= 2) lm_weigh_pairs(&block);
  for (int32_t i = 0; i < 4; i++) {
    totals[i] = (int32_t)((block.totals[i] & 0xffffu) + (block.totals[i] >> 16));
  }
  if ((keys & 1) == 0) return;
  uint32_t *last = scores + keys - 1;
  uint32_t weights[4];
  for (int32_t i = 0; i < 4; i++) {
    weights[i] = exp_table[((largest >> 8 * i) - (*last >> 8 * i)) & 0xffu];
    totals[i] += (int32_t)weights[i];
  }
  last[0] = weights[0] | weights[1] << 8;
  last[1] = weights[2] | weights[3] << 8;
}

/* Four rows of a head, or three with the last twice; false, and nothing made, if that cannot be. */
static bool attend_4(const lm_attention *p, const lm_attention_tile *tile, int32_t head,
                     int32_t row, int8_t *y, int32_t y_stride) {
  if (p->causal || tile->rows - row < 3 || tile->tokens > LM_MOST_KEYS_IN_ROWS) return false;
  if ((p->head_width & 15) != 0 || (p->value_width & 1) != 0) return false;
  if (p->score_shifts[head] >= 0) return false;
  const int32_t last = tile->rows - 1;
  const int32_t rows[4] = {row, lm_min(row + 1, last), lm_min(row + 2, last),
                           lm_min(row + 3, last)};
  uint32_t *weights = tile->scratch;
  const uint32_t largest = score_rows(p, tile, head, rows);
  int32_t totals[4];
  weigh_rows(p->exp_tables + head * 256, largest, weights, tile->tokens, totals);
  const int32_t pairs = tile->tokens >> 1;
  const int8_t *v = tile->v.data + head * p->value_width;
  lm_mix_block block = {
      .weights = weights,
      .singles_end = weights + 2 * (pairs & 3),
      .pairs_end = weights + 2 * pairs,
      .is_odd = tile->tokens & 1,
      .v = v,
      .v_end = v + p->value_width,
      .stride = tile->v.stride,
  };
  for (int32_t i = 0; i < 4; i++) {
    const lm_requant mix = lm_divide_requant(p->mix, totals[i]);
    if (mix.shift > -1 || mix.shift < -22) return false;
    block.rows[i].multiplier = mix.multiplier;
    block.rows[i].shift = -1 - mix.shift;
    block.rows[i].half = lm_shift_left(2 * p->zero_point + 1, -1 - mix.shift);
    block.rows[i].y = y + rows[i] * y_stride + head * p->value_width;
  }
  if (tile->v.stride == 64) {
    lm_mix_columns_64(&block, 0, 0, 0, &block);
  } else if (tile->v.stride == 128) {
    lm_mix_columns_128(&block, 0, 0, 0, &block);
  } else {
    lm_mix_columns_ANY(&block, 0, 0, 0, &block);
  }
  return true;
}

static void attend(const lm_attention *p, const lm_attention_tile *tile, int8_t *y,
                   int32_t y_stride) {
  for (int32_t row = 0; row < tile->rows; row += 4) {
    for (int32_t head = 0; head < p->heads; head++) {
      if (attend_4(p, tile, head, row, y, y_stride)) continue;
      attend_2(p, tile, head, row, y, y_stride);
      if (row + 2 < tile->rows) attend_2(p, tile, head, row + 2, y, y_stride);
    }
  }
}

void lm_attention_s8_s8_dsp(const lm_attention *p, const lm_attention_tile *tile, int8_t *y,
                            int32_t y_stride) {
  const int32_t rows = lm_band_rows(p, tile);
  for (int32_t row = 0; row < tile->rows; row += rows) {
    const lm_attention_tile band = lm_band_tile(p, tile, row);
    attend(p, &band, y + row * y_stride, y_stride);
  }
}
