/* SPDX-License-Identifier: Apache-2.0
 * Building blocks for Helium (MVE, Armv8.1-M): 16 products an instruction, tail-predicated loops.
 * The inner loops are assembly: accumulators must stay in even core registers, and GCC 12 spills
 * them when it chooses. */
#ifndef LM_MVE_H
#define LM_MVE_H

#include <arm_mve.h>

#include "../fixed_point.h"

/* Dot products of rows a, b with rows u, v, w of `width` int8: 12 instructions for 96 products.
 * Loads and multiplications alternate, for they overlap. */
static inline void lm_dot_2x3(const int8_t *a, const int8_t *b, const int8_t *u, const int8_t *v,
                              const int8_t *w, int32_t width, int32_t sums_a[3],
                              int32_t sums_b[3]) {
  int32_t au = 0, av = 0, aw = 0, bu = 0, bv = 0, bw = 0;
  __asm volatile(
      "wlstp.8 lr, %[n], 1f\n"
      "2:\n\t"
      "vldrb.8 q0, [%[a]], #16\n\t"
      "vldrb.8 q2, [%[u]], #16\n\t"
      "vmladava.s8 %[au], q0, q2\n\t"
      "vldrb.8 q1, [%[b]], #16\n\t"
      "vmladava.s8 %[bu], q1, q2\n\t"
      "vldrb.8 q3, [%[v]], #16\n\t"
      "vmladava.s8 %[av], q0, q3\n\t"
      "vmladava.s8 %[bv], q1, q3\n\t"
      "vldrb.8 q2, [%[w]], #16\n\t"
      "vmladava.s8 %[aw], q0, q2\n\t"
      "vmladava.s8 %[bw], q1, q2\n\t"
      "letp lr, 2b\n"
      "1:"
      : [au] "+Te"(au), [av] "+Te"(av), [aw] "+Te"(aw), [bu] "+Te"(bu), [bv] "+Te"(bv),
        [bw] "+Te"(bw), [a] "+r"(a), [b] "+r"(b), [u] "+r"(u), [v] "+r"(v), [w] "+r"(w)
      : [n] "r"(width)
      : "q0", "q1", "q2", "q3", "lr", "memory");
  sums_a[0] = au;
  sums_a[1] = av;
  sums_a[2] = aw;
  sums_b[0] = bu;
  sums_b[1] = bv;
  sums_b[2] = bw;
}

/* lm_requantize of four lanes. VRSHL rounds ties up; a negative x that will be shifted is made one
 * less, so that its ties go down, away from zero. */
static inline int32x4_t lm_requantize_x4(int32x4_t accumulators, int32x4_t multipliers,
                                         int32x4_t shifts) {
  const int32x4_t left = vmaxq_s32(shifts, vdupq_n_s32(0));
  const int32x4_t right = vminq_s32(shifts, vdupq_n_s32(0));
  const int32x4_t x = vqrdmulhq_s32(vshlq_s32(accumulators, left), multipliers);
  const int32x4_t one_less = vshrq_n_s32(vandq_s32(x, right), 31);
  return vrshlq_s32(vaddq_s32(x, one_less), right);
}

/* clamp(x + zero_point, min, max) */
static inline int32x4_t lm_add_clamped_x4(int32x4_t x, int32_t zero_point, int32_t min,
                                          int32_t max) {
  const int32x4_t sum = vqaddq_n_s32(x, zero_point);
  return vminq_s32(vmaxq_s32(sum, vdupq_n_s32(min)), vdupq_n_s32(max));
}

#endif
