/* SPDX-License-Identifier: Apache-2.0
 * y = a + b with a stored sum: TFLite's int8 ADD. */
#include "kernels.h"

static inline int32_t aligned(int32_t value, int32_t zero_point, lm_requant scale) {
  return lm_requantize(lm_shift_left(value - zero_point, LM_ADD_LEFT_SHIFT), scale.multiplier,
                       scale.shift);
}

void lm_add_s8_s8(const lm_add *p, lm_rows a, lm_rows b, int32_t rows, int8_t *y,
                  int32_t y_stride) {
  for (int32_t row = 0; row < rows; row++) {
    for (int32_t column = 0; column < p->width; column++) {
      const int32_t sum = aligned(a.data[row * a.stride + column], p->zero_point_a, p->a) +
                          aligned(b.data[row * b.stride + column], p->zero_point_b, p->b);
      const int32_t scaled = lm_requantize(sum, p->sum.multiplier, p->sum.shift);
      y[row * y_stride + column] =
          (int8_t)lm_clamp_from_zero_point(scaled, p->zero_point, p->min, p->max);
    }
  }
}
