/* SPDX-License-Identifier: Apache-2.0
 * embed_layernorm.c for the DSP extension: factors of a row's elements made once a row. */
#include "../norm_row.h"
#include "dsp.h"

/* The three table rows of one token, each (width). */
typedef struct {
  const int8_t *word;
  const int8_t *position;
  const int8_t *segment;
} table_rows;

static table_rows rows_of(const lm_embed_layernorm *p, const lm_token_tile *tile, int32_t row) {
  const int32_t token = tile->row_start + row;
  const int32_t segment = token >= tile->segment_start ? p->segments - 1 : 0;
  const table_rows rows = {
      p->word + tile->ids[row] * p->norm.width,
      p->position + token * p->norm.width,
      p->segment + segment * p->norm.width,
  };
  return rows;
}

/* What a row's elements need: (c << left) = sum of factors * tables + offset modulo 2^32, with c =
 * width * v - sum v; then n = clamp16((c << left) * factor >> 32 + right, rounded twice). */
typedef struct {
  int32_t word;
  int32_t position;
  int32_t segment;
  int32_t offset;
  int32_t factor;
  int32_t right;
  int32_t half;
} element_factors;

static element_factors factors_of(const lm_embed_layernorm *p, table_rows rows) {
  const int32_t word = p->multiplier_word;
  const int32_t position = p->multiplier_position;
  const int32_t segment = p->multiplier_segment;
  lm_moments moments = {0, 0};
  for (int32_t i = 0; i < p->norm.width; i++) {
    lm_moments_add(&moments, rows.word[i] * word + rows.position[i] * position +
                                 rows.segment[i] * segment);
  }
  const lm_normalizer normalizer = lm_norm_normalizer(&p->norm, moments);
  const element_factors factors = {
      .word = lm_shift_left(p->norm.width * word, normalizer.left),
      .position = lm_shift_left(p->norm.width * position, normalizer.left),
      .segment = lm_shift_left(p->norm.width * segment, normalizer.left),
      .offset = lm_shift_left(-moments.sum, normalizer.left),
      .factor = normalizer.factor,
      .right = normalizer.right,
      .half = lm_shift_left(1, normalizer.right) >> 1,
  };
  return factors;
}

/* The output before its clamp. */
static inline int32_t element(const lm_norm *p, const element_factors *f, table_rows rows,
                              int32_t i) {
  const uint32_t centered = (uint32_t)f->offset + (uint32_t)f->word * (uint32_t)rows.word[i] +
                            (uint32_t)f->position * (uint32_t)rows.position[i] +
                            (uint32_t)f->segment * (uint32_t)rows.segment[i];
  const int32_t product = lm_smmlar((int32_t)centered, f->factor, f->half);
  const int32_t normalized = lm_saturate16(product >> f->right);
  const uint32_t scaled = (uint32_t)(normalized * p->gamma[i]) + (uint32_t)p->beta[i];
  return (int32_t)scaled >> p->out_shift;
}

void lm_embed_layernorm_s8_s8_dsp(const lm_embed_layernorm *p, const lm_token_tile *tile,
                                  int8_t *y, int32_t y_stride) {
  const lm_norm norm = p->norm;
  for (int32_t row = 0; row < tile->rows; row++) {
    const table_rows rows = rows_of(p, tile, row);
    const element_factors factors = factors_of(p, rows);
    int8_t *to = y + row * y_stride;
    for (int32_t i = 0; i < norm.width; i++) {
      to[i] = (int8_t)lm_saturate8(element(&norm, &factors, rows, i));
    }
    if (norm.min == INT8_MIN && norm.max == INT8_MAX) continue;
    for (int32_t i = 0; i < norm.width; i++) to[i] = (int8_t)lm_clamp(to[i], norm.min, norm.max);
  }
}

void lm_embed_layernorm_s8_s16_dsp(const lm_embed_layernorm *p, const lm_token_tile *tile,
                                   int16_t *y, int32_t y_stride) {
  const lm_norm norm = p->norm;
  for (int32_t row = 0; row < tile->rows; row++) {
    const table_rows rows = rows_of(p, tile, row);
    const element_factors factors = factors_of(p, rows);
    int16_t *to = y + row * y_stride;
    for (int32_t i = 0; i < norm.width; i++) {
      to[i] = (int16_t)lm_saturate16(element(&norm, &factors, rows, i));
    }
    if (norm.min == INT16_MIN && norm.max == INT16_MAX) continue;
    for (int32_t i = 0; i < norm.width; i++) to[i] = (int16_t)lm_clamp(to[i], norm.min, norm.max);
  }
}
