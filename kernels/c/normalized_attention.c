/* SPDX-License-Identifier: Apache-2.0
 * y = softmax(q * kT) * v with scores, softmax and result in int8, as TFLite composes it. */
#include "kernels.h"
#include "softmax.h"

static inline int32_t dot(const int8_t *a, const int8_t *b, int32_t width) {
  int32_t sum = 0;
  for (int32_t i = 0; i < width; i++) sum += a[i] * b[i];
  return sum;
}

/* weights = 256 * softmax(q * kT) */
static void weigh_keys(const lm_normalized_attention *p, int32_t head, const int8_t *q, lm_rows k,
                       int32_t keys, uint8_t *weights) {
  for (int32_t key = 0; key < keys; key++) {
    const int32_t sum = dot(q, k.data + key * k.stride, p->head_width);
    const int32_t scaled = lm_requantize(sum, p->score_multipliers[head], p->score_shifts[head]);
    weights[key] = (uint8_t)(lm_clamp(scaled, INT8_MIN, INT8_MAX) + 128);
  }
  const lm_softmax_scale scale = {p->softmax_multipliers[head], p->softmax_shifts[head],
                                  p->smallest_differences[head]};
  lm_softmax(scale, weights, keys);
}

/* y[c] = sum over keys weights * v[c], times mix. v: (keys, value_width) */
static void mix_values(const lm_normalized_attention *p, const uint8_t *weights, lm_rows v,
                       int32_t keys, int8_t *y) {
  for (int32_t column = 0; column < p->value_width; column++) {
    int32_t sum = 0;
    for (int32_t key = 0; key < keys; key++) sum += weights[key] * v.data[key * v.stride + column];
    const int32_t scaled = lm_requantize(sum, p->mix.multiplier, p->mix.shift);
    y[column] = (int8_t)lm_clamp_from_zero_point(scaled, p->zero_point, INT8_MIN, INT8_MAX);
  }
}

void lm_normalized_attention_s8_s8(const lm_normalized_attention *p, const lm_attention_tile *tile,
                                   int8_t *y, int32_t y_stride) {
  for (int32_t row = 0; row < tile->rows; row++) {
    for (int32_t head = 0; head < p->heads; head++) {
      const int8_t *q = tile->q.data + row * tile->q.stride + head * p->head_width;
      const lm_rows k = {tile->k.data + head * p->head_width, tile->k.stride};
      const lm_rows v = {tile->v.data + head * p->value_width, tile->v.stride};
      weigh_keys(p, head, q, k, tile->tokens, tile->scratch);
      mix_values(p, tile->scratch, v, tile->tokens,
                 y + row * y_stride + head * p->value_width);
    }
  }
}
