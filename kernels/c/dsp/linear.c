/* SPDX-License-Identifier: Apache-2.0
 * linear.c for the DSP extension: two rows, widened to int16 once, by two outputs at a time.
 * A row or output without a neighbour is its own. */
#include <stddef.h>

#include "../kernels.h"
#include "dsp.h"

/* The two rows of a block, as they are and widened. */
typedef struct {
  const int8_t *a;
  const int8_t *b;
  const uint32_t *widened; /* (inputs / 4, 4) */
} row_pair;

static row_pair widen_pair(const lm_linear *p, lm_rows x, int32_t row, int32_t next,
                           uint32_t *scratch) {
  const row_pair pair = {x.data + row * x.stride, x.data + next * x.stride, scratch};
  lm_widen_rows(pair.a, pair.b, p->inputs / 4, scratch);
  return pair;
}

/* The sums of outputs `column` and `next`, bias included. */
static inline lm_sums_2x2 sums_of(const lm_linear *p, row_pair rows, int32_t column,
                                  int32_t next) {
  const int8_t *w = p->weights + column * p->inputs;
  const int8_t *v = p->weights + next * p->inputs;
  lm_sums_2x2 sums = {p->bias[column], p->bias[column], p->bias[next], p->bias[next]};
  for (int32_t i = p->inputs & ~3; i < p->inputs; i++) {
    sums.aw += rows.a[i] * w[i];
    sums.bw += rows.b[i] * w[i];
    sums.av += rows.a[i] * v[i];
    sums.bv += rows.b[i] * v[i];
  }
  if (p->inputs >= 4) lm_dot_2x2(rows.widened, w, v, p->inputs / 4, &sums);
  return sums;
}

static inline int8_t scale_s8(const lm_linear *p, int32_t sum, lm_split_requant requant) {
  return (int8_t)lm_add_to_s8(lm_requantize_split(sum, requant), p->zero_point);
}

static inline int16_t scale_s16(const lm_linear *p, int32_t sum, lm_split_requant requant) {
  return (int16_t)lm_add_to_s16(lm_requantize_split(sum, requant), p->zero_point);
}

static void finish_s8(const lm_linear *p, int8_t *y) {
  if (p->min > INT8_MIN || p->max < INT8_MAX) {
    for (int32_t i = 0; i < p->outputs; i++) y[i] = (int8_t)lm_clamp(y[i], p->min, p->max);
  }
  if (p->table == NULL) return;
  const int8_t *table = p->table + 128;
  for (int32_t i = 0; i < p->outputs; i++) y[i] = table[y[i]];
}

static void finish_s16(const lm_linear *p, int16_t *y) {
  if (p->min == INT16_MIN && p->max == INT16_MAX && p->table == NULL) return;
  for (int32_t i = 0; i < p->outputs; i++) {
    const int32_t value = lm_clamp(y[i], p->min, p->max);
    y[i] = (int16_t)(p->table == NULL ? value : p->table[value + 128]);
  }
}

void lm_linear_s8_s8_dsp(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y, int32_t y_stride,
                         void *scratch) {
  for (int32_t row = 0; row < rows; row += 2) {
    const int32_t next_row = lm_min(row + 1, rows - 1);
    const row_pair pair = widen_pair(p, x, row, next_row, scratch);
    int8_t *ya = y + row * y_stride;
    int8_t *yb = y + next_row * y_stride;
    for (int32_t column = 0; column < p->outputs; column += 2) {
      const int32_t next = lm_min(column + 1, p->outputs - 1);
      const lm_sums_2x2 sums = sums_of(p, pair, column, next);
      const lm_split_requant w = lm_split(p->multipliers[column], p->shifts[column]);
      ya[column] = scale_s8(p, sums.aw, w);
      yb[column] = scale_s8(p, sums.bw, w);
      const lm_split_requant v = lm_split(p->multipliers[next], p->shifts[next]);
      ya[next] = scale_s8(p, sums.av, v);
      yb[next] = scale_s8(p, sums.bv, v);
    }
    finish_s8(p, ya);
    if (next_row > row) finish_s8(p, yb);
  }
}

void lm_linear_s8_s16_dsp(const lm_linear *p, lm_rows x, int32_t rows, int16_t *y,
                          int32_t y_stride, void *scratch) {
  for (int32_t row = 0; row < rows; row += 2) {
    const int32_t next_row = lm_min(row + 1, rows - 1);
    const row_pair pair = widen_pair(p, x, row, next_row, scratch);
    int16_t *ya = y + row * y_stride;
    int16_t *yb = y + next_row * y_stride;
    for (int32_t column = 0; column < p->outputs; column += 2) {
      const int32_t next = lm_min(column + 1, p->outputs - 1);
      const lm_sums_2x2 sums = sums_of(p, pair, column, next);
      const lm_split_requant w = lm_split(p->multipliers[column], p->shifts[column]);
      ya[column] = scale_s16(p, sums.aw, w);
      yb[column] = scale_s16(p, sums.bw, w);
      const lm_split_requant v = lm_split(p->multipliers[next], p->shifts[next]);
      ya[next] = scale_s16(p, sums.av, v);
      yb[next] = scale_s16(p, sums.bv, v);
    }
    finish_s16(p, ya);
    if (next_row > row) finish_s16(p, yb);
  }
}
