/* SPDX-License-Identifier: Apache-2.0
 * y = offset + factors * projection, each of the cluster of the id. */
#include "table_rows.h"

static int32_t dot_s8(const int8_t *factors, const int8_t *weights, int32_t rank) {
  int32_t sum = 0;
  for (int32_t k = 0; k < rank; k++) sum += factors[k] * weights[k];
  return sum;
}

/* Two factors a byte, the first in the lower half. */
static int32_t dot_s4(const int8_t *factors, const int8_t *weights, int32_t rank) {
  int32_t sum = 0;
  for (; rank >= 2; rank -= 2, weights += 2) {
    const int32_t both = *factors++;
    sum += (((both & 15) ^ 8) - 8) * weights[0] + (both >> 4) * weights[1];
  }
  return rank == 0 ? sum : sum + (((*factors & 15) ^ 8) - 8) * weights[0];
}

void lm_cluster_rows_s8_s8(const lm_cluster_rows *p, const lm_token_tile *tile, int8_t *y,
                           int32_t y_stride) {
  for (int32_t row = 0; row < tile->rows; row++) {
    const lm_group_place place = lm_place_in_group(&p->groups, lm_table_row(tile, row));
    const lm_cluster *const cluster = p->clusters + place.group;
    const int32_t rank = cluster->rank;
    const bool is_s8 = cluster->bits == 8;
    const int8_t *const factors =
        cluster->factors + place.rank * (is_s8 ? rank : (rank + 1) >> 1);
    for (int32_t column = 0; column < p->width; column++) {
      const int8_t *const weights = cluster->projection + column * rank;
      const int32_t dot = is_s8 ? dot_s8(factors, weights, rank) : dot_s4(factors, weights, rank);
      const int32_t scaled = lm_requantize(cluster->offset[column] + dot,
                                           cluster->multipliers[column], cluster->shifts[column]);
      y[row * y_stride + column] = (int8_t)lm_clamp(scaled, INT8_MIN, INT8_MAX);
    }
  }
}
