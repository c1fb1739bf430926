/* SPDX-License-Identifier: Apache-2.0
 * rotary.c for Helium: four points at a time, the same of every head, 15 instructions for them. */
#include "../kernels.h"
#include "mve.h"

/* At most eight columns of all heads. */
LM_NOINLINE static void turn_points(const lm_rotary *p, const int16_t *angles, const int16_t *x,
                                    int32_t columns, int8_t *y) {
  __asm volatile(
      "vctp.16 %[columns]\n\t"
      "vpst\n\t"
      "vldrht.u16 q0, [%[angles]]\n\t" /* cosines and sines */
      "vdup.32 q5, %[multiplier]\n\t"
      "vrev32.16 q1, q0\n\t"
      "wls lr, %[heads], 1f\n"
      "2:\n\t"
      "vpst\n\t"
      "vldrht.u16 q2, [%[x]]\n\t"
      "add %[x], %[x], %[width], lsl #1\n\t"
      "vmullb.s16 q3, q2, q0\n\t"
      "vmullt.s16 q4, q2, q0\n\t"
      "vsub.i32 q3, q3, q4\n\t"
      "vrmulh.s32 q3, q3, q5\n\t"
      "vmullb.s16 q4, q2, q1\n\t"
      "vmullt.s16 q2, q2, q1\n\t"
      "vadd.i32 q4, q4, q2\n\t"
      "vrmulh.s32 q4, q4, q5\n\t"
      "vrshl.s32 q3, %[left]\n\t"
      "vrshl.s32 q4, %[left]\n\t"
      "vqmovnb.s32 q3, q3\n\t"
      "vqmovnt.s32 q3, q4\n\t"
      "vqmovnb.s16 q3, q3\n\t"
      "vpst\n\t"
      "vstrbt.16 q3, [%[y]]\n\t"
      "add %[y], %[y], %[width]\n\t"
      "le lr, 2b\n"
      "1:"
      : [x] "+&r"(x), [y] "+&l"(y)
      : [columns] "r"(columns), [angles] "r"(angles), [multiplier] "r"(p->multiplier),
        [heads] "r"(p->heads), [width] "r"(p->head_width), [left] "r"(-p->shift)
      : "q0", "q1", "q2", "q3", "q4", "q5", LM_PREDICATE "lr", "memory");
}

void lm_rotary_s16_s8_mve(const lm_rotary *p, lm_wide_rows x, int32_t rows, int32_t row_start,
                          int8_t *y, int32_t y_stride) {
  const int32_t width = p->head_width;
  for (int32_t row = 0; row < rows; row++) {
    const int16_t *angles = p->table + (row_start + row) * width;
    for (int32_t first = 0; first < width; first += 8) {
      turn_points(p, angles + first, x.data + row * x.stride + first, width - first,
                  y + row * y_stride + first);
    }
  }
}
