/* SPDX-License-Identifier: Apache-2.0
 * y = softmax(q * kT) * v with unnormalised weights 0 ... 127 and one division a row and head. */
#include "attention_band.h"

static inline int32_t dot(const int8_t *a, const int8_t *b, int32_t width) {
  int32_t sum = 0;
  for (int32_t i = 0; i < width; i++) sum += a[i] * b[i];
  return sum;
}

/* weights[key] = exp_table[largest score - score of key]; returns their sum. */
static int32_t weigh_keys(const lm_attention *p, int32_t head, const int8_t *q, lm_rows k,
                          int32_t keys, uint8_t *weights) {
  const uint8_t *exp_table = p->exp_tables + head * 256;
  int32_t largest = 0;
  for (int32_t key = 0; key < keys; key++) {
    const int32_t sum = dot(q, k.data + key * k.stride, p->head_width);
    const int32_t scaled = lm_requantize(sum, p->score_multipliers[head], p->score_shifts[head]);
    const int32_t score = lm_clamp(scaled, INT8_MIN, INT8_MAX) + 128;
    weights[key] = (uint8_t)score;
    largest = lm_max(largest, score);
  }
  int32_t total = 0;
  for (int32_t key = 0; key < keys; key++) {
    weights[key] = exp_table[largest - weights[key]];
    total += weights[key];
  }
  return total;
}

/* y[c] = sum over keys weights * v[c], times mix. v: (keys, value_width) */
static void mix_values(const lm_attention *p, lm_requant mix, const uint8_t *weights, lm_rows v,
                       int32_t keys, int8_t *y) {
  for (int32_t column = 0; column < p->value_width; column++) {
    int32_t sum = 0;
    for (int32_t key = 0; key < keys; key++) sum += weights[key] * v.data[key * v.stride + column];
    const int32_t scaled = lm_requantize(sum, mix.multiplier, mix.shift);
    y[column] = (int8_t)lm_clamp_from_zero_point(scaled, p->zero_point, INT8_MIN, INT8_MAX);
  }
}

static void attend(const lm_attention *p, const lm_attention_tile *tile, int8_t *y,
                   int32_t y_stride) {
  for (int32_t row = 0; row < tile->rows; row++) {
    const int32_t keys =
        p->causal ? lm_min(tile->tokens, tile->row_start + row + 1) : tile->tokens;
    for (int32_t head = 0; head < p->heads; head++) {
      const int8_t *q = tile->q.data + row * tile->q.stride + head * p->head_width;
      const lm_rows k = {tile->k.data + head * p->head_width, tile->k.stride};
      const lm_rows v = {tile->v.data + head * p->value_width, tile->v.stride};
      const int32_t total = weigh_keys(p, head, q, k, keys, tile->scratch);
      mix_values(p, lm_divide_requant(p->mix, total), tile->scratch, v, keys,
                 y + row * y_stride + head * p->value_width);
    }
  }
}

void lm_attention_s8_s8(const lm_attention *p, const lm_attention_tile *tile, int8_t *y,
                        int32_t y_stride) {
  const int32_t rows = lm_band_rows(p, tile);
  for (int32_t row = 0; row < tile->rows; row += rows) {
    const lm_attention_tile band = lm_band_tile(p, tile, row);
    attend(p, &band, y + row * y_stride, y_stride);
  }
}
