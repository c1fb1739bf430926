/* SPDX-License-Identifier: Apache-2.0
 * Products of three rows of int16 with rows of int8. */
#ifndef LM_MVE_WIDE_PRODUCTS_H
#define LM_MVE_WIDE_PRODUCTS_H

#include "../kernels.h"
#include "mve.h"

/* Rows of int8 at most. */
enum { LM_WIDE_BAND = 16 };

/* Dot products of three rows u and pairs of rows of x: 12 instructions for 48 products. A sum behind
 * that of an odd last row is nobody's. Registers: even ones sums; r1, r3 rows of x; r5, r12, r9 of u. */
LM_NOINLINE static void lm_dot_wide(const int16_t *const u[3], lm_rows x, int32_t count,
                                    int32_t width, int32_t sums[3][LM_WIDE_BAND]) {
  for (int32_t i = 0; i < count; i += 2) {
    register const int8_t *r1 __asm("r1") = x.data + i * x.stride;
    register const int8_t *r3 __asm("r3") = i + 1 < count ? r1 + x.stride : r1;
    register const int16_t *const *r5 __asm("r5") = u;
    register int32_t r9 __asm("r9") = width;
    register int32_t *r11 __asm("r11") = &sums[0][i];
    __asm volatile(
        "mov r0, #0\n\t"
        "mov r2, #0\n\t"
        "mov r4, #0\n\t"
        "mov r6, #0\n\t"
        "mov r8, #0\n\t"
        "mov r10, #0\n\t"
        "wlstp.16 lr, r9, 1f\n\t"
        "ldr r9, [r5, #8]\n\t"
        "ldrd r5, r12, [r5]\n"
        "2:\n\t"
        "vldrh.16 q0, [r5], #16\n\t"
        "vldrb.s16 q3, [r1], #8\n\t"
        "vmladava.s16 r0, q0, q3\n\t"
        "vldrb.s16 q4, [r3], #8\n\t"
        "vmladava.s16 r2, q0, q4\n\t"
        "vldrh.16 q1, [r12], #16\n\t"
        "vmladava.s16 r4, q1, q3\n\t"
        "vldrh.16 q2, [r9], #16\n\t"
        "vmladava.s16 r6, q1, q4\n\t"
        "vmladava.s16 r8, q2, q3\n\t"
        "vmladava.s16 r10, q2, q4\n\t"
        "letp lr, 2b\n"
        "1:\n\t"
        "strd r0, r2, [r11]\n\t"
        "strd r4, r6, [r11, %c[next]]\n\t"
        "strd r8, r10, [r11, 2 * %c[next]]"
        : "+r"(r1), "+r"(r3), "+r"(r5), "+r"(r9)
        : "r"(r11), [next] "i"(sizeof sums[0])
        : "r0", "r2", "r4", "r6", "r8", "r10", "r12", "q0", "q1", "q2", "q3", "q4", "lr", "memory");
  }
}

#endif
