/* SPDX-License-Identifier: Apache-2.0
 * The last step of a layer normalization, y = saturate((n * gamma + beta) >> shift), four columns at a
 * time. The normalized n are made before, as many as lie on the stack. */
#ifndef LM_DSP_NORM_COLUMNS_H
#define LM_DSP_NORM_COLUMNS_H

#include "../norm_row.h"
#include "dsp.h"

/* Columns between the two steps: a multiple of 4. */
enum { LM_NORM_COLUMNS = 128 };

/* n: (count), aligned to 4 bytes; `STORE` writes r8 ... r11 to y: 20 instructions besides it. */
#define LM_NORM_OUTPUTS(STORE)                                                               \
  do {                                                                                       \
    uint32_t a, b, c;                                                                        \
    const int16_t *end = n + count;                                                          \
    __asm volatile(                                                                          \
        "1:\n\t"                                                                             \
        "ldrd %[a], %[b], [%[n]], #8\n\t"                                                    \
        "ldr %[c], [%[gamma]], #4\n\t"                                                       \
        "ldm %[beta]!, {r8-r11}\n\t"                                                         \
        "smlabb r8, %[a], %[c], r8\n\t"                                                      \
        "smlatt r9, %[a], %[c], r9\n\t"                                                      \
        "ldr %[c], [%[gamma]], #4\n\t"                                                       \
        "smlabb r10, %[b], %[c], r10\n\t"                                                    \
        "smlatt r11, %[b], %[c], r11\n\t"                                                    \
        "asr r8, r8, %[shift]\n\t"                                                           \
        "asr r9, r9, %[shift]\n\t"                                                           \
        "asr r10, r10, %[shift]\n\t"                                                         \
        "asr r11, r11, %[shift]\n\t" STORE                                                   \
        "cmp %[n], %[end]\n\t"                                                               \
        "bne 1b"                                                                             \
        : [n] "+&r"(n), [gamma] "+&r"(gamma), [beta] "+&r"(beta), [y] "+&r"(y),              \
          [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c)                                           \
        : [shift] "r"(p->out_shift), [end] "r"(end)                                          \
        : "r8", "r9", "r10", "r11", "cc", "memory");                                         \
  } while (false)

/* `count` columns from `first` on, a multiple of 4, at least 4, before their clamp. */
static inline void lm_norm_outputs_s8(const lm_norm *p, const int16_t *n, int32_t first,
                                      int32_t count, int8_t *y) {
  const int16_t *gamma = p->gamma + first;
  const int32_t *beta = p->beta + first;
  LM_NORM_OUTPUTS(
      "ssat r8, #8, r8\n\t"
      "ssat r9, #8, r9\n\t"
      "ssat r10, #8, r10\n\t"
      "ssat r11, #8, r11\n\t"
      "bfi r8, r9, #8, #8\n\t"
      "bfi r10, r11, #8, #8\n\t"
      "pkhbt r8, r8, r10, lsl #16\n\t"
      "str r8, [%[y]], #4\n\t");
}

static inline void lm_norm_outputs_s16(const lm_norm *p, const int16_t *n, int32_t first,
                                       int32_t count, int16_t *y) {
  const int16_t *gamma = p->gamma + first;
  const int32_t *beta = p->beta + first;
  LM_NORM_OUTPUTS(
      "ssat r8, #16, r8\n\t"
      "ssat r9, #16, r9\n\t"
      "ssat r10, #16, r10\n\t"
      "ssat r11, #16, r11\n\t"
      "pkhbt r8, r8, r9, lsl #16\n\t"
      "pkhbt r10, r10, r11, lsl #16\n\t"
      "str r8, [%[y]], #4\n\t"
      "str r10, [%[y]], #4\n\t");
}

#endif
