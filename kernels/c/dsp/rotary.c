/* SPDX-License-Identifier: Apache-2.0
 * rotary.c with SMUSD and SMUADX: a pair of columns is a word, and so is its angle. */
#include "../kernels.h"
#include "dsp.h"

void lm_rotary_s16_s8_dsp(const lm_rotary *p, lm_wide_rows x, int32_t rows, int32_t row_start,
                          int8_t *y, int32_t y_stride) {
  const int32_t multiplier = p->multiplier, shift = p->shift;
  const int32_t half = lm_shift_left(1, shift) >> 1;
  for (int32_t row = 0; row < rows; row++) {
    const int16_t *angles = p->table + (row_start + row) * p->head_width;
    const int16_t *from = x.data + row * x.stride;
    int8_t *to = y + row * y_stride;
    for (int32_t head = 0; head < p->heads; head++) {
      const int16_t *angle = angles;
      for (const int8_t *const end = to + p->head_width; to != end;) {
        uint32_t point, turn;
        int32_t u, v;
        __builtin_memcpy(&point, from, sizeof point);
        __builtin_memcpy(&turn, angle, sizeof turn);
        __asm("smusd %0, %1, %2" : "=r"(u) : "r"(point), "r"(turn));
        __asm("smuadx %0, %1, %2" : "=r"(v) : "r"(point), "r"(turn));
        to[0] = (int8_t)lm_saturate8(lm_smmlar(u, multiplier, half) >> shift);
        to[1] = (int8_t)lm_saturate8(lm_smmlar(v, multiplier, half) >> shift);
        from += 2;
        angle += 2;
        to += 2;
      }
    }
  }
}
