/* SPDX-License-Identifier: Apache-2.0
 * y = a + b by CMSIS-NN. */
#include "arm_nnfunctions.h"
#include "../kernels.h"

static void add(const lm_add *p, const int8_t *a, const int8_t *b, int8_t *y, int32_t count) {
  arm_elementwise_add_s8(a, b, -p->zero_point_a, p->a.multiplier, p->a.shift, -p->zero_point_b,
                         p->b.multiplier, p->b.shift, LM_ADD_LEFT_SHIFT, y, p->zero_point,
                         p->sum.multiplier, p->sum.shift, p->min, p->max, count);
}

void lm_add_s8_s8_cmsis(const lm_add *p, lm_rows a, lm_rows b, int32_t rows, int8_t *y,
                        int32_t y_stride) {
  if (a.stride == p->width && b.stride == p->width && y_stride == p->width) {
    add(p, a.data, b.data, y, rows * p->width);
    return;
  }
  for (int32_t row = 0; row < rows; row++) {
    add(p, a.data + row * a.stride, b.data + row * b.stride, y + row * y_stride, p->width);
  }
}
