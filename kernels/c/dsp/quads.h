/* SPDX-License-Identifier: Apache-2.0
 * One row by four outputs: two pairs of packed weights (pairs.h) pass by the same columns, and what
 * is looked up for an output is looked up for four. For a row that is one part, and outputs that are
 * scaled to the right. */
#ifndef LM_DSP_QUADS_H
#define LM_DSP_QUADS_H

#include "pairs.h"

/* Registers: r2 the widened row, r3 and r10 the weights of the two pairs, r4 and r6 their low sums,
 * r5 and r7 the high ones, r11 the row's end, lr the block. Four inputs: 15 instructions. */
#define LM_QUAD_OF(weights, low, high)    \
  "ldrd r0, r1, [" weights "], #8\n\t"    \
  "smlad " high ", r0, r8, " high "\n\t"  \
  "sxtb16 r0, r0\n\t"                     \
  "smlad " low ", r0, r8, " low "\n\t"    \
  "smlad " high ", r1, r9, " high "\n\t"  \
  "sxtb16 r1, r1\n\t"                     \
  "smlad " low ", r1, r9, " low "\n\t"
#define LM_QUAD_INPUTS "ldrd r8, r9, [r2], #8\n\t" LM_QUAD_OF("r3", "r4", "r5") LM_QUAD_OF("r10", "r6", "r7")
#define LM_FOUR_QUADS LM_QUAD_INPUTS LM_QUAD_INPUTS LM_QUAD_INPUTS LM_QUAD_INPUTS

/* As LM_SCALE, with the inverted shifts of four outputs in r2. */
#define LM_QUAD_SCALE(sum, multiplier, rotation)      \
  "uxtb r0, r2" rotation "\n\t"                       \
  "lsl r1, r12, r0\n\t"                               \
  "add r1, r1, " sum ", asr #31\n\t"                  \
  "smmlar " sum ", " sum ", " multiplier ", r1\n\t"   \
  "asr " sum ", " sum ", r0\n\t"
#define LM_QUAD_BIAS(sum, offset)          \
  "ldr r0, [lr, #16]\n\t"                  \
  "ldr r0, [r0, #" offset "]\n\t"          \
  "ssat r0, #29, r0\n\t"                   \
  "add " sum ", " sum ", r0, lsl #1\n\t"

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

/* The block's carried[0] is what a pair of outputs has in bytes of weights. */
#define LM_QUADS_FUNCTION(type, END)                                             \
  __attribute__((naked, noinline)) static void quads_##type(                     \
      lm_pairs_block *block __attribute__((unused))) {                           \
    __asm volatile(LM_SAVE_REGISTERS("64")                                       \
                   "mov lr, r0\n\t"                                              \
                   "ldr r3, [lr, #8]\n"                                          \
                   "1:\n\t"                                                      \
                   "ldr r1, [lr, #16]\n\t"                                       \
                   "ldr r10, [lr, #52]\n\t"                                      \
                   "ldr r4, [r1]\n\t"                                            \
                   "ldr r6, [r1, #8]\n\t"                                        \
                   "add r10, r10, r3\n\t"                                        \
                   "ssat r4, #29, r4\n\t"                                        \
                   "ssat r6, #29, r6\n\t"                                        \
                   "ldr r2, [lr]\n\t"                                            \
                   "ldr r11, [lr, #4]\n\t"                                       \
                   "mov r5, r4\n\t"                                              \
                   "mov r7, r6\n"                                                \
                   "2:\n\t" LM_FOUR_QUADS LM_FOUR_QUADS                          \
                   "cmp r2, r11\n\t"                                             \
                   "bne.w 2b\n\t"                                                \
                   "mov r3, r10\n\t"                                             \
                   "ldr r0, [lr, #20]\n\t"                                       \
                   "ldm r0!, {r8-r11}\n\t"                                       \
                   "str r0, [lr, #20]\n\t"                                       \
                   "ldr r0, [lr, #24]\n\t"                                       \
                   "ldr r2, [r0], #4\n\t"                                        \
                   "str r0, [lr, #24]\n\t"                                       \
                   "mvn r2, r2\n\t"                                              \
                   "ldr r12, [lr, #28]\n\t"                                      \
                   "sub r5, r5, r4\n\t"                                          \
                   "sub r7, r7, r6\n\t"                                          \
                   "asr r5, r5, #7\n\t"                                          \
                   "asr r7, r7, #7\n\t"                                          \
                   "lsl r4, r4, #1\n\t"                                          \
                   "lsl r6, r6, #1\n\t"                                          \
                   LM_QUAD_BIAS("r5", "4") LM_QUAD_BIAS("r7", "12")              \
                   LM_QUAD_SCALE("r4", "r8", "") LM_QUAD_SCALE("r5", "r9", ", ror #8") \
                   LM_QUAD_SCALE("r6", "r10", ", ror #16")                       \
                   LM_QUAD_SCALE("r7", "r11", ", ror #24")                       \
                   "ldr r0, [lr, #16]\n\t"                                       \
                   "add r0, r0, #16\n\t"                                         \
                   "str r0, [lr, #16]\n\t" END                                   \
                   "ldr r0, [lr, #12]\n\t"                                       \
                   "cmp r3, r0\n\t"                                              \
                   "bne.w 1b\n\t" LM_RETURN("64")                                \
                   :                                                             \
                   :                                                             \
                   : "memory");                                                  \
  }

/* Leaves the outputs in the block that go by four; returns where all of them end, NULL: none do. */
static inline const int8_t *lm_begin_quads(lm_pairs_block *block) {
  const int32_t pair_bytes = (int32_t)(block->part_end - block->widened) * 4;
  const int32_t quads = (int32_t)(block->weights_end - block->weights) / (2 * pair_bytes);
  if (quads == 0) return NULL;
  const int8_t *const end = block->weights_end;
  block->weights_end = block->weights + quads * 2 * pair_bytes;
  block->carried[0] = pair_bytes;
  return end;
}

/* Leaves the others in it. */
static inline void lm_end_quads(lm_pairs_block *block, const int8_t *end) {
  block->carried[0] = 0;
  block->weights = block->weights_end;
  block->weights_end = end;
}

#endif
