/* SPDX-License-Identifier: Apache-2.0
 * y = LayerNorm(word + position + segment): the embeddings. */
#include "norm_row.h"

/* The three rows that are added up for one token, each (width). */
typedef struct {
  const int8_t *word;
  const int8_t *position;
  const int8_t *segment;
} addends;

static addends rows_of(const lm_embed_layernorm *p, const lm_embedding_tile *tile, int32_t row) {
  const int32_t token = tile->row_start + row;
  const int32_t segment = token >= tile->segment_start ? p->segments - 1 : 0;
  const addends rows = {
      tile->word.data + row * tile->word.stride,
      tile->position.data + row * tile->position.stride,
      p->segment + segment * p->norm.width,
  };
  return rows;
}

static inline int32_t sum_at(const lm_embed_layernorm *p, addends rows, int32_t column) {
  return rows.word[column] * p->multiplier_word + rows.position[column] * p->multiplier_position +
         rows.segment[column] * p->multiplier_segment;
}

static lm_moments moments_of(const lm_embed_layernorm *p, addends rows) {
  lm_moments moments = {0, 0};
  for (int32_t column = 0; column < p->norm.width; column++) {
    lm_moments_add(&moments, sum_at(p, rows, column));
  }
  return moments;
}

void lm_embed_layernorm_s8_s8(const lm_embed_layernorm *p, const lm_embedding_tile *tile, int8_t *y,
                              int32_t y_stride) {
  for (int32_t row = 0; row < tile->rows; row++) {
    const addends rows = rows_of(p, tile, row);
    const lm_moments moments = moments_of(p, rows);
    const lm_normalizer normalizer = lm_norm_normalizer(&p->norm, moments);
    for (int32_t column = 0; column < p->norm.width; column++) {
      const int32_t v = sum_at(p, rows, column);
      y[row * y_stride + column] =
          (int8_t)lm_norm_output(&p->norm, moments, normalizer, column, v);
    }
  }
}

void lm_embed_layernorm_s8_s16(const lm_embed_layernorm *p, const lm_embedding_tile *tile, int16_t *y,
                               int32_t y_stride) {
  for (int32_t row = 0; row < tile->rows; row++) {
    const addends rows = rows_of(p, tile, row);
    const lm_moments moments = moments_of(p, rows);
    const lm_normalizer normalizer = lm_norm_normalizer(&p->norm, moments);
    for (int32_t column = 0; column < p->norm.width; column++) {
      const int32_t v = sum_at(p, rows, column);
      y[row * y_stride + column] =
          (int16_t)lm_norm_output(&p->norm, moments, normalizer, column, v);
    }
  }
}
