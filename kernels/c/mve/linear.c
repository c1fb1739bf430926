/* SPDX-License-Identifier: Apache-2.0
 * linear.c for Helium: two rows by three outputs at a time, requantized four lanes at a time.
 * A row or output without a neighbour is its own. */
#include <stddef.h>

#include "../kernels.h"
#include "mve.h"

/* Outputs between two requantizations: whole vectors of four and whole blocks of three. */
enum { BAND = 24 };

/* Sums without bias of outputs `first` ... `first + count - 1` of rows a and b. */
static void sum_band(const lm_linear *p, const int8_t *a, const int8_t *b, int32_t first,
                     int32_t count, int32_t sums_a[BAND], int32_t sums_b[BAND]) {
  const int8_t *last = p->weights + (first + count - 1) * p->inputs;
  const int8_t *u = p->weights + first * p->inputs;
  for (int32_t column = 0; column < count; column += 3) {
    const int8_t *v = column + 1 < count ? u + p->inputs : last;
    const int8_t *w = column + 2 < count ? v + p->inputs : last;
    lm_dot_2x3(a, b, u, v, w, p->inputs, sums_a + column, sums_b + column);
    u = w + p->inputs;
  }
}

/* The outputs of four sums; lanes outside `lanes` are neither read nor meant. */
static inline int32x4_t outputs_of(const lm_linear *p, const int32_t *sums, int32_t column,
                                   mve_pred16_t lanes) {
  const int32x4_t biases = vldrwq_z_s32(p->bias + column, lanes);
  const int32x4_t multipliers = vldrwq_z_s32(p->multipliers + column, lanes);
  const int32x4_t shifts = vldrbq_z_s32(p->shifts + column, lanes);
  const int32x4_t scaled =
      lm_requantize_x4(vaddq_s32(vldrwq_s32(sums), biases), multipliers, shifts);
  const int32x4_t values = lm_add_clamped_x4(scaled, p->zero_point, p->min, p->max);
  if (p->table == NULL) return values;
  return vldrbq_gather_offset_z_s32(p->table, vreinterpretq_u32_s32(vaddq_n_s32(values, 128)),
                                    lanes);
}

static void finish_s8(const lm_linear *p, const int32_t *sums, int32_t first, int32_t count,
                      int8_t *y) {
  for (int32_t i = 0; i < count; i += 4) {
    const mve_pred16_t lanes = vctp32q((uint32_t)(count - i));
    vstrbq_p_s32(y + i, outputs_of(p, sums + i, first + i, lanes), lanes);
  }
}

static void finish_s16(const lm_linear *p, const int32_t *sums, int32_t first, int32_t count,
                       int16_t *y) {
  for (int32_t i = 0; i < count; i += 4) {
    const mve_pred16_t lanes = vctp32q((uint32_t)(count - i));
    vstrhq_p_s32(y + i, outputs_of(p, sums + i, first + i, lanes), lanes);
  }
}

void lm_linear_s8_s8_mve(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y, int32_t y_stride,
                         void *scratch) {
  (void)scratch;
  int32_t sums_a[BAND];
  int32_t sums_b[BAND];
  for (int32_t row = 0; row < rows; row += 2) {
    const int32_t next = lm_min(row + 1, rows - 1);
    for (int32_t column = 0; column < p->outputs; column += BAND) {
      const int32_t count = lm_min(BAND, p->outputs - column);
      sum_band(p, x.data + row * x.stride, x.data + next * x.stride, column, count, sums_a,
               sums_b);
      finish_s8(p, sums_a, column, count, y + row * y_stride + column);
      if (next > row) finish_s8(p, sums_b, column, count, y + next * y_stride + column);
    }
  }
}

void lm_linear_s8_s16_mve(const lm_linear *p, lm_rows x, int32_t rows, int16_t *y,
                          int32_t y_stride, void *scratch) {
  (void)scratch;
  int32_t sums_a[BAND];
  int32_t sums_b[BAND];
  for (int32_t row = 0; row < rows; row += 2) {
    const int32_t next = lm_min(row + 1, rows - 1);
    for (int32_t column = 0; column < p->outputs; column += BAND) {
      const int32_t count = lm_min(BAND, p->outputs - column);
      sum_band(p, x.data + row * x.stride, x.data + next * x.stride, column, count, sums_a,
               sums_b);
      finish_s16(p, sums_a, column, count, y + row * y_stride + column);
      if (next > row) finish_s16(p, sums_b, column, count, y + next * y_stride + column);
    }
  }
}
