/* SPDX-License-Identifier: Apache-2.0
 * linear.c for Helium and for weights in rows, as every core reads them: two rows by three outputs at
 * a time, requantized four lanes at a time. A row or output without a neighbour is its own. */
#include <stddef.h>

#include "../kernels.h"
#include "mve.h"

/* Outputs between two requantizations: whole vectors of four and whole blocks of three. */
enum { BAND = 48 };

/* Sums without bias of `count` outputs of rows a and b, from `first` on. sums: (2, BAND) */
static void sum_band(const lm_linear *p, const int8_t *a, const int8_t *b, int32_t first,
                     int32_t count, int32_t *sums) {
  const int32_t inputs = p->inputs;
  const int8_t *u = p->weights + first * inputs;
  int32_t left = count;
  for (; left >= 3; left -= 3) {
    lm_dot_2x3(a, b, u, u + inputs, u + 2 * inputs, inputs, sums, sums + BAND);
    u += 3 * inputs;
    sums += 3;
  }
  if (left == 0) return;
  const int8_t *last = u + (left - 1) * inputs;
  lm_dot_2x3(a, b, u, last, last, inputs, sums, sums + BAND);
}

static void look_up(const int8_t *table, int32_t count, int8_t *y) {
  for (int32_t i = 0; i < count; i += 16) {
    const mve_pred16_t lanes = vctp8q((uint32_t)(count - i));
    const uint8x16_t values = vreinterpretq_u8_s8(vldrbq_z_s8(y + i, lanes));
    const uint8x16_t indexes = veorq_u8(values, vdupq_n_u8(128));
    vstrbq_p_s8(y + i, vldrbq_gather_offset_z_s8(table, indexes, lanes), lanes);
  }
}

static void finish_s8(const lm_linear *p, const int32_t *sums, int32_t first, int32_t count,
                      int8_t *to) {
  const int32_t *bias = p->bias + first;
  const int32_t *multipliers = p->multipliers + first;
  const int8_t *shifts = p->shifts + first;
  const int32_t zero_point = p->zero_point, min = p->min, max = p->max;
  int8_t *y = to;
  LM_FINISH_OUTPUTS("vstrb.32 q0, [%[y]], #4\n\t");
  if (p->table != NULL) look_up(p->table, count, to);
}

static void finish_s16(const lm_linear *p, const int32_t *sums, int32_t first, int32_t count,
                       int16_t *to) {
  const int32_t *bias = p->bias + first;
  const int32_t *multipliers = p->multipliers + first;
  const int8_t *shifts = p->shifts + first;
  const int32_t zero_point = p->zero_point, min = p->min, max = p->max;
  int16_t *y = to;
  LM_FINISH_OUTPUTS("vstrh.32 q0, [%[y]], #8\n\t");
  if (p->table == NULL) return;
  for (int32_t i = 0; i < count; i++) to[i] = p->table[to[i] + 128];
}

void lm_linear_rows_s8_s8_mve(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y, int32_t y_stride,
                         void *scratch) {
  (void)scratch;
  int32_t sums[2 * BAND];
  for (int32_t row = 0; row < rows; row += 2) {
    const int32_t next = lm_min(row + 1, rows - 1);
    const int8_t *a = x.data + row * x.stride;
    const int8_t *b = x.data + next * x.stride;
    for (int32_t column = 0; column < p->outputs; column += BAND) {
      const int32_t count = lm_min(BAND, p->outputs - column);
      sum_band(p, a, b, column, count, sums);
      finish_s8(p, sums, column, count, y + row * y_stride + column);
      if (next > row) finish_s8(p, sums + BAND, column, count, y + next * y_stride + column);
    }
  }
}

void lm_linear_rows_s8_s16_mve(const lm_linear *p, lm_rows x, int32_t rows, int16_t *y,
                          int32_t y_stride, void *scratch) {
  (void)scratch;
  int32_t sums[2 * BAND];
  for (int32_t row = 0; row < rows; row += 2) {
    const int32_t next = lm_min(row + 1, rows - 1);
    const int8_t *a = x.data + row * x.stride;
    const int8_t *b = x.data + next * x.stride;
    for (int32_t column = 0; column < p->outputs; column += BAND) {
      const int32_t count = lm_min(BAND, p->outputs - column);
      sum_band(p, a, b, column, count, sums);
      finish_s16(p, sums, column, count, y + row * y_stride + column);
      if (next > row) finish_s16(p, sums + BAND, column, count, y + next * y_stride + column);
    }
  }
}
