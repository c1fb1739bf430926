/* SPDX-License-Identifier: Apache-2.0
 * What the kernels that make rows of tables share. */
#ifndef LM_TABLE_ROWS_H
#define LM_TABLE_ROWS_H

#include "kernels.h"

/* Of the table, for row `row` of a tile. */
static inline int32_t lm_table_row(const lm_token_tile *tile, int32_t row) {
  return tile->ids == NULL ? tile->row_start + row : tile->ids[row];
}

/* Two int4 a byte, the first in the lower half. */
static inline void lm_unpack_s4(const int8_t *from, int32_t count, int8_t *to) {
  for (int32_t i = 0; i + 2 <= count; i += 2) {
    const int32_t both = *from++;
    to[i] = (int8_t)(((both & 15) ^ 8) - 8);
    to[i + 1] = (int8_t)(both >> 4);
  }
  if (count & 1) to[count - 1] = (int8_t)(((*from & 15) ^ 8) - 8);
}

/* Row `index` of `width` elements of 8 or 4 bits; rows of the latter begin with a byte. */
static inline void lm_unpack_row(const int8_t *rows, int32_t bits, int32_t width, int32_t index,
                                 int8_t *to) {
  if (bits == 4) {
    lm_unpack_s4(rows + index * ((width + 1) >> 1), width, to);
  } else {
    memcpy(to, rows + index * width, (size_t)width);
  }
}

static inline void lm_lookup_row(const lm_lookup_rows *p, int32_t index, int8_t *y) {
  lm_unpack_row(p->rows, p->bits, p->width, index, y);
  if (p->multipliers == NULL) return;
  const int32_t multiplier = p->multipliers[index];
  const int32_t half = lm_shift_left(1, p->shift) >> 1;
  for (int32_t i = 0; i < p->width; i++) {
    y[i] = (int8_t)lm_clamp((y[i] * multiplier + half) >> p->shift, INT8_MIN, INT8_MAX);
  }
}

static inline int16_t lm_scale_weight(const lm_weight_rows *p, int32_t weight, int32_t index) {
  const int32_t half = lm_shift_left(1, p->shift) >> 1;
  const int32_t scaled = (weight * p->multipliers[index] + half) >> p->shift;
  return (int16_t)lm_clamp(scaled, INT16_MIN, INT16_MAX);
}

typedef struct {
  int32_t group;
  int32_t rank; /* among the rows of the group */
} lm_group_place;

static inline int32_t lm_group_of(const lm_row_groups *p, int32_t row) {
  const int32_t bit = row * p->bits;
  return (p->packed[bit >> 3] >> (bit & 7)) & ((1 << p->bits) - 1);
}

/* Counts on from the block that the row stands in. */
static inline lm_group_place lm_place_in_group(const lm_row_groups *p, int32_t row) {
  if (p->groups == 1) {
    const lm_group_place only = {0, row};
    return only;
  }
  const int32_t group = lm_group_of(p, row);
  const int32_t block = row / LM_GROUP_BLOCK;
  int32_t rank = p->before[block * p->groups + group];
  for (int32_t other = block * LM_GROUP_BLOCK; other < row; other++) {
    if (lm_group_of(p, other) == group) rank++;
  }
  const lm_group_place place = {group, rank};
  return place;
}

#endif
