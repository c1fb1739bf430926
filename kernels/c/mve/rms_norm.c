/* SPDX-License-Identifier: Apache-2.0
 * rms_norm.c for Helium: eight squares, then four columns at a time. */
#include "../kernels.h"
#include "mve.h"

LM_NOINLINE static int64_t sum_of_squares(const int16_t *x, int32_t width) {
  int64_t sum = 0;
  __asm volatile(
      "wlstp.16 lr, %[n], 1f\n"
      "2:\n\t"
      "vldrh.16 q0, [%[x]], #16\n\t"
      "vmlaldava.s16 %Q[sum], %R[sum], q0, q0\n\t"
      "letp lr, 2b\n"
      "1:"
      : [sum] "+&r"(sum), [x] "+&r"(x)
      : [n] "r"(width)
      : "q0", "lr", "memory");
  return sum;
}

/* 13 instructions for four columns. */
LM_NOINLINE static void norm_columns(const lm_rms_norm *p, lm_normalizer normalizer,
                                     const int16_t *x, int8_t *y) {
  const int16_t *gamma = p->gamma;
  __asm volatile(
      "vdup.32 q2, %[factor]\n\t"
      "wlstp.32 lr, %[n], 1f\n"
      "2:\n\t"
      "vldrh.s32 q0, [%[x]], #8\n\t"
      "vmul.i32 q0, q0, %[width]\n\t"
      "vldrh.s32 q1, [%[gamma]], #8\n\t"
      "vrmulh.s32 q0, q0, q2\n\t"
      "vrshl.s32 q0, %[right]\n\t"
      "vqmovnb.s32 q0, q0\n\t"
      "vmovlb.s16 q0, q0\n\t"
      "vmlas.s32 q0, q1, %[offset]\n\t"
      "vshl.s32 q0, %[out]\n\t"
      "vmax.s32 q0, q0, %q[min]\n\t"
      "vmin.s32 q0, q0, %q[max]\n\t"
      "vstrb.32 q0, [%[y]], #4\n\t"
      "letp lr, 2b\n"
      "1:"
      : [x] "+&l"(x), [gamma] "+&l"(gamma), [y] "+&l"(y)
      : [n] "r"(p->width), [factor] "r"(normalizer.factor),
        [width] "r"(lm_shift_left(p->width, normalizer.left)), [right] "r"(-normalizer.right),
        [offset] "r"(p->offset), [out] "r"(-p->out_shift), [min] "w"(vdupq_n_s32(p->min)),
        [max] "w"(vdupq_n_s32(p->max))
      : "q0", "q1", "q2", "lr", "memory");
}

void lm_rms_norm_s16_s8_mve(const lm_rms_norm *p, lm_wide_rows x, int32_t rows, int8_t *y,
                            int32_t y_stride) {
  for (int32_t row = 0; row < rows; row++) {
    const int16_t *from = x.data + row * x.stride;
    const int64_t squares = sum_of_squares(from, p->width);
    const lm_normalizer normalizer =
        lm_normalizer_of(p->width * squares + p->epsilon, p->fraction);
    norm_columns(p, normalizer, from, y + row * y_stride);
  }
}
