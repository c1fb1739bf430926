/* SPDX-License-Identifier: Apache-2.0
 * y = softmax(q * kT) * v over the keys up to the query's own, heads in groups that share theirs. */
#include "causal_row.h"

void lm_causal_attention_s8_s8(const lm_causal_attention *p, const lm_causal_tile *tile,
                               int8_t *y, int32_t y_stride) {
  const int32_t sharing = p->heads / p->key_value_heads;
  for (int32_t row = 0; row < tile->rows; row++) {
    const int32_t keys = tile->row_start + row + 1;
    for (int32_t head = 0; head < p->heads; head++) {
      const int8_t *q = tile->q.data + row * tile->q.stride + head * p->head_width;
      const lm_rows k = {tile->k.data + head / sharing * p->head_width, tile->k.stride};
      const int32_t first_column = head / sharing * p->value_width;
      const lm_rows v = {tile->v.data + first_column * tile->v.stride, tile->v.stride};
      const int32_t total = lm_weigh_keys(p, head, q, k, keys, tile->scratch);
      lm_mix_values(p, lm_divide_requant(p->mix, total), tile->scratch, v, keys,
                    y + row * y_stride + head * p->value_width);
    }
  }
}
