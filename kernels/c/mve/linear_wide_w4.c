/* SPDX-License-Identifier: Apache-2.0
 * linear_wide.c of Helium for weights of 4 bits: three rows by two outputs; a row without neighbours
 * is its own.
 *
 * A byte of weights is low + 16 * high for two outputs of an input, packed as "nibble-pairs" (pairs of
 * outputs, inputs). The sums H of byte * x and L of low * x give S(high) = (H - L) / 16, exact for at
 * most 256 inputs: |H| <= 2^15 * 2^7 * 2^8. */
#include <stddef.h>

#include "../kernels.h"
#include "mve.h"

/* Outputs at a time: pairs. */
enum { BAND = 16 };

/* Sums of a pair of outputs of three rows, rows of sums BAND apart: 13 instructions for 48 products. Registers: r0, r4, r8 low
 * sums; r2, r6, r10 high ones; r1 weights; r3, r5, r12 rows of x. */
LM_NOINLINE static void sum_pair(const int16_t *const x[3], const int8_t *w, int32_t inputs,
                                 int32_t *sums) {
  register const int8_t *r1 __asm("r1") = w;
  register const int16_t *const *r3 __asm("r3") = x;
  register int32_t r5 __asm("r5") = inputs;
  register int32_t *r11 __asm("r11") = sums;
  __asm volatile(
      "mov r0, #0\n\t"
      "mov r2, #0\n\t"
      "mov r4, #0\n\t"
      "mov r6, #0\n\t"
      "mov r8, #0\n\t"
      "mov r10, #0\n\t"
      "wlstp.16 lr, r5, 1f\n\t"
      "ldr r12, [r3, #8]\n\t"
      "ldrd r3, r5, [r3]\n"
      "2:\n\t"
      "vldrb.s16 q3, [r1], #8\n\t"
      "vshl.i16 q4, q3, #12\n\t"
      "vldrh.16 q0, [r3], #16\n\t"
      "vmladava.s16 r2, q0, q3\n\t"
      "vshr.s16 q4, q4, #12\n\t"
      "vldrh.16 q1, [r5], #16\n\t"
      "vmladava.s16 r6, q1, q3\n\t"
      "vldrh.16 q2, [r12], #16\n\t"
      "vmladava.s16 r10, q2, q3\n\t"
      "vmladava.s16 r0, q0, q4\n\t"
      "vmladava.s16 r4, q1, q4\n\t"
      "vmladava.s16 r8, q2, q4\n\t"
      "letp lr, 2b\n"
      "1:\n\t"
      "sub r2, r2, r0\n\t"
      "sub r6, r6, r4\n\t"
      "sub r10, r10, r8\n\t"
      "asr r2, r2, #4\n\t"
      "asr r6, r6, #4\n\t"
      "asr r10, r10, #4\n\t"
      "strd r0, r2, [r11]\n\t"
      "strd r4, r6, [r11, %c[next]]\n\t"
      "strd r8, r10, [r11, 2 * %c[next]]"
      : "+&r"(r1), "+&r"(r3), "+&r"(r5)
      : "r"(r11), [next] "i"(sizeof(int32_t[BAND]))
      : "r0", "r2", "r4", "r6", "r8", "r10", "r12", "q0", "q1", "q2", "q3", "q4", "lr", "memory");
}

static void finish(const lm_linear *p, const int32_t *sums, int32_t first, int32_t count,
                   int8_t *to) {
  const int32_t *bias = p->bias + first;
  const int32_t *multipliers = p->multipliers + first;
  const int8_t *shifts = p->shifts + first;
  const int32_t zero_point = p->zero_point, min = p->min, max = p->max;
  int8_t *y = to;
  LM_FINISH_OUTPUTS("vstrb.32 q0, [%[y]], #4\n\t");
  if (p->table == NULL) return;
  for (int32_t i = 0; i < count; i++) to[i] = p->table[to[i] + 128];
}

void lm_linear_w4_s16_s8_mve(const lm_linear *p, lm_wide_rows x, int32_t rows, int8_t *y,
                             int32_t y_stride, void *scratch) {
  (void)scratch;
  for (int32_t row = 0; row < rows; row += 3) {
    const int32_t next = lm_min(row + 1, rows - 1), last = lm_min(row + 2, rows - 1);
    const int16_t *const three[3] = {x.data + row * x.stride, x.data + next * x.stride,
                                     x.data + last * x.stride};
    for (int32_t first = 0; first < p->outputs; first += BAND) {
      const int32_t count = lm_min(BAND, p->outputs - first);
      int32_t sums[3][BAND];
      for (int32_t i = 0; i < count; i += 2) {
        const int8_t *w = p->weights + (first + i) / 2 * p->inputs;
        sum_pair(three, w, p->inputs, &sums[0][i]);
      }
      for (int32_t i = 0; i < lm_min(3, rows - row); i++) {
        finish(p, sums[i], first, count, y + (row + i) * y_stride + first);
      }
    }
  }
}
