/* SPDX-License-Identifier: Apache-2.0
 * One row by four outputs, as a generated token needs it: their weights lie side by side (pairs.h),
 * and what is looked up for an output is looked up for four. For outputs that are scaled to the right
 * and whose sums, biases included, leave the halfword of a pair no doubt. */
#ifndef LM_DSP_QUADS_H
#define LM_DSP_QUADS_H

#include "pairs.h"

/* 256 times a sum below this is exact in int32. */
enum { LM_LARGEST_QUAD_SUM = 1 << 23 };

/* What the assembly reads, which knows the offsets. */
typedef struct {
  const uint32_t *widened;     /* 0: (inputs / 4, 2) */
  const uint32_t *widened_end; /* 4 */
  const int8_t *weights;       /* 8: (outputs / 4, inputs / 4, 2, 8) */
  const int8_t *weights_end;   /* 12 */
  const int32_t *bias;         /* 16 */
  const int32_t *multipliers;  /* 20 */
  const int8_t *shifts;        /* 24 */
  int32_t rounding;            /* 28: 2 * zero_point + 1 */
  const int8_t *table;         /* 32: by value; NULL: none */
  void *y;                     /* 36 */
  uint32_t saved[9];           /* 40 */
} lm_quads_block;

typedef char lm_quads_offsets_are_as_assembled[offsetof(lm_quads_block, saved) == 40 ? 1 : -1];

/* Registers: r2 the widened row, r12 its end, r3 the weights, r4 and r6 the low sums of two pairs, r5
 * and r7 the high ones, lr the block. Four inputs: 14 instructions for 16 products. */
#define LM_QUAD_OF(first, second, low, high)          \
  "smlad " high ", " first ", r8, " high "\n\t"       \
  "sxtb16 " first ", " first "\n\t"                   \
  "smlad " low ", " first ", r8, " low "\n\t"         \
  "smlad " high ", " second ", r9, " high "\n\t"      \
  "sxtb16 " second ", " second "\n\t"                 \
  "smlad " low ", " second ", r9, " low "\n\t"
#define LM_QUAD_INPUTS           \
  "ldrd r8, r9, [r2], #8\n\t"    \
  "ldm r3!, {r0, r1, r10, r11}\n\t" \
  LM_QUAD_OF("r0", "r1", "r4", "r5") LM_QUAD_OF("r10", "r11", "r6", "r7")
#define LM_FOUR_QUADS LM_QUAD_INPUTS LM_QUAD_INPUTS LM_QUAD_INPUTS LM_QUAD_INPUTS

/* As LM_SCALE, with the inverted shift in the lowest byte of r2, then the next output's there. */
#define LM_QUAD_SCALE(sum, multiplier)              \
  "lsl r1, r12, r2\n\t"                             \
  "add r1, r1, " sum ", asr #31\n\t"                \
  "smmlar " sum ", " sum ", " multiplier ", r1\n\t" \
  "asr " sum ", " sum ", r2\n\t"
#define LM_NEXT_SHIFT "lsr r2, r2, #8\n\t"

#define LM_QUAD_END_S8                                                \
  "ssat r4, #8, r4, asr #1\n\t"                                       \
  "ssat r5, #8, r5, asr #1\n\t"                                       \
  "ssat r6, #8, r6, asr #1\n\t"                                       \
  "ssat r7, #8, r7, asr #1\n\t"                                       \
  "ldr r0, [lr, #32]\n\t"                                             \
  "cbz r0, 3f\n\t"                                                    \
  LM_LOOK_UP("r4") LM_LOOK_UP("r5") LM_LOOK_UP("r6") LM_LOOK_UP("r7") \
  "3:\n\t"                                                            \
  "bfi r4, r5, #8, #8\n\t"                                            \
  "bfi r6, r7, #8, #8\n\t"                                            \
  "ldr r0, [lr, #36]\n\t"                                             \
  "pkhbt r4, r4, r6, lsl #16\n\t"                                     \
  "str r4, [r0], #4\n\t"                                              \
  "str r0, [lr, #36]\n\t"

#define LM_QUAD_END_S16            \
  "ssat r4, #16, r4, asr #1\n\t"   \
  "ssat r5, #16, r5, asr #1\n\t"   \
  "ssat r6, #16, r6, asr #1\n\t"   \
  "ssat r7, #16, r7, asr #1\n\t"   \
  "ldr r0, [lr, #36]\n\t"          \
  "pkhbt r4, r4, r5, lsl #16\n\t"  \
  "pkhbt r6, r6, r7, lsl #16\n\t"  \
  "str r4, [r0], #4\n\t"           \
  "str r6, [r0], #4\n\t"           \
  "str r0, [lr, #36]\n\t"

/* A high sum begins with its own bias 256 times, beside the low one's. */
#define LM_QUADS_FUNCTION(type, END)                                             \
  __attribute__((naked, noinline)) static void quads_##type(                     \
      lm_quads_block *block __attribute__((unused))) {                           \
    __asm volatile(LM_SAVE_REGISTERS("40")                                       \
                   "mov lr, r0\n\t"                                              \
                   "ldr r3, [lr, #8]\n"                                          \
                   "1:\n\t"                                                      \
                   "ldr r1, [lr, #16]\n\t"                                       \
                   "ldrd r2, r12, [lr]\n\t"                                      \
                   "ldm r1!, {r4-r7}\n\t"                                        \
                   "str r1, [lr, #16]\n\t"                                       \
                   "add r5, r4, r5, lsl #8\n\t"                                  \
                   "add r7, r6, r7, lsl #8\n"                                    \
                   "2:\n\t" LM_FOUR_QUADS LM_FOUR_QUADS                          \
                   "cmp r2, r12\n\t"                                             \
                   "bne.w 2b\n\t"                                                \
                   "ldr r1, [lr, #24]\n\t"                                       \
                   "ldr r0, [lr, #20]\n\t"                                       \
                   "ldr r2, [r1], #4\n\t"                                        \
                   "ldm r0!, {r8-r11}\n\t"                                       \
                   "ldr r12, [lr, #28]\n\t"                                      \
                   "strd r0, r1, [lr, #20]\n\t"                                  \
                   "sub r5, r5, r4\n\t"                                          \
                   "sub r7, r7, r6\n\t"                                          \
                   "mvn r2, r2\n\t"                                              \
                   "asr r5, r5, #7\n\t"                                          \
                   "asr r7, r7, #7\n\t"                                          \
                   "lsl r4, r4, #1\n\t"                                          \
                   "lsl r6, r6, #1\n\t"                                          \
                   LM_QUAD_SCALE("r4", "r8") LM_NEXT_SHIFT                       \
                   LM_QUAD_SCALE("r5", "r9") LM_NEXT_SHIFT                       \
                   LM_QUAD_SCALE("r6", "r10") LM_NEXT_SHIFT                      \
                   LM_QUAD_SCALE("r7", "r11") END                                \
                   "ldr r0, [lr, #12]\n\t"                                       \
                   "cmp r3, r0\n\t"                                              \
                   "bne.w 1b\n\t" LM_RETURN("40")                                \
                   :                                                             \
                   :                                                             \
                   : "memory");                                                  \
  }

#endif
