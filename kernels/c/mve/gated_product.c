/* SPDX-License-Identifier: Apache-2.0
 * gated_product.c for Helium: eight columns at a time, 14 instructions for them. */
#include "../kernels.h"
#include "mve.h"

/* An even number of columns. */
LM_NOINLINE static void multiply_columns(const lm_gated_product *p, const int8_t *gate,
                                         const int8_t *up, int32_t columns, int8_t *y) {
  __asm volatile(
      "vdup.32 q4, %[multiplier]\n\t"
      "wlstp.16 lr, %[columns], 1f\n"
      "2:\n\t"
      "vldrb.s16 q0, [%[gate]], #8\n\t"
      "vadd.i16 q0, q0, %[middle]\n\t"
      "vldrb.s16 q1, [%[up]], #8\n\t"
      "vldrh.u16 q2, [%[table], q0, uxtw #1]\n\t"
      "vsub.i16 q1, q1, %[zero_point_up]\n\t"
      "vmullb.s16 q0, q2, q1\n\t"
      "vmullt.s16 q3, q2, q1\n\t"
      "vrmulh.s32 q0, q0, q4\n\t"
      "vrmulh.s32 q3, q3, q4\n\t"
      "vqmovnb.s32 q0, q0\n\t"
      "vqmovnt.s32 q0, q3\n\t"
      "vqadd.s16 q0, q0, %[zero_point]\n\t"
      "vqmovnb.s16 q0, q0\n\t"
      "vstrb.16 q0, [%[y]], #8\n\t"
      "letp lr, 2b\n"
      "1:"
      : [gate] "+&l"(gate), [up] "+&l"(up), [y] "+&l"(y)
      : [columns] "r"(columns), [multiplier] "r"(p->multiplier), [table] "r"(p->table),
        [middle] "r"(128), [zero_point_up] "r"(p->zero_point_up), [zero_point] "r"(p->zero_point)
      : "q0", "q1", "q2", "q3", "q4", "lr", "memory");
}

void lm_gated_product_s8_s8_mve(const lm_gated_product *p, lm_rows gate, lm_rows up, int32_t rows,
                                int8_t *y, int32_t y_stride) {
  const int32_t even = p->width & ~1;
  for (int32_t row = 0; row < rows; row++) {
    const int8_t *gate_row = gate.data + row * gate.stride;
    const int8_t *up_row = up.data + row * up.stride;
    int8_t *to = y + row * y_stride;
    multiply_columns(p, gate_row, up_row, even, to);
    if (even == p->width) continue;
    const int32_t product = p->table[gate_row[even] + 128] * (up_row[even] - p->zero_point_up);
    const int32_t value = lm_rounding_high_mul(product, p->multiplier) + p->zero_point;
    to[even] = (int8_t)lm_clamp(value, INT8_MIN, INT8_MAX);
  }
}
