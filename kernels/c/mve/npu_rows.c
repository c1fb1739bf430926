/* SPDX-License-Identifier: Apache-2.0
 * npu_rows.c for Helium. */
#include "../npu_attention.h"
#include "mve.h"

int32_t lm_npu_weigh(const uint8_t *exp_table, uint8_t *scores, int32_t keys) {
  return lm_weigh_scores(exp_table, scores, keys);
}

/* 13 instructions for four. */
void lm_npu_scale(const int32_t *sums, int32_t count, lm_requant requant, int32_t zero_point,
                  int8_t *y) {
  const int32_t min = INT8_MIN - zero_point, max = INT8_MAX - zero_point;
  __asm volatile(
      "vdup.32 q1, %[right]\n\t"
      "vdup.32 q5, %[min]\n\t"
      "vdup.32 q6, %[max]\n\t"
      "wlstp.32 lr, %[n], 1f\n"
      "2:\n\t"
      "vldrw.32 q0, [%[sums]], #16\n\t"
      "vshl.s32 q0, %[left]\n\t"
      "vqrdmulh.s32 q0, q0, %[multiplier]\n\t" LM_ROUNDING_SHIFT_Q0_BY_Q1
      "vmax.s32 q0, q0, q5\n\t"
      "vmin.s32 q0, q0, q6\n\t"
      "vadd.i32 q0, q0, %[zero_point]\n\t"
      "vstrb.32 q0, [%[y]], #4\n\t"
      "letp lr, 2b\n"
      "1:"
      : [sums] "+&r"(sums), [y] "+&l"(y)
      : [n] "r"(count), [left] "r"(lm_max(requant.shift, 0)),
        [right] "r"(lm_min(requant.shift, 0)), [multiplier] "r"(requant.multiplier),
        [zero_point] "r"(zero_point), [min] "r"(min), [max] "r"(max)
      : "q0", "q1", "q2", "q5", "q6", "lr", "memory");
}
