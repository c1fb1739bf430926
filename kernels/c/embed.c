/* SPDX-License-Identifier: Apache-2.0
 * y = word + position + segment: the embeddings, where no norm follows. */
#include "kernels.h"

void lm_embed_s8_s8(const lm_embed *p, const lm_embedding_tile *tile, int8_t *y, int32_t y_stride) {
  const lm_embed own = *p; /* which no output can be taken to overwrite */
  for (int32_t row = 0; row < tile->rows; row++) {
    const int32_t token = tile->row_start + row;
    const int8_t *word = tile->word.data + row * tile->word.stride;
    const int8_t *position = tile->position.data + row * tile->position.stride;
    const int8_t *segment =
        own.segment + (token >= tile->segment_start ? own.segments - 1 : 0) * own.width;
    for (int32_t i = 0; i < own.width; i++) {
      const int32_t sum = word[i] * own.multiplier_word + position[i] * own.multiplier_position +
                          segment[i] * own.multiplier_segment + own.offset;
      y[row * y_stride + i] = (int8_t)lm_clamp(sum >> own.shift, INT8_MIN, INT8_MAX);
    }
  }
}
