/* SPDX-License-Identifier: Apache-2.0
 * y = f(gate) * up, f as a table. */
#include "kernels.h"

void lm_gated_product_s8_s8(const lm_gated_product *p, lm_rows gate, lm_rows up, int32_t rows,
                            int8_t *y, int32_t y_stride) {
  const int16_t *table = p->table + 128;
  for (int32_t row = 0; row < rows; row++) {
    const int8_t *gate_row = gate.data + row * gate.stride;
    const int8_t *up_row = up.data + row * up.stride;
    for (int32_t i = 0; i < p->width; i++) {
      const int32_t product = table[gate_row[i]] * (up_row[i] - p->zero_point_up);
      const int32_t value = lm_rounding_high_mul(product, p->multiplier) + p->zero_point;
      y[row * y_stride + i] = (int8_t)lm_clamp(value, INT8_MIN, INT8_MAX);
    }
  }
}
