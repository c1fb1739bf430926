/* SPDX-License-Identifier: Apache-2.0
 * linear.c for Helium: three or two rows of 32 inputs stay in registers while the weights stream by,
 * and the sums of a band of outputs lie on the stack between one group of inputs and the next. A single
 * row has a way of its own (one_row.h).
 *
 * Weights are packed for this order, "bands-64x32": (bands of 64 outputs, groups of 32 inputs,
 * outputs of the band, 32 inputs), outputs filled up to pairs and inputs to 32 with zeros. */
#include <stddef.h>

#include "../kernels.h"
#include "bands.h"
#include "mve.h"
#include "one_row.h"
#include "products.h"

/* sums (pairs, rows, 2) = or += products of at most 32 inputs of 2 or 3 rows. */
static void add_products(lm_rows x, int32_t rows, int32_t left, const int8_t *w, int32_t pairs,
                         int32_t *sums) {
  enum { step = 0 };
  if (rows == 3) {
    LM_PRODUCTS("", LM_PAIR_3("vmladava.s8", LM_BEFORE_3, LM_NEXT_0, LM_NEXT_1));
  } else {
    LM_PRODUCTS("", LM_PAIR_2("vmladava.s8", LM_BEFORE_2, LM_NEXT_0, LM_NEXT_1));
  }
}

static void set_products(lm_rows x, int32_t rows, int32_t left, const int8_t *w, int32_t pairs,
                         int32_t *sums) {
  enum { step = 0 };
  if (rows == 3) {
    LM_PRODUCTS("", LM_PAIR_3("vmladav.s8", "", LM_NEXT_0, LM_NEXT_1));
  } else {
    LM_PRODUCTS("", LM_PAIR_2("vmladav.s8", "", LM_NEXT_0, LM_NEXT_1));
  }
}

/* Sums without bias of a band. w: (groups, outputs, 32); sums: (pairs, rows, 2) */
static void sum_band(const lm_linear *p, lm_rows x, int32_t rows, const int8_t *w, int32_t pairs,
                     int32_t *sums) {
  set_products(x, rows, p->inputs, w, pairs, sums);
  for (int32_t first = LM_GROUP; first < p->inputs; first += LM_GROUP) {
    w += 2 * LM_GROUP * pairs;
    x.data += LM_GROUP;
    add_products(x, rows, p->inputs - first, w, pairs, sums);
  }
}

LM_NOINLINE static void make_row_s8(const lm_linear *p, const int8_t *x, int8_t *y) {
  const int32_t groups = (p->inputs + LM_GROUP - 1) / LM_GROUP;
  const bool all_right = lm_all_shift_right(p->shifts, p->outputs);
  const int8_t *w = p->weights;
  int32_t sums[LM_BAND];
  for (int32_t first = 0; first < p->outputs; first += LM_BAND) {
    const int32_t outputs = lm_min(LM_BAND, p->outputs - first);
    const int32_t pairs = (outputs + 1) >> 1;
    lm_sum_row(x, p->inputs, w, pairs, sums);
    lm_finish_row_s8(p, all_right, sums, first, outputs, y + first);
    w += 2 * LM_GROUP * pairs * groups;
  }
}

void lm_linear_s8_s8_mve(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y, int32_t y_stride,
                         void *scratch) {
  (void)scratch;
  const int32_t groups = (p->inputs + LM_GROUP - 1) / LM_GROUP;
  int32_t sums[3 * LM_BAND];
  for (int32_t row = 0; row < rows; row += 3) {
    const lm_rows block = {x.data + row * x.stride, x.stride};
    const int32_t count = lm_min(3, rows - row);
    if (count == 1) {
      make_row_s8(p, block.data, y + row * y_stride);
      return;
    }
    const int8_t *w = p->weights;
    for (int32_t first = 0; first < p->outputs; first += LM_BAND) {
      const int32_t outputs = lm_min(LM_BAND, p->outputs - first);
      const int32_t pairs = (outputs + 1) >> 1;
      sum_band(p, block, count, w, pairs, sums);
      lm_finish_band_s8(p, sums, count, first, outputs, y + row * y_stride + first, y_stride);
      w += 2 * LM_GROUP * pairs * groups;
    }
  }
}

LM_NOINLINE static void make_row_s16(const lm_linear *p, const int8_t *x, int16_t *y) {
  const int32_t groups = (p->inputs + LM_GROUP - 1) / LM_GROUP;
  const bool all_right = lm_all_shift_right(p->shifts, p->outputs);
  const int8_t *w = p->weights;
  int32_t sums[LM_BAND];
  for (int32_t first = 0; first < p->outputs; first += LM_BAND) {
    const int32_t outputs = lm_min(LM_BAND, p->outputs - first);
    const int32_t pairs = (outputs + 1) >> 1;
    lm_sum_row(x, p->inputs, w, pairs, sums);
    lm_finish_row_s16(p, all_right, sums, first, outputs, y + first);
    w += 2 * LM_GROUP * pairs * groups;
  }
}

void lm_linear_s8_s16_mve(const lm_linear *p, lm_rows x, int32_t rows, int16_t *y,
                          int32_t y_stride, void *scratch) {
  (void)scratch;
  const int32_t groups = (p->inputs + LM_GROUP - 1) / LM_GROUP;
  int32_t sums[3 * LM_BAND];
  for (int32_t row = 0; row < rows; row += 3) {
    const lm_rows block = {x.data + row * x.stride, x.stride};
    const int32_t count = lm_min(3, rows - row);
    if (count == 1) {
      make_row_s16(p, block.data, y + row * y_stride);
      return;
    }
    const int8_t *w = p->weights;
    for (int32_t first = 0; first < p->outputs; first += LM_BAND) {
      const int32_t outputs = lm_min(LM_BAND, p->outputs - first);
      const int32_t pairs = (outputs + 1) >> 1;
      sum_band(p, block, count, w, pairs, sums);
      lm_finish_band_s16(p, sums, count, first, outputs, y + row * y_stride + first, y_stride);
      w += 2 * LM_GROUP * pairs * groups;
    }
  }
}
