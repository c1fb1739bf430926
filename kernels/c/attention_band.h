/* SPDX-License-Identifier: Apache-2.0
 * Attention to neighbours: a band's rows see different keys, so that each is a tile of its own. */
#ifndef LM_ATTENTION_BAND_H
#define LM_ATTENTION_BAND_H

#include "kernels.h"

static inline bool lm_hides_keys(const lm_attention *p, const lm_attention_tile *tile) {
  return p->reach >= 0 && tile->tokens > p->reach + 1;
}

/* Rows of a tile that go together. */
static inline int32_t lm_band_rows(const lm_attention *p, const lm_attention_tile *tile) {
  return lm_hides_keys(p, tile) ? 1 : tile->rows;
}

/* The tile of those rows, from `row` on, with the keys they see. */
static inline lm_attention_tile lm_band_tile(const lm_attention *p, const lm_attention_tile *tile,
                                             int32_t row) {
  if (!lm_hides_keys(p, tile)) return *tile;
  const int32_t token = tile->row_start + row;
  const int32_t first = lm_max(0, token - p->reach);
  return (lm_attention_tile){
      .rows = 1,
      .row_start = token - first,
      .tokens = lm_min(tile->tokens, token + p->reach + 1) - first,
      .q = {tile->q.data + row * tile->q.stride, tile->q.stride},
      .k = {tile->k.data + first * tile->k.stride, tile->k.stride},
      .v = {tile->v.data + first * tile->v.stride, tile->v.stride},
      .scratch = tile->scratch,
  };
}

#endif
