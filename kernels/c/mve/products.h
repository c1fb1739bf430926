/* SPDX-License-Identifier: Apache-2.0
 * Products of up to three rows with many others, 32 columns at a time: the rows stay in q0 ... q5
 * while pairs of others pass through q6 and q7. 18.5 instructions for 192 products of three rows.
 *
 * Accumulators must be in even core registers, and LDM and STM must know their order: hence fixed
 * ones. Loads and multiplications alternate, for they overlap. */
#ifndef LM_MVE_PRODUCTS_H
#define LM_MVE_PRODUCTS_H

#include <stdint.h>

#include "../kernels.h"
#include "mve.h"

/* Columns of a row in registers. */
enum { LM_GROUP = 32 };

/* Next 32 bytes of packed weights. */
#define LM_NEXT_0 "vldrb.8 q6, [%[w]], #16\n\t"
#define LM_NEXT_1 "vldrb.8 q7, [%[w]], #16\n\t"

/* 32 columns of a row, then the row after it. */
#define LM_ROW_0 "vldrb.8 q6, [%[w]]\n\t"
#define LM_ROW_1 "vldrb.8 q7, [%[w], #16]\n\tadd %[w], %[step]\n\t"

/* A pair with 3 or 2 rows. `MAC` of the first column of sums sets or adds. */
#define LM_PAIR_3(MAC, BEFORE, LOAD_0, LOAD_1)                            \
  BEFORE LOAD_0 MAC " r0, q0, q6\n\t" LOAD_1 MAC " r4, q2, q6\n\t"        \
  MAC " r8, q4, q6\n\t"                                                   \
  "vmladava.s8 r0, q1, q7\n\t" LOAD_0                                     \
  "vmladava.s8 r4, q3, q7\n\t"                                            \
  "vmladava.s8 r8, q5, q7\n\t" MAC " r2, q0, q6\n\t" LOAD_1 MAC           \
  " r6, q2, q6\n\t" MAC " r10, q4, q6\n\t"                                \
  "vmladava.s8 r2, q1, q7\n\t"                                            \
  "vmladava.s8 r6, q3, q7\n\t"                                            \
  "vmladava.s8 r10, q5, q7\n\t"                                           \
  "stm %[sums]!, {r0, r2, r4, r6, r8, r10}\n\t"
#define LM_BEFORE_3 "ldm %[sums], {r0, r2, r4, r6, r8, r10}\n\t"

#define LM_PAIR_2(MAC, BEFORE, LOAD_0, LOAD_1)                            \
  BEFORE LOAD_0 MAC " r0, q0, q6\n\t" LOAD_1 MAC " r4, q2, q6\n\t"        \
  "vmladava.s8 r0, q1, q7\n\t" LOAD_0                                     \
  "vmladava.s8 r4, q3, q7\n\t" MAC " r2, q0, q6\n\t" LOAD_1 MAC           \
  " r6, q2, q6\n\t"                                                       \
  "vmladava.s8 r2, q1, q7\n\t"                                            \
  "vmladava.s8 r6, q3, q7\n\t"                                            \
  "stm %[sums]!, {r0, r2, r4, r6}\n\t"
#define LM_BEFORE_2 "ldm %[sums], {r0, r2, r4, r6}\n\t"

#define LM_BEFORE_1 "ldm %[sums], {r0, r2}\n\t"

/* The rows at r0, r2 and r4 into q0 ... q5: `left` columns are left in r6, and in r8 those from the
 * 17th on; what is not there counts as 0. */
#define LM_LOAD_ROWS      \
  "vctp.8 r6\n\t"         \
  "vpsttt\n\t"            \
  "vldrbt.u8 q0, [r0]\n\t" \
  "vldrbt.u8 q2, [r2]\n\t" \
  "vldrbt.u8 q4, [r4]\n\t" \
  "vctp.8 r8\n\t"         \
  "vpsttt\n\t"            \
  "vldrbt.u8 q1, [r0, #16]\n\t" \
  "vldrbt.u8 q3, [r2, #16]\n\t" \
  "vldrbt.u8 q5, [r4, #16]\n\t"

/* Two pairs a turn; an odd number of pairs (r10) begins with the second. */
#define LM_PAIRS(PAIR)  \
  "cmp r10, #0\n\t"     \
  "dls lr, %[turns]\n\t" \
  "bne 3f\n"            \
  "2:\n\t" PAIR "\n"    \
  "3:\n\t" PAIR         \
  "le lr, 2b\n"

/* sums (pairs, rows, 2) = or += products of `left`, at most 32, columns of x with pairs of w. `step`
 * is for SETUP and PAIR. */
#define LM_PRODUCTS(SETUP, PAIR)                                                             \
  do {                                                                                       \
    register const int8_t *r0 __asm("r0") = x.data;                                          \
    register const int8_t *r2 __asm("r2") = x.data + lm_min(1, rows - 1) * x.stride;         \
    register const int8_t *r4 __asm("r4") = x.data + (rows - 1) * x.stride;                  \
    register int32_t r6 __asm("r6") = left;                                                  \
    register int32_t r8 __asm("r8") = lm_max(left - 16, 0);                                  \
    register int32_t r10 __asm("r10") = pairs & 1;                                           \
    __asm volatile(LM_LOAD_ROWS SETUP LM_PAIRS(PAIR)                                         \
                   : "+&r"(r0), "+&r"(r2), "+&r"(r4), "+&r"(r6), "+&r"(r8), "+&r"(r10),      \
                     [w] "+&r"(w), [sums] "+&r"(sums)                                        \
                   : [turns] "r"((pairs + 1) >> 1), [step] "r"(step)                         \
                   : "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", LM_PREDICATE "lr",      \
                     "cc", "memory");                                                        \
  } while (false)

#endif
