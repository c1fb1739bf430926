/* SPDX-License-Identifier: Apache-2.0
 * Products of four rows of int16, in the order of SXTB16, with rows of int8: 13 instructions for 16. */
#ifndef LM_DSP_FOUR_ROWS_H
#define LM_DSP_FOUR_ROWS_H

#include "dsp.h"

/* Columns of a turn of the assembly, of which a round has up to four. */
enum { LM_FOUR_COLUMNS_AT_ONCE = 16 };

/* Turns of the first round; 0: there is no column. */
static inline int32_t lm_first_turns(int32_t columns) {
  return columns == 0 ? 0 : ((columns / LM_FOUR_COLUMNS_AT_ONCE - 1) & 3) + 1;
}

/* Registers: r4 ... r7 sums; r2 the next of the four rows, which pass through r8 ... r11; r3 the next of
 * the int8; r12 what is added to these, twice; r0, r1. */
#define LM_FOUR_QUAD                \
  "ldr r0, [r3], #4\n\t"            \
  "ldm r2!, {r8-r11}\n\t"           \
  "sxtab16 r1, r12, r0\n\t"         \
  "smlad r4, r1, r8, r4\n\t"        \
  "smlad r5, r1, r9, r5\n\t"        \
  "smlad r6, r1, r10, r6\n\t"       \
  "smlad r7, r1, r11, r7\n\t"       \
  "ldm r2!, {r8-r11}\n\t"           \
  "sxtab16 r1, r12, r0, ror #8\n\t" \
  "smlad r4, r1, r8, r4\n\t"        \
  "smlad r5, r1, r9, r5\n\t"        \
  "smlad r6, r1, r10, r6\n\t"       \
  "smlad r7, r1, r11, r7\n\t"

#define LM_FOUR_TURN LM_FOUR_QUAD LM_FOUR_QUAD LM_FOUR_QUAD LM_FOUR_QUAD

/* All columns: the turns of the first round are in r0, the end of the four rows at [lr, #end]. */
#define LM_FOUR_COLUMNS(end) \
  "cmp r0, #3\n\t"           \
  "bgt.w 3f\n\t"             \
  "beq.w 4f\n\t"             \
  "cmp r0, #1\n\t"           \
  "bgt.w 5f\n\t"             \
  "beq.w 6f\n\t"             \
  "b.w 7f\n"                 \
  "3:\n\t" LM_FOUR_TURN      \
  "4:\n\t" LM_FOUR_TURN      \
  "5:\n\t" LM_FOUR_TURN      \
  "6:\n\t" LM_FOUR_TURN      \
  "ldr r0, [lr, #" end "]\n\t" \
  "cmp r2, r0\n\t"           \
  "bne.w 3b\n"               \
  "7:\n\t"

#define LM_ORDER_4                      \
  "ldr %[a], [%[u]], #4\n\t"            \
  "ldr %[b], [%[u]], #4\n\t"            \
  "ldr %[c], [%[v]], #4\n\t"            \
  "ldr %[d], [%[v]], #4\n\t"            \
  "pkhbt %[t], %[a], %[b], lsl #16\n\t" \
  "pkhtb %[b], %[b], %[a], asr #16\n\t" \
  "pkhbt %[a], %[c], %[d], lsl #16\n\t" \
  "pkhtb %[d], %[d], %[c], asr #16\n\t" \
  "strd %[t], %[a], [%[to]], #16\n\t"   \
  "strd %[b], %[d], [%[to]], #16\n\t"

/* Two of the four rows, of a multiple of 8 columns, at least 8, into two words of each four: of four
 * columns 0 and 2, then 1 and 3. */
static inline void lm_order_two(const int16_t *u, const int16_t *v, int32_t columns,
                                uint32_t *to) {
  uint32_t a, b, c, d, t;
  const int16_t *const end = u + columns;
  __asm volatile(
      "1:\n\t" LM_ORDER_4 LM_ORDER_4
      "cmp %[u], %[end]\n\t"
      "bne 1b"
      : [u] "+&r"(u), [v] "+&r"(v), [to] "+&r"(to), [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c),
        [d] "=&r"(d), [t] "=&r"(t)
      : [end] "r"(end)
      : "cc", "memory");
}

#endif
