/* SPDX-License-Identifier: Apache-2.0
 * linear_w4.c for Helium: linear.c with as many instructions, for one that shifts stands where one
 * loaded.
 *
 * A byte of weights is low + 16 * high for two outputs of an input, so that the sums H of byte *
 * x and L of (byte << 4) * x give S(low) = L / 16 and S(high) = (H - S(low)) / 16. Packed as
 * "nibble-bands-64x32" (bands of 64 outputs, groups of 32 inputs, pairs of the band, 32 bytes),
 * filled up with zeros. */
#include <stddef.h>

#include "../kernels.h"
#include "bands.h"
#include "mve.h"
#include "products.h"

#define LOAD "vldrb.8 q6, [%[w]], #16\n\t"
#define SHIFT "vshl.i8 q7, q6, #4\n\t"

/* A pair with 3, 2 or 1 rows, its low sums in r0, r4, r8. `MAC` of the first 16 inputs sets or
 * adds. */
#define PAIR_3(MAC, BEFORE)                                                            \
  BEFORE LOAD MAC " r2, q0, q6\n\t" SHIFT MAC " r6, q2, q6\n\t" MAC " r10, q4, q6\n\t" \
  LOAD MAC " r0, q0, q7\n\t" MAC " r4, q2, q7\n\t" MAC " r8, q4, q7\n\t"               \
  "vmladava.s8 r2, q1, q6\n\t" SHIFT                                                   \
  "vmladava.s8 r6, q3, q6\n\t"                                                         \
  "vmladava.s8 r10, q5, q6\n\t"                                                        \
  "vmladava.s8 r0, q1, q7\n\t"                                                         \
  "vmladava.s8 r4, q3, q7\n\t"                                                         \
  "vmladava.s8 r8, q5, q7\n\t"                                                         \
  "stm %[sums]!, {r0, r2, r4, r6, r8, r10}\n\t"

#define PAIR_2(MAC, BEFORE)                                     \
  BEFORE LOAD MAC " r2, q0, q6\n\t" SHIFT MAC " r6, q2, q6\n\t" \
  LOAD MAC " r0, q0, q7\n\t" MAC " r4, q2, q7\n\t"              \
  "vmladava.s8 r2, q1, q6\n\t" SHIFT                            \
  "vmladava.s8 r6, q3, q6\n\t"                                  \
  "vmladava.s8 r0, q1, q7\n\t"                                  \
  "vmladava.s8 r4, q3, q7\n\t"                                  \
  "stm %[sums]!, {r0, r2, r4, r6}\n\t"

#define PAIR_1(MAC, BEFORE)                                          \
  BEFORE LOAD MAC " r2, q0, q6\n\t" SHIFT MAC " r0, q0, q7\n\t" LOAD \
  "vmladava.s8 r2, q1, q6\n\t" SHIFT                                 \
  "vmladava.s8 r0, q1, q7\n\t"                                       \
  "stm %[sums]!, {r0, r2}\n\t"

/* sums (pairs, rows, 2) = or += products of at most 32 inputs of 1, 2 or 3 rows. */
static void add_products(lm_rows x, int32_t rows, int32_t left, const int8_t *w, int32_t pairs,
                         int32_t *sums) {
  enum { step = 0 };
  if (rows == 3) {
    LM_PRODUCTS("", PAIR_3("vmladava.s8", LM_BEFORE_3));
  } else if (rows == 2) {
    LM_PRODUCTS("", PAIR_2("vmladava.s8", LM_BEFORE_2));
  } else {
    LM_PRODUCTS("", PAIR_1("vmladava.s8", LM_BEFORE_1));
  }
}

static void set_products(lm_rows x, int32_t rows, int32_t left, const int8_t *w, int32_t pairs,
                         int32_t *sums) {
  enum { step = 0 };
  if (rows == 3) {
    LM_PRODUCTS("", PAIR_3("vmladav.s8", ""));
  } else if (rows == 2) {
    LM_PRODUCTS("", PAIR_2("vmladav.s8", ""));
  } else {
    LM_PRODUCTS("", PAIR_1("vmladav.s8", ""));
  }
}

/* Makes `count` pairs (L, H) what they stand for, four at a time; those behind are nobody's. */
static void part_sums(int32_t *sums, int32_t count) {
  __asm volatile(
      "wls lr, %[turns], 1f\n"
      "2:\n\t"
      "vld20.32 {q0, q1}, [%[sums]]\n\t"
      "vld21.32 {q0, q1}, [%[sums]]\n\t"
      "vshr.s32 q0, q0, #4\n\t"
      "vsub.i32 q1, q1, q0\n\t"
      "vshr.s32 q1, q1, #4\n\t"
      "vst20.32 {q0, q1}, [%[sums]]\n\t"
      "vst21.32 {q0, q1}, [%[sums]]!\n\t"
      "le lr, 2b\n"
      "1:"
      : [sums] "+&r"(sums)
      : [turns] "r"((count + 3) / 4)
      : "q0", "q1", "lr", "memory");
}

/* Sums without bias of a band. w: (groups, pairs, 32); sums: (pairs, rows, 2) */
static void sum_band(const lm_linear *p, lm_rows x, int32_t rows, const int8_t *w, int32_t pairs,
                     int32_t *sums) {
  set_products(x, rows, p->inputs, w, pairs, sums);
  for (int32_t first = LM_GROUP; first < p->inputs; first += LM_GROUP) {
    w += LM_GROUP * pairs;
    x.data += LM_GROUP;
    add_products(x, rows, p->inputs - first, w, pairs, sums);
  }
  part_sums(sums, pairs * rows);
}

void lm_linear_w4_s8_s8_mve(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y,
                            int32_t y_stride, void *scratch) {
  (void)scratch;
  const int32_t groups = (p->inputs + LM_GROUP - 1) / LM_GROUP;
  int32_t sums[3 * LM_BAND];
  for (int32_t row = 0; row < rows; row += 3) {
    const lm_rows block = {x.data + row * x.stride, x.stride};
    const int32_t count = lm_min(3, rows - row);
    const int8_t *w = p->weights;
    for (int32_t first = 0; first < p->outputs; first += LM_BAND) {
      const int32_t outputs = lm_min(LM_BAND, p->outputs - first);
      const int32_t pairs = (outputs + 1) >> 1;
      sum_band(p, block, count, w, pairs, sums);
      lm_finish_band_s8(p, sums, count, first, outputs, y + row * y_stride + first, y_stride);
      w += LM_GROUP * pairs * groups;
    }
  }
}

void lm_linear_w4_s8_s16_mve(const lm_linear *p, lm_rows x, int32_t rows, int16_t *y,
                             int32_t y_stride, void *scratch) {
  (void)scratch;
  const int32_t groups = (p->inputs + LM_GROUP - 1) / LM_GROUP;
  int32_t sums[3 * LM_BAND];
  for (int32_t row = 0; row < rows; row += 3) {
    const lm_rows block = {x.data + row * x.stride, x.stride};
    const int32_t count = lm_min(3, rows - row);
    const int8_t *w = p->weights;
    for (int32_t first = 0; first < p->outputs; first += LM_BAND) {
      const int32_t outputs = lm_min(LM_BAND, p->outputs - first);
      const int32_t pairs = (outputs + 1) >> 1;
      sum_band(p, block, count, w, pairs, sums);
      lm_finish_band_s16(p, sums, count, first, outputs, y + row * y_stride + first, y_stride);
      w += LM_GROUP * pairs * groups;
    }
  }
}
