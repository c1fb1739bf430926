/* SPDX-License-Identifier: Apache-2.0
 * rms_norm.c with SMLALD and SMMLAR. */
#include "../kernels.h"
#include "dsp.h"

static int64_t sum_of_squares(const int16_t *x, int32_t width) {
  uint32_t low = 0;
  int32_t high = 0;
  const int16_t *const end = x + (width & ~1);
  while (x != end) {
    uint32_t pair;
    __builtin_memcpy(&pair, x, sizeof pair);
    __asm("smlald %0, %1, %2, %2" : "+&r"(low), "+&r"(high) : "r"(pair));
    x += 2;
  }
  const int64_t sum = (int64_t)((uint64_t)(uint32_t)high << 32 | low);
  return width & 1 ? sum + *x * *x : sum;
}

void lm_rms_norm_s16_s8_dsp(const lm_rms_norm *p, lm_wide_rows x, int32_t rows, int8_t *y,
                            int32_t y_stride) {
  const int32_t width = p->width, offset = p->offset, out_shift = p->out_shift;
  for (int32_t row = 0; row < rows; row++) {
    const int16_t *from = x.data + row * x.stride;
    const int64_t squares = sum_of_squares(from, width);
    const lm_normalizer normalizer = lm_normalizer_of(width * squares + p->epsilon, p->fraction);
    const int32_t factor = lm_shift_left(width, normalizer.left);
    const int32_t half = lm_shift_left(1, normalizer.right) >> 1;
    const int16_t *gamma = p->gamma;
    int8_t *to = y + row * y_stride;
    for (const int8_t *const end = to + width; to != end; to++) {
      const int32_t centered = (int32_t)((uint32_t)*from++ * (uint32_t)factor);
      const int32_t product = lm_smmlar(centered, normalizer.factor, half);
      const int32_t normalized = lm_saturate16(product >> normalizer.right);
      *to = (int8_t)lm_saturate8((normalized * *gamma++ + offset) >> out_shift);
    }
    if (p->min == INT8_MIN && p->max == INT8_MAX) continue;
    for (int32_t i = 0; i < width; i++) {
      y[row * y_stride + i] = (int8_t)lm_clamp(y[row * y_stride + i], p->min, p->max);
    }
  }
}
