/* SPDX-License-Identifier: Apache-2.0
 * y = x / sqrt(mean of x^2 + epsilon) * gamma. */
#include "kernels.h"

void lm_rms_norm_s16_s8(const lm_rms_norm *p, lm_wide_rows x, int32_t rows, int8_t *y,
                        int32_t y_stride) {
  for (int32_t row = 0; row < rows; row++) {
    const int16_t *x_row = x.data + row * x.stride;
    int64_t squares = 0;
    for (int32_t i = 0; i < p->width; i++) squares += x_row[i] * x_row[i];
    const lm_normalizer normalizer =
        lm_normalizer_of(p->width * squares + p->epsilon, p->fraction);
    for (int32_t i = 0; i < p->width; i++) {
      const int32_t normalized = lm_normalize(p->width * x_row[i], normalizer);
      const int32_t scaled = (normalized * p->gamma[i] + p->offset) >> p->out_shift;
      y[row * y_stride + i] = (int8_t)lm_clamp(scaled, p->min, p->max);
    }
  }
}
