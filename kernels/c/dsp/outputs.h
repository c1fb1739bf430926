/* SPDX-License-Identifier: Apache-2.0
 * Before and after the sums of a linear: rows of int8 widened to int16, and what becomes of outputs
 * beyond what assembly does. */
#ifndef LM_DSP_OUTPUTS_H
#define LM_DSP_OUTPUTS_H

#include <stddef.h>

#include "../kernels.h"
#include "dsp.h"

/* One row as pairs of int16, `rows` pairs apart; zeros from `inputs` to `padded`. */
__attribute__((noinline)) static void lm_widen_row(const int8_t *x, int32_t inputs,
                                                   int32_t padded, int32_t rows,
                                                   uint32_t *to) {
  int32_t i = 0;
  for (; i + 8 <= inputs; i += 8) {
    const uint32_t bytes = lm_load4(x + i);
    const uint32_t next_bytes = lm_load4(x + i + 4);
    to[0] = lm_widen_even(bytes);
    to[rows] = lm_widen_odd(bytes);
    to += 2 * rows;
    to[0] = lm_widen_even(next_bytes);
    to[rows] = lm_widen_odd(next_bytes);
    to += 2 * rows;
  }
  for (; i < padded; i += 4) {
    uint32_t bytes = 0;
    for (int32_t j = 0; j < 4 && i + j < inputs; j++) bytes |= (uint32_t)(uint8_t)x[i + j] << 8 * j;
    to[0] = lm_widen_even(bytes);
    to[rows] = lm_widen_odd(bytes);
    to += 2 * rows;
  }
}

/* A row as pairs of int16, zeros from `inputs` to `padded`. */
__attribute__((noinline, unused)) static void lm_widen_single(const int8_t *x, int32_t inputs,
                                                              int32_t padded, uint32_t *to) {
  const int8_t *const end = x + (inputs & ~7);
  uint32_t a, b, odd;
  if (x != end) {
    __asm volatile(
        "1:\n\t"
        "ldr %[a], [%[x]], #4\n\t"
        "ldr %[b], [%[x]], #4\n\t"
        "sxtb16 %[odd], %[a], ror #8\n\t"
        "sxtb16 %[a], %[a]\n\t"
        "strd %[a], %[odd], [%[to]], #8\n\t"
        "sxtb16 %[odd], %[b], ror #8\n\t"
        "sxtb16 %[b], %[b]\n\t"
        "strd %[b], %[odd], [%[to]], #8\n\t"
        "cmp %[x], %[end]\n\t"
        "bne 1b"
        : [x] "+&r"(x), [to] "+&r"(to), [a] "=&r"(a), [b] "=&r"(b), [odd] "=&r"(odd)
        : [end] "r"(end)
        : "cc", "memory");
  }
  if ((inputs & ~7) != padded) lm_widen_row(x, inputs & 7, padded - (inputs & ~7), 1, to);
}

/* The value of an output of one row from its sum without bias, by every rule. */
__attribute__((unused)) static int32_t lm_value_of(const lm_linear *p, int32_t column, int32_t sum) {
  const int32_t scaled =
      lm_requantize(p->bias[column] + sum, p->multipliers[column], p->shifts[column]);
  const int32_t value = lm_clamp_from_zero_point(scaled, p->zero_point, p->min, p->max);
  return p->table == NULL ? value : p->table[value + 128];
}

__attribute__((unused)) static void lm_finish_s8(const lm_linear *p, int8_t *y) {
  if (p->min > INT8_MIN || p->max < INT8_MAX) {
    for (int32_t i = 0; i < p->outputs; i++) y[i] = (int8_t)lm_clamp(y[i], p->min, p->max);
  }
  if (p->table == NULL) return;
  const int8_t *table = p->table + 128;
  for (int32_t i = 0; i < p->outputs; i++) y[i] = table[y[i]];
}

__attribute__((unused)) static void lm_finish_s16(const lm_linear *p, int16_t *y) {
  if (p->min == INT16_MIN && p->max == INT16_MAX && p->table == NULL) return;
  for (int32_t i = 0; i < p->outputs; i++) {
    const int32_t value = lm_clamp(y[i], p->min, p->max);
    y[i] = (int16_t)(p->table == NULL ? value : p->table[value + 128]);
  }
}

#endif
