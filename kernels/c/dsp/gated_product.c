/* SPDX-License-Identifier: Apache-2.0
 * gated_product.c with SMMULR. */
#include "../kernels.h"
#include "dsp.h"

void lm_gated_product_s8_s8_dsp(const lm_gated_product *p, lm_rows gate, lm_rows up, int32_t rows,
                                int8_t *y, int32_t y_stride) {
  const int16_t *table = p->table + 128;
  const int32_t multiplier = p->multiplier, zero_point = p->zero_point;
  const int32_t zero_point_up = p->zero_point_up;
  for (int32_t row = 0; row < rows; row++) {
    const int8_t *from_gate = gate.data + row * gate.stride;
    const int8_t *from_up = up.data + row * up.stride;
    int8_t *to = y + row * y_stride;
    for (const int8_t *const end = to + p->width; to != end; to++) {
      const int32_t product = table[*from_gate++] * (*from_up++ - zero_point_up);
      *to = (int8_t)lm_saturate8(lm_smmlar(product, multiplier, zero_point));
    }
  }
}
