/* SPDX-License-Identifier: Apache-2.0
 * One row by a band of outputs, as a generated token needs it: up to three groups of 32 inputs stay in
 * registers while the weights stream by, so that sums pass through memory once for 96 inputs. A pair
 * of outputs takes 25 instructions for 192 products, two groups 17 for 128. */
#ifndef LM_MVE_ONE_ROW_H
#define LM_MVE_ONE_ROW_H

#include "../kernels.h"
#include "bands.h"
#include "mve.h"
#include "products.h"

/* 32 inputs of an output. MAC: of the first 16. */
#define LM_ROW_GROUP(MAC, x0, x1, w, sum)       \
  "vldrb.8 q6, [%[" w "]], #16\n\t"             \
  MAC " %[" sum "], " x0 ", q6\n\t"             \
  "vldrb.8 q7, [%[" w "]], #16\n\t"             \
  "vmladava.s8 %[" sum "], " x1 ", q7\n\t"

#define LM_ROW_OUTPUT_1(MAC, sum) LM_ROW_GROUP(MAC, "q0", "q1", "w0", sum)
#define LM_ROW_OUTPUT_2(MAC, sum) \
  LM_ROW_OUTPUT_1(MAC, sum) LM_ROW_GROUP("vmladava.s8", "q2", "q3", "w1", sum)
#define LM_ROW_OUTPUT_3(MAC, sum) \
  LM_ROW_OUTPUT_2(MAC, sum) LM_ROW_GROUP("vmladava.s8", "q4", "q5", "w2", sum)

/* Sums of two outputs that begin or go on. */
#define LM_ROW_SET(groups)                    \
  LM_ROW_OUTPUT_##groups("vmladav.s8", "even") \
  LM_ROW_OUTPUT_##groups("vmladav.s8", "odd")  \
  "strd %[even], %[odd], [%[sums]], #8\n\t"
#define LM_ROW_ADD(groups)                     \
  "ldrd %[even], %[odd], [%[sums]]\n\t"        \
  LM_ROW_OUTPUT_##groups("vmladava.s8", "even") \
  LM_ROW_OUTPUT_##groups("vmladava.s8", "odd")  \
  "strd %[even], %[odd], [%[sums]], #8\n\t"

/* The last group of the row, in x0 and x1; what is not there counts as 0. */
#define LM_ROW_END(x0, x1, offset, next)      \
  "vctp.8 %[left]\n\t"                        \
  "vpst\n\t"                                  \
  "vldrbt.u8 " x0 ", [%[x], #" offset "]\n\t" \
  "vctp.8 %[over]\n\t"                        \
  "vpst\n\t"                                  \
  "vldrbt.u8 " x1 ", [%[x], #" next "]\n\t"
#define LM_ROW_LOAD_1 LM_ROW_END("q0", "q1", "0", "16")
#define LM_ROW_LOAD_2          \
  "vldrb.8 q0, [%[x]]\n\t"      \
  "vldrb.8 q1, [%[x], #16]\n\t" \
  LM_ROW_END("q2", "q3", "32", "48")
#define LM_ROW_LOAD_3           \
  "vldrb.8 q0, [%[x]]\n\t"      \
  "vldrb.8 q1, [%[x], #16]\n\t" \
  "vldrb.8 q2, [%[x], #32]\n\t" \
  "vldrb.8 q3, [%[x], #48]\n\t" \
  LM_ROW_END("q4", "q5", "64", "80")

/* `left` columns of the last group, at most 32; groups of w lie 64 * pairs bytes apart. */
#define LM_DEFINE_ROW_SUMS(NAME, groups, PAIR)                                                  \
  LM_NOINLINE static void NAME(const int8_t *x, int32_t left, const int8_t *w, int32_t pairs,   \
                               int32_t *sums) {                                                 \
    const int8_t *w0 = w, *w1 = w0 + 2 * LM_GROUP * pairs, *w2 = w1 + 2 * LM_GROUP * pairs;     \
    int32_t even, odd;                                                                          \
    __asm volatile(LM_ROW_LOAD_##groups                                                         \
                   "wls lr, %[pairs], 1f\n"                                                     \
                   "2:\n\t" PAIR(groups)                                                        \
                   "le lr, 2b\n"                                                                \
                   "1:"                                                                         \
                   : [even] "=&Te"(even), [odd] "=&Te"(odd), [w0] "+&r"(w0), [w1] "+&r"(w1),    \
                     [w2] "+&r"(w2), [sums] "+&r"(sums)                                         \
                   : [x] "r"(x), [left] "r"(left), [over] "r"(lm_max(left - 16, 0)),            \
                     [pairs] "r"(pairs)                                                         \
                   : "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", LM_PREDICATE "lr",         \
                     "memory");                                                                 \
  }

LM_DEFINE_ROW_SUMS(lm_set_row_1, 1, LM_ROW_SET)
LM_DEFINE_ROW_SUMS(lm_set_row_2, 2, LM_ROW_SET)
LM_DEFINE_ROW_SUMS(lm_set_row_3, 3, LM_ROW_SET)
LM_DEFINE_ROW_SUMS(lm_add_row_1, 1, LM_ROW_ADD)
LM_DEFINE_ROW_SUMS(lm_add_row_2, 2, LM_ROW_ADD)
LM_DEFINE_ROW_SUMS(lm_add_row_3, 3, LM_ROW_ADD)

/* Groups to take next: never a single one behind three. */
static inline int32_t lm_groups_at_once(int32_t groups) {
  return groups > 4 || groups == 3 ? 3 : lm_min(groups, 2);
}

/* Sums without bias of a band. w: (groups, outputs, 32); sums: (2 * pairs) */
static void lm_sum_row(const int8_t *x, int32_t inputs, const int8_t *w, int32_t pairs,
                       int32_t *sums) {
  int32_t groups = lm_groups_at_once((inputs + LM_GROUP - 1) / LM_GROUP);
  int32_t left = lm_min(inputs - (groups - 1) * LM_GROUP, LM_GROUP);
  if (groups == 1) lm_set_row_1(x, left, w, pairs, sums);
  else if (groups == 2) lm_set_row_2(x, left, w, pairs, sums);
  else lm_set_row_3(x, left, w, pairs, sums);
  for (;;) {
    x += groups * LM_GROUP;
    w += groups * 2 * LM_GROUP * pairs;
    inputs -= groups * LM_GROUP;
    if (inputs <= 0) return;
    groups = lm_groups_at_once((inputs + LM_GROUP - 1) / LM_GROUP);
    left = lm_min(inputs - (groups - 1) * LM_GROUP, LM_GROUP);
    if (groups == 1) lm_add_row_1(x, left, w, pairs, sums);
    else if (groups == 2) lm_add_row_2(x, left, w, pairs, sums);
    else lm_add_row_3(x, left, w, pairs, sums);
  }
}

/* Outputs whose shifts are all to the right: 13 instructions for four. */
#define LM_DEFINE_FINISH_RIGHT(NAME, TYPE, STORE)                                              \
  LM_NOINLINE static void NAME(const lm_linear *p, const int32_t *sums, int32_t first,         \
                               int32_t count, TYPE *y) {                                       \
    const int32_t *bias = p->bias + first;                                                     \
    const int32_t *multipliers = p->multipliers + first;                                       \
    const int8_t *shifts = p->shifts + first;                                                  \
    const int8_t *table = p->table == NULL ? NULL : p->table + 128;                            \
    __asm volatile(                                                                            \
        "wlstp.32 lr, %[n], 1f\n"                                                              \
        "2:\n\t"                                                                               \
        "vldrw.32 q0, [%[sums]], #16\n\t"                                                      \
        "vldrw.32 q1, [%[bias]], #16\n\t"                                                      \
        "vadd.i32 q0, q0, q1\n\t"                                                              \
        "vldrw.32 q2, [%[multipliers]], #16\n\t"                                               \
        "vqrdmulh.s32 q0, q0, q2\n\t"                                                          \
        "vldrb.s32 q3, [%[shifts]], #4\n\t"                                                    \
        "vshr.s32 q2, q0, #31\n\t"                                                             \
        "vadd.i32 q0, q0, q2\n\t"                                                              \
        "vrshl.s32 q0, q0, q3\n\t"                                                             \
        "vqadd.s32 q0, q0, %[zero_point]\n\t"                                                  \
        "vmax.s32 q0, q0, %q[min]\n\t"                                                         \
        "vmin.s32 q0, q0, %q[max]\n\t" STORE("y")                                              \
        "letp lr, 2b\n"                                                                        \
        "1:"                                                                                   \
        : [sums] "+&r"(sums), [bias] "+&r"(bias), [multipliers] "+&r"(multipliers),            \
          [shifts] "+&l"(shifts), [y] "+&l"(y)                                                 \
        : [n] "r"(count), [zero_point] "r"(p->zero_point), [table] "r"(table),                 \
          [min] "w"(vdupq_n_s32(p->min)), [max] "w"(vdupq_n_s32(p->max))                       \
        : "q0", "q1", "q2", "q3", "lr", "memory");                                             \
  }

LM_DEFINE_FINISH_RIGHT(lm_finish_right_s8, int8_t, LM_STORE_S8)
LM_DEFINE_FINISH_RIGHT(lm_finish_right_s16, int16_t, LM_STORE_S16)
LM_DEFINE_FINISH_RIGHT(lm_finish_right_table, int8_t, LM_STORE_TABLE)

static inline void lm_finish_row_s8(const lm_linear *p, bool all_right, const int32_t *sums,
                                    int32_t first, int32_t count, int8_t *y) {
  if (!all_right) lm_finish_band_s8(p, sums, 1, first, count, y, 0);
  else if (p->table == NULL) lm_finish_right_s8(p, sums, first, count, y);
  else lm_finish_right_table(p, sums, first, count, y);
}

static inline void lm_finish_row_s16(const lm_linear *p, bool all_right, const int32_t *sums,
                                     int32_t first, int32_t count, int16_t *y) {
  if (!all_right || p->table != NULL) lm_finish_band_s16(p, sums, 1, first, count, y, 0);
  else lm_finish_right_s16(p, sums, first, count, y);
}

#endif
