/* SPDX-License-Identifier: Apache-2.0
 * add_layernorm.c for the DSP extension: moments from plain sums, four columns at a time. */
#include "../add_moments.h"
#include "dsp.h"

static inline void add_pair(uint32_t a, uint32_t b, lm_add_sums *sums) {
  const uint32_t ones = 0x00010001u;
  sums->a = lm_smlad(a, ones, sums->a);
  sums->b = lm_smlad(b, ones, sums->b);
  sums->aa = lm_smlad(a, a, sums->aa);
  sums->bb = lm_smlad(b, b, sums->bb);
  sums->ab = lm_smlad(a, b, sums->ab);
}

static lm_add_sums sums_of(const int8_t *a, const int8_t *b, int32_t width) {
  lm_add_sums sums = {0, 0, 0, 0, 0};
  int32_t i = 0;
  for (; i + 4 <= width; i += 4) {
    const uint32_t a4 = lm_load4(a + i);
    const uint32_t b4 = lm_load4(b + i);
    add_pair(lm_widen_even(a4), lm_widen_even(b4), &sums);
    add_pair(lm_widen_odd(a4), lm_widen_odd(b4), &sums);
  }
  for (; i < width; i++) {
    add_pair((uint32_t)(uint16_t)a[i], (uint32_t)(uint16_t)b[i], &sums);
  }
  return sums;
}

/* The output before its clamp. */
static inline int32_t element(const lm_norm *p, const lm_add_row *row, int32_t half, int8_t a,
                              int8_t b, int32_t column) {
  const uint32_t centered = (uint32_t)row->offset + (uint32_t)row->factor_a * (uint32_t)a +
                            (uint32_t)row->factor_b * (uint32_t)b;
  const int32_t product = lm_smmlar((int32_t)centered, row->factor, half);
  const int32_t normalized = lm_saturate16(product >> row->right);
  const uint32_t scaled = (uint32_t)(normalized * p->gamma[column]) + (uint32_t)p->beta[column];
  return (int32_t)scaled >> p->out_shift;
}

void lm_add_layernorm_s8_s8_dsp(const lm_add_layernorm *p, lm_rows a, lm_rows b, int32_t rows,
                                int8_t *y, int32_t y_stride) {
  const lm_norm norm = p->norm;
  for (int32_t row = 0; row < rows; row++) {
    const int8_t *ra = a.data + row * a.stride;
    const int8_t *rb = b.data + row * b.stride;
    int8_t *to = y + row * y_stride;
    const lm_add_row constants = lm_add_row_of(p, sums_of(ra, rb, norm.width));
    const int32_t half = lm_shift_left(1, constants.right) >> 1;
    for (int32_t column = 0; column < norm.width; column++) {
      const int32_t value = element(&norm, &constants, half, ra[column], rb[column], column);
      to[column] = (int8_t)lm_saturate8(value);
    }
    if (norm.min == INT8_MIN && norm.max == INT8_MAX) continue;
    for (int32_t column = 0; column < norm.width; column++) {
      to[column] = (int8_t)lm_clamp(to[column], norm.min, norm.max);
    }
  }
}

void lm_add_layernorm_s8_s16_dsp(const lm_add_layernorm *p, lm_rows a, lm_rows b, int32_t rows,
                                 int16_t *y, int32_t y_stride) {
  const lm_norm norm = p->norm;
  for (int32_t row = 0; row < rows; row++) {
    const int8_t *ra = a.data + row * a.stride;
    const int8_t *rb = b.data + row * b.stride;
    int16_t *to = y + row * y_stride;
    const lm_add_row constants = lm_add_row_of(p, sums_of(ra, rb, norm.width));
    const int32_t half = lm_shift_left(1, constants.right) >> 1;
    for (int32_t column = 0; column < norm.width; column++) {
      const int32_t value = element(&norm, &constants, half, ra[column], rb[column], column);
      to[column] = (int16_t)lm_saturate16(value);
    }
    if (norm.min == INT16_MIN && norm.max == INT16_MAX) continue;
    for (int32_t column = 0; column < norm.width; column++) {
      to[column] = (int16_t)lm_clamp(to[column], norm.min, norm.max);
    }
  }
}
