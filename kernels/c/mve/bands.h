/* SPDX-License-Identifier: Apache-2.0
 * Outputs of a band of a linear from their sums without bias, (pairs of outputs, rows, 2), of up to
 * three rows: bias, scale, zero point, clamp, table. */
#ifndef LM_MVE_BANDS_H
#define LM_MVE_BANDS_H

#include <stddef.h>

#include "../kernels.h"
#include "mve.h"

/* Outputs of a band: a multiple of four. */
enum { LM_BAND = 64 };

/* Byte offsets of four sums of a row among (pairs, rows, 2), by rows. */
static const int32_t lm_lanes_of[3][4] = {{0, 4, 8, 12}, {0, 4, 16, 20}, {0, 4, 24, 28}};

/* Of three rows, 48 bytes before. */
static const int32_t lm_lanes_before[4] = {-48, -44, -24, -20};

/* Whether all of `count` shifts are to the right, by one bit or more. */
static bool lm_all_shift_right(const int8_t *shifts, int32_t count) {
  int32_t largest = INT8_MIN;
  __asm volatile(
      "wlstp.8 lr, %[n], 1f\n"
      "2:\n\t"
      "vldrb.8 q0, [%[shifts]], #16\n\t"
      "vmaxv.s8 %[largest], q0\n\t"
      "letp lr, 2b\n"
      "1:"
      : [largest] "+&r"(largest), [shifts] "+&r"(shifts)
      : [n] "r"(count)
      : "q0", "lr", "memory");
  return largest < 0;
}

/* Four lanes of q0 into the row at `y`. */
#define LM_STORE_S8(y) "vstrb.32 q0, [%[" y "]], #4\n\t"
#define LM_STORE_S16(y) "vstrh.32 q0, [%[" y "]], #8\n\t"
#define LM_STORE_TABLE(y)            \
  "vldrb.s32 q2, [%[table], q0]\n\t" \
  "vstrb.32 q2, [%[" y "]], #4\n\t"

/* One row: bias in q3, multipliers in q4, shifts, all negative, in q5. */
#define LM_FINISH_ROW(SUMS, STORE)      \
  "vldrw.32 q0, " SUMS "\n\t"           \
  "vadd.i32 q0, q0, q3\n\t"             \
  "vqrdmulh.s32 q0, q0, q4\n\t"         \
  "vshr.s32 q2, q0, #31\n\t"            \
  "vadd.i32 q0, q0, q2\n\t"             \
  "vrshl.s32 q0, q0, q5\n\t"            \
  "vqadd.s32 q0, q0, %[zero_point]\n\t" \
  "vmax.s32 q0, q0, %q[min]\n\t"        \
  "vmin.s32 q0, q0, %q[max]\n\t" STORE

/* Three rows whose shifts are all to the right: 34 instructions for twelve outputs. */
#define LM_FINISH_3(STORE)                                                                   \
  __asm volatile(                                                                            \
      "vldrw.32 q7, [%[lanes]]\n\t"                                                          \
      "vadd.i32 q7, q7, %[sums]\n\t"                                                         \
      "wlstp.32 lr, %[n], 1f\n"                                                              \
      "2:\n\t"                                                                               \
      "vldrw.32 q3, [%[bias]], #16\n\t"                                                      \
      "vldrw.32 q4, [%[multipliers]], #16\n\t"                                               \
      "vldrb.s32 q5, [%[shifts]], #4\n\t" LM_FINISH_ROW("[q7, #48]!", STORE("y0"))           \
          LM_FINISH_ROW("[q7, #8]", STORE("y1")) LM_FINISH_ROW("[q7, #16]", STORE("y2"))     \
      "letp lr, 2b\n"                                                                        \
      "1:"                                                                                   \
      : [bias] "+&r"(bias), [multipliers] "+&r"(multipliers), [shifts] "+&l"(shifts),        \
        [y0] "+&l"(y0), [y1] "+&l"(y1), [y2] "+&l"(y2)                                       \
      : [n] "r"(count), [sums] "r"(sums), [lanes] "r"(lm_lanes_before),                      \
        [zero_point] "r"(p->zero_point), [table] "r"(table), [min] "w"(vdupq_n_s32(p->min)), \
        [max] "w"(vdupq_n_s32(p->max))                                                       \
      : "q0", "q2", "q3", "q4", "q5", "q7", "lr", "memory")

/* One row, any shifts. */
#define LM_FINISH_1(STORE)                                                            \
  __asm volatile(                                                                     \
      "vldrw.32 q7, [%[lanes]]\n\t"                                                   \
      "vadd.i32 q7, q7, %[sums]\n\t"                                                  \
      "vmov.i32 q4, #0\n\t"                                                           \
      "wlstp.32 lr, %[n], 1f\n"                                                       \
      "2:\n\t"                                                                        \
      "vldrw.32 q0, [q7]\n\t"                                                         \
      "vadd.i32 q7, q7, %[step]\n\t"                                                  \
      "vldrw.32 q2, [%[bias]], #16\n\t"                                               \
      "vldrb.s32 q1, [%[shifts]], #4\n\t"                                             \
      "vadd.i32 q0, q0, q2\n\t"                                                       \
      "vmax.s32 q2, q1, q4\n\t"                                                       \
      "vmin.s32 q1, q1, q4\n\t"                                                       \
      "vshl.s32 q0, q0, q2\n\t"                                                       \
      "vldrw.32 q3, [%[multipliers]], #16\n\t"                                        \
      "vqrdmulh.s32 q0, q0, q3\n\t" LM_ROUNDING_SHIFT_Q0_BY_Q1                        \
      "vqadd.s32 q0, q0, %[zero_point]\n\t"                                           \
      "vmax.s32 q0, q0, %q[min]\n\t"                                                  \
      "vmin.s32 q0, q0, %q[max]\n\t" STORE("y0")                                      \
      "letp lr, 2b\n"                                                                 \
      "1:"                                                                            \
      : [bias] "+&r"(bias), [multipliers] "+&r"(multipliers), [shifts] "+&l"(shifts), \
        [y0] "+&l"(y0)                                                                \
      : [n] "r"(count), [sums] "r"(sums), [lanes] "r"(lm_lanes_of[rows - 1]),         \
        [step] "r"(16 * rows), [zero_point] "r"(p->zero_point), [table] "r"(table),   \
        [min] "w"(vdupq_n_s32(p->min)), [max] "w"(vdupq_n_s32(p->max))                \
      : "q0", "q1", "q2", "q3", "q4", "q7", "lr", "memory")

/* A band's outputs of three rows. */
#define LM_DEFINE_FINISH(NAME, TYPE, STORE)                                                  \
  LM_NOINLINE static void NAME##_3(const lm_linear *p, const int32_t *sums,                  \
                                                 int32_t first, int32_t count, TYPE *y0,     \
                                                 int32_t y_stride) {                         \
    const int32_t *bias = p->bias + first;                                                   \
    const int32_t *multipliers = p->multipliers + first;                                     \
    const int8_t *shifts = p->shifts + first;                                                \
    const int8_t *table = p->table == NULL ? NULL : p->table + 128;                          \
    TYPE *y1 = y0 + y_stride, *y2 = y1 + y_stride;                                           \
    LM_FINISH_3(STORE);                                                                      \
  }                                                                                          \
  LM_NOINLINE static void NAME##_1(const lm_linear *p, const int32_t *sums,                  \
                                                 int32_t rows, int32_t first, int32_t count, \
                                                 TYPE *y0) {                                 \
    const int32_t *bias = p->bias + first;                                                   \
    const int32_t *multipliers = p->multipliers + first;                                     \
    const int8_t *shifts = p->shifts + first;                                                \
    const int8_t *table = p->table == NULL ? NULL : p->table + 128;                          \
    LM_FINISH_1(STORE);                                                                      \
  }

LM_DEFINE_FINISH(lm_finish_s8, int8_t, LM_STORE_S8)
LM_DEFINE_FINISH(lm_finish_s16, int16_t, LM_STORE_S16)
LM_DEFINE_FINISH(lm_finish_table, int8_t, LM_STORE_TABLE)

static inline void lm_look_up(const int8_t *table, int32_t count, int32_t rows, int16_t *y,
                              int32_t y_stride) {
  for (int32_t row = 0; row < rows; row++) {
    for (int32_t i = 0; i < count; i++) y[i] = table[y[i] + 128];
    y += y_stride;
  }
}

static inline void lm_finish_band_s8(const lm_linear *p, const int32_t *sums, int32_t rows,
                                     int32_t first, int32_t count, int8_t *y, int32_t y_stride) {
  if (rows == 3 && lm_all_shift_right(p->shifts + first, count)) {
    if (p->table == NULL) {
      lm_finish_s8_3(p, sums, first, count, y, y_stride);
    } else {
      lm_finish_table_3(p, sums, first, count, y, y_stride);
    }
    return;
  }
  for (int32_t row = 0; row < rows; row++) {
    if (p->table == NULL) {
      lm_finish_s8_1(p, sums + 2 * row, rows, first, count, y + row * y_stride);
    } else {
      lm_finish_table_1(p, sums + 2 * row, rows, first, count, y + row * y_stride);
    }
  }
}

static inline void lm_finish_band_s16(const lm_linear *p, const int32_t *sums, int32_t rows,
                                      int32_t first, int32_t count, int16_t *y, int32_t y_stride) {
  if (rows == 3 && lm_all_shift_right(p->shifts + first, count)) {
    lm_finish_s16_3(p, sums, first, count, y, y_stride);
  } else {
    for (int32_t row = 0; row < rows; row++) {
      lm_finish_s16_1(p, sums + 2 * row, rows, first, count, y + row * y_stride);
    }
  }
  if (p->table != NULL) lm_look_up(p->table, count, rows, y, y_stride);
}

#endif
