/* SPDX-License-Identifier: Apache-2.0
 * Building blocks for Helium (MVE, Armv8.1-M): 16 products an instruction, tail-predicated loops.
 * The inner loops are assembly: accumulators must stay in even core registers, and GCC 12 spills
 * them when it chooses. */
#ifndef LM_MVE_H
#define LM_MVE_H

#include <arm_mve.h>

#include "../fixed_point.h"

/* The predicate register among the clobbers of assembly; clang has no name for it. */
#ifdef __clang__
#define LM_PREDICATE
#else
#define LM_PREDICATE "p0",
#endif

/* GCC 12 finds no registers for some assembly when it is part of a larger function. */
#define LM_NOINLINE __attribute__((noinline))

/* Dot products of rows a, b with rows u, v, w of `width` int8: 12 instructions for 96 products.
 * Loads and multiplications alternate, for they overlap. */
static inline void lm_dot_2x3(const int8_t *a, const int8_t *b, const int8_t *u, const int8_t *v,
                              const int8_t *w, int32_t width, int32_t *sums_a,
                              int32_t *sums_b) {
  int32_t au, av, aw, bu, bv, bw;
  __asm volatile(
      "mov %[au], #0\n\t"
      "mov %[av], #0\n\t"
      "mov %[aw], #0\n\t"
      "mov %[bu], #0\n\t"
      "mov %[bv], #0\n\t"
      "mov %[bw], #0\n\t"
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
      : [au] "=&Te"(au), [av] "=&Te"(av), [aw] "=&Te"(aw), [bu] "=&Te"(bu), [bv] "=&Te"(bv),
        [bw] "=&Te"(bw), [a] "+&r"(a), [b] "+&r"(b), [u] "+&r"(u), [v] "+&r"(v), [w] "+&r"(w)
      : [n] "r"(width)
      : "q0", "q1", "q2", "q3", "lr", "memory");
  sums_a[0] = au;
  sums_a[1] = av;
  sums_a[2] = aw;
  sums_b[0] = bu;
  sums_b[1] = bv;
  sums_b[2] = bw;
}

/* The part of lm_requantize behind VQRDMULH, with `right` = min(shift, 0) in q1. VRSHL rounds ties up;
 * a negative x that will be shifted is made one less, so that its ties go down, away from zero. */
#define LM_ROUNDING_SHIFT_Q0_BY_Q1 \
  "vand q2, q0, q1\n\t"            \
  "vshr.s32 q2, q2, #31\n\t"       \
  "vadd.i32 q0, q0, q2\n\t"        \
  "vrshl.s32 q0, q0, q1\n\t"

/* y[i] = clamp(requantize(sums[i] + bias[i]) + zero_point), an own multiplier for each i: 18
 * instructions for four. `STORE` writes four lanes of q0 to y. */
#define LM_FINISH_OUTPUTS(STORE)                                                              \
  __asm volatile(                                                                             \
      "vmov.i32 q4, #0\n\t"                                                                   \
      "wlstp.32 lr, %[n], 1f\n"                                                               \
      "2:\n\t"                                                                                \
      "vldrw.32 q0, [%[sums]], #16\n\t"                                                       \
      "vldrw.32 q2, [%[bias]], #16\n\t"                                                       \
      "vldrb.s32 q1, [%[shifts]], #4\n\t"                                                     \
      "vadd.i32 q0, q0, q2\n\t"                                                               \
      "vmax.s32 q2, q1, q4\n\t"                                                               \
      "vmin.s32 q1, q1, q4\n\t"                                                               \
      "vshl.s32 q0, q0, q2\n\t"                                                               \
      "vldrw.32 q3, [%[multipliers]], #16\n\t"                                                \
      "vqrdmulh.s32 q0, q0, q3\n\t" LM_ROUNDING_SHIFT_Q0_BY_Q1                                \
      "vqadd.s32 q0, q0, %[zero_point]\n\t"                                                   \
      "vmax.s32 q0, q0, %q[min]\n\t"                                                          \
      "vmin.s32 q0, q0, %q[max]\n\t" STORE                                                    \
      "letp lr, 2b\n"                                                                         \
      "1:"                                                                                    \
      : [sums] "+&r"(sums), [bias] "+&r"(bias), [shifts] "+&l"(shifts),                       \
        [multipliers] "+&r"(multipliers), [y] "+&l"(y)                                        \
      : [n] "r"(count), [zero_point] "r"(zero_point), [min] "w"(vdupq_n_s32(min)),            \
        [max] "w"(vdupq_n_s32(max))                                                           \
      : "q0", "q1", "q2", "q3", "q4", "lr", "memory")

/* y[i] = clamp(requantize(start + sums[i])), one multiplier for all: 12 instructions for four. */
#define LM_FINISH_UNIFORM(STORE)                                                              \
  __asm volatile(                                                                             \
      "vdup.32 q1, %[right]\n\t"                                                              \
      "vdup.32 q5, %[min]\n\t"                                                                \
      "vdup.32 q6, %[max]\n\t"                                                                \
      "wlstp.32 lr, %[n], 1f\n"                                                               \
      "2:\n\t"                                                                                \
      "vldrw.32 q0, [%[sums]], #16\n\t"                                                       \
      "vadd.i32 q0, q0, %[start]\n\t"                                                         \
      "vshl.s32 q0, %[left]\n\t"                                                              \
      "vqrdmulh.s32 q0, q0, %[multiplier]\n\t" LM_ROUNDING_SHIFT_Q0_BY_Q1                     \
      "vmax.s32 q0, q0, q5\n\t"                                                               \
      "vmin.s32 q0, q0, q6\n\t" STORE                                                         \
      "letp lr, 2b\n"                                                                         \
      "1:"                                                                                    \
      : [sums] "+&r"(sums), [y] "+&l"(y)                                                      \
      : [n] "r"(count), [left] "r"(lm_max(requant.shift, 0)),                                 \
        [right] "r"(lm_min(requant.shift, 0)), [multiplier] "r"(requant.multiplier),          \
        [start] "r"(start), [min] "r"(min), [max] "r"(max)                                    \
      : "q0", "q1", "q2", "q5", "q6", "lr", "memory")

static inline void lm_finish_uniform_s8(const int32_t *sums, int32_t start, int32_t count,
                                        lm_requant requant, int8_t *y) {
  const int32_t min = INT8_MIN, max = INT8_MAX;
  LM_FINISH_UNIFORM("vstrb.32 q0, [%[y]], #4\n\t");
}

static inline void lm_finish_uniform_s16(const int32_t *sums, int32_t start, int32_t count,
                                         lm_requant requant, int16_t *y) {
  const int32_t min = INT16_MIN, max = INT16_MAX;
  LM_FINISH_UNIFORM("vstrh.32 q0, [%[y]], #8\n\t");
}

/* Turns scores + 128 into weights, weights[key] = exp_table[largest score - score], and returns their
 * sum: nine instructions for 16. */
static inline int32_t lm_weigh_scores(const uint8_t *exp_table, uint8_t *scores, int32_t keys) {
  uint32_t largest = 0;
  int32_t total = 0;
  const uint8_t *from = scores;
  __asm volatile(
      "wlstp.8 lr, %[n], 1f\n"
      "2:\n\t"
      "vldrb.8 q0, [%[from]], #16\n\t"
      "vmaxv.u8 %[largest], q0\n\t"
      "letp lr, 2b\n"
      "1:\n\t"
      "vdup.8 q1, %[largest]\n\t"
      "wlstp.8 lr, %[n], 1f\n"
      "2:\n\t"
      "vldrb.8 q0, [%[to]]\n\t"
      "vsub.i8 q0, q1, q0\n\t"
      "vldrb.u8 q2, [%[table], q0]\n\t"
      "vaddva.u8 %[total], q2\n\t"
      "vstrb.8 q2, [%[to]], #16\n\t"
      "letp lr, 2b\n"
      "1:"
      : [largest] "+&r"(largest), [total] "+&Te"(total), [from] "+&r"(from), [to] "+&r"(scores)
      : [n] "r"(keys), [table] "r"(exp_table)
      : "q0", "q1", "q2", "lr", "memory");
  return total;
}

#endif
