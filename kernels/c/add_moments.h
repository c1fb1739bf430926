/* SPDX-License-Identifier: Apache-2.0
 * addLayerNorm from plain sums: v = multiplier_a * (a - zero_point_a) + multiplier_b * (b -
 * zero_point_b), so that the sums of v and v^2, and then c = width * v - sum v, are polynomials. */
#ifndef LM_ADD_MOMENTS_H
#define LM_ADD_MOMENTS_H

#include "norm_row.h"

/* Over a row: the sums of a, b, a^2, b^2 and a * b. */
typedef struct {
  int32_t a;
  int32_t b;
  int32_t aa;
  int32_t bb;
  int32_t ab;
} lm_add_sums;

static inline lm_moments lm_moments_of_sums(const lm_add_layernorm *p, lm_add_sums sums) {
  const int64_t width = p->norm.width;
  const int64_t za = p->zero_point_a, zb = p->zero_point_b;
  const int64_t ma = p->multiplier_a, mb = p->multiplier_b;
  const int64_t aa = sums.aa - 2 * za * sums.a + width * za * za;
  const int64_t bb = sums.bb - 2 * zb * sums.b + width * zb * zb;
  const int64_t ab = sums.ab - zb * sums.a - za * sums.b + width * za * zb;
  const lm_moments moments = {
      .sum = (int32_t)(ma * (sums.a - width * za) + mb * (sums.b - width * zb)),
      .squares = ma * ma * aa + 2 * ma * mb * ab + mb * mb * bb,
  };
  return moments;
}

/* What a row's elements need: (c << left) = factor_a * a + factor_b * b + offset modulo 2^32, then
 * n = clamp16((c << left) * factor >> 32 + right, rounded twice). */
typedef struct {
  int32_t factor_a;
  int32_t factor_b;
  int32_t offset;
  int32_t factor;
  int32_t right;
} lm_add_row;

static inline lm_add_row lm_add_row_of(const lm_add_layernorm *p, lm_add_sums sums) {
  const lm_moments moments = lm_moments_of_sums(p, sums);
  const lm_normalizer normalizer = lm_norm_normalizer(&p->norm, moments);
  const int32_t zero = p->zero_point_a * p->multiplier_a + p->zero_point_b * p->multiplier_b;
  const lm_add_row row = {
      .factor_a = lm_shift_left(p->norm.width * p->multiplier_a, normalizer.left),
      .factor_b = lm_shift_left(p->norm.width * p->multiplier_b, normalizer.left),
      .offset = lm_shift_left(-p->norm.width * zero - moments.sum, normalizer.left),
      .factor = normalizer.factor,
      .right = normalizer.right,
  };
  return row;
}

#endif
