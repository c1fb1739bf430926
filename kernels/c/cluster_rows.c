/* SPDX-License-Identifier: Apache-2.0
 * y = offset + factors * projection, each of the cluster of the id. */
#include "table_rows.h"

static inline int32_t factor_at(const lm_cluster *p, const int8_t *row, int32_t k) {
  if (p->bits == 8) return row[k];
  const int32_t both = row[k >> 1];
  return (k & 1) ? both >> 4 : ((both & 15) ^ 8) - 8;
}

void lm_cluster_rows_s8_s8(const lm_cluster_rows *p, const lm_token_tile *tile, int8_t *y,
                           int32_t y_stride) {
  for (int32_t row = 0; row < tile->rows; row++) {
    const lm_group_place place = lm_place_in_group(&p->groups, lm_table_row(tile, row));
    const lm_cluster *const cluster = p->clusters + place.group;
    const int32_t rank = cluster->rank;
    const int32_t row_bytes = cluster->bits == 8 ? rank : (rank + 1) >> 1;
    const int8_t *const factors = cluster->factors + place.rank * row_bytes;
    for (int32_t column = 0; column < p->width; column++) {
      const int8_t *const weights = cluster->projection + column * rank;
      int32_t sum = cluster->offset[column];
      for (int32_t k = 0; k < rank; k++) sum += factor_at(cluster, factors, k) * weights[k];
      const int32_t scaled =
          lm_requantize(sum, cluster->multipliers[column], cluster->shifts[column]);
      y[row * y_stride + column] = (int8_t)lm_clamp(scaled, INT8_MIN, INT8_MAX);
    }
  }
}
