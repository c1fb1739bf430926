/* SPDX-License-Identifier: Apache-2.0
 * residual_add.c with SMLAW, two columns at a time. */
#include "../kernels.h"
#include "dsp.h"

static inline uint32_t load_pair(const int16_t *from) {
  uint32_t pair;
  __builtin_memcpy(&pair, from, sizeof pair);
  return pair;
}

static inline int32_t add_low(int32_t multiplier, uint32_t pair, int32_t sum) {
  int32_t result;
  __asm("smlawb %0, %1, %2, %3" : "=r"(result) : "r"(multiplier), "r"(pair), "r"(sum));
  return result;
}

static inline int32_t add_high(int32_t multiplier, uint32_t pair, int32_t sum) {
  int32_t result;
  __asm("smlawt %0, %1, %2, %3" : "=r"(result) : "r"(multiplier), "r"(pair), "r"(sum));
  return result;
}

void lm_residual_add_s16_s16_dsp(const lm_residual_add *p, lm_wide_rows a, lm_wide_rows b,
                                 int32_t rows, int16_t *y, int32_t y_stride) {
  const int32_t width = p->width, shift = p->shift;
  const int32_t multiplier_a = p->multiplier_a, multiplier_b = p->multiplier_b;
  const int32_t half = 1 << (shift - 1);
  for (int32_t row = 0; row < rows; row++) {
    const int16_t *from_a = a.data + row * a.stride, *from_b = b.data + row * b.stride;
    int16_t *to = y + row * y_stride;
    for (const int16_t *const end = to + (width & ~1); to != end;) {
      const uint32_t pair_a = load_pair(from_a), pair_b = load_pair(from_b);
      const int32_t low = add_low(multiplier_b, pair_b, add_low(multiplier_a, pair_a, half));
      const int32_t high = add_high(multiplier_b, pair_b, add_high(multiplier_a, pair_a, half));
      const uint32_t low_bits = (uint32_t)lm_saturate16(low >> shift) & 0xffffu;
      const uint32_t both = low_bits | (uint32_t)lm_saturate16(high >> shift) << 16;
      __builtin_memcpy(to, &both, sizeof both);
      from_a += 2;
      from_b += 2;
      to += 2;
    }
    if (width & 1) {
      const int32_t sum = add_low(multiplier_a, (uint16_t)*from_a, half);
      *to = (int16_t)lm_saturate16(add_low(multiplier_b, (uint16_t)*from_b, sum) >> shift);
    }
  }
}
