/* SPDX-License-Identifier: Apache-2.0
 * residual_add.c for Helium: eight columns at a time, 17 instructions for them. */
#include "../kernels.h"
#include "mve.h"

/* q0, q1 = the odd and the even columns at `from`, times `multiplier` / 2^16. */
#define LM_SCALED(odd, even, from, multiplier)          \
  "vldrh.16 " odd ", [%[" from "]], #16\n\t"            \
  "vshllb.s16 " even ", " odd ", #16\n\t"               \
  "vshllt.s16 " odd ", " odd ", #16\n\t"                \
  "vmulh.s32 " even ", " even ", " multiplier "\n\t"    \
  "vmulh.s32 " odd ", " odd ", " multiplier "\n\t"

/* An even number of columns. */
LM_NOINLINE static void add_columns(const lm_residual_add *p, const int16_t *a, const int16_t *b,
                                    int32_t columns, int16_t *y) {
  __asm volatile(
      "vdup.32 q4, %[multiplier_a]\n\t"
      "vdup.32 q5, %[multiplier_b]\n\t"
      "wlstp.16 lr, %[columns], 1f\n"
      "2:\n\t" LM_SCALED("q0", "q1", "a", "q4") LM_SCALED("q2", "q3", "b", "q5")
      "vadd.i32 q1, q1, q3\n\t"
      "vadd.i32 q0, q0, q2\n\t"
      "vrshl.s32 q1, %[left]\n\t"
      "vrshl.s32 q0, %[left]\n\t"
      "vqmovnb.s32 q1, q1\n\t"
      "vqmovnt.s32 q1, q0\n\t"
      "vstrh.16 q1, [%[y]], #16\n\t"
      "letp lr, 2b\n"
      "1:"
      : [a] "+&r"(a), [b] "+&r"(b), [y] "+&r"(y)
      : [columns] "r"(columns), [multiplier_a] "r"(p->multiplier_a),
        [multiplier_b] "r"(p->multiplier_b), [left] "r"(-p->shift)
      : "q0", "q1", "q2", "q3", "q4", "q5", "lr", "memory");
}

static inline int32_t scaled(int16_t value, int32_t multiplier) {
  return (int32_t)(((int64_t)value * multiplier) >> 16);
}

void lm_residual_add_s16_s16_mve(const lm_residual_add *p, lm_wide_rows a, lm_wide_rows b,
                                 int32_t rows, int16_t *y, int32_t y_stride) {
  const int32_t even = p->width & ~1;
  for (int32_t row = 0; row < rows; row++) {
    const int16_t *a_row = a.data + row * a.stride;
    const int16_t *b_row = b.data + row * b.stride;
    int16_t *to = y + row * y_stride;
    add_columns(p, a_row, b_row, even, to);
    if (even == p->width) continue;
    const int32_t sum =
        scaled(a_row[even], p->multiplier_a) + scaled(b_row[even], p->multiplier_b);
    to[even] = (int16_t)lm_clamp((sum + (1 << (p->shift - 1))) >> p->shift, INT16_MIN, INT16_MAX);
  }
}
