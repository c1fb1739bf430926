/* SPDX-License-Identifier: Apache-2.0
 * Attention of four query rows at once, in assembly: scores, weights, and values times weights.
 *
 * A word of scratch a key. First the scores of the four rows, a byte each; then, for each pair of
 * keys (j, j + 1), the weights (0:j, 1:j, 0:j+1, 1:j+1) and (2:j, 3:j, 2:j+1, 3:j+1) by row:key.
 * A halfword of these is h = low + 256 * high, so that the sum H of h * v and the sum L of UXTB16(h)
 * * v give the rows' sums: L and (H - L) / 256, exact while these are below 2^23 in magnitude: for at
 * most 512 keys. */
#ifndef LM_ATTENTION_ROWS_H
#define LM_ATTENTION_ROWS_H

#include <stddef.h>

#include "dsp.h"

enum { LM_MOST_KEYS_IN_ROWS = 512 };

/* lm_requantize of an even number 2x, without its last halving: a is its register, r12 is lost. */
#define LM_SCALE_DOUBLED(a, multiplier, shift, half) \
  "add r12, " half ", " a ", asr #31\n\t"              \
  "smmlar " a ", " a ", " multiplier ", r12\n\t"       \
  "asr " a ", " a ", " shift "\n\t"

typedef struct {
  int32_t multiplier;          /* 0 */
  int32_t shift;               /* 4: right, less one */
  int32_t half;                /* 8: 1 << shift */
  uint32_t largest;            /* 12: the largest scores, a byte a row */
  const uint32_t *widened;     /* 16: (head_width / 4, 2, 4): twice the queries */
  const uint32_t *widened_end; /* 20 */
  const int8_t *key;           /* 24 */
  int32_t gap;                 /* 28: from a key's end to the next key */
  uint32_t *scores;            /* 32 */
  uint32_t *scores_end;        /* 36 */
  uint32_t saved[9];           /* 40 */
} lm_score_block;

/* Registers: r4 ... r7 sums; r8 ... r11 queries; r2 of these the next, r3 of the key; lr the block. */
#define LM_SCORE_QUAD            \
  "ldr r0, [r3], #4\n\t"           \
  "ldm r2!, {r8-r11}\n\t"          \
  "sxtb16 r1, r0\n\t"              \
  "smlad r4, r1, r8, r4\n\t"       \
  "smlad r5, r1, r9, r5\n\t"       \
  "smlad r6, r1, r10, r6\n\t"      \
  "smlad r7, r1, r11, r7\n\t"      \
  "ldm r2!, {r8-r11}\n\t"          \
  "sxtb16 r1, r0, ror #8\n\t"      \
  "smlad r4, r1, r8, r4\n\t"       \
  "smlad r5, r1, r9, r5\n\t"       \
  "smlad r6, r1, r10, r6\n\t"      \
  "smlad r7, r1, r11, r7\n\t"

#define LM_SCORE_4_QUADS LM_SCORE_QUAD LM_SCORE_QUAD LM_SCORE_QUAD LM_SCORE_QUAD
#define LM_SCORE_16_QUADS LM_SCORE_4_QUADS LM_SCORE_4_QUADS LM_SCORE_4_QUADS LM_SCORE_4_QUADS

#define LM_SCORE(sum) LM_SCALE_DOUBLED(sum, "r8", "r9", "r10") "ssat " sum ", #8, " sum ", asr #1\n\t"

#define LM_SCORE_KEYS(quads)            \
  LM_SAVE_REGISTERS("40")                 \
  "mov lr, r0\n\t"                        \
  "ldr r3, [lr, #24]\n"                   \
  "1:\n\t"                                \
  "ldrd r2, r12, [lr, #16]\n\t"           \
  "mov r4, #0\n\t"                        \
  "mov r5, #0\n\t"                        \
  "mov r6, #0\n\t"                        \
  "mov r7, #0\n"                          \
  "2:\n\t" quads                          \
  "cmp r2, r12\n\t"                       \
  "bne 2b\n\t"                            \
  "ldm lr, {r8-r11}\n\t"                  \
  LM_SCORE("r4") LM_SCORE("r5") LM_SCORE("r6") LM_SCORE("r7") \
  "bfi r4, r5, #8, #8\n\t"                \
  "bfi r6, r7, #8, #8\n\t"                \
  "ldr r2, [lr, #28]\n\t"                 \
  "pkhbt r4, r4, r6, lsl #16\n\t"         \
  "ssub8 r0, r4, r11\n\t"                 \
  "sel r11, r4, r11\n\t"                  \
  "add r3, r3, r2\n\t"                    \
  "ldrd r0, r1, [lr, #32]\n\t"            \
  "str r11, [lr, #12]\n\t"                \
  "str r4, [r0], #4\n\t"                  \
  "str r0, [lr, #32]\n\t"                 \
  "cmp r0, r1\n\t"                        \
  "bne 1b\n\t"                            \
  LM_RETURN("40")

/* Heads of a multiple of 16 columns, and of 64. */
__attribute__((naked, noinline)) static void lm_score_keys_by_16(
    lm_score_block *block __attribute__((unused))) {
  __asm volatile(LM_SCORE_KEYS(LM_SCORE_4_QUADS) : : : "memory");
}

__attribute__((naked, noinline)) static void lm_score_keys_by_64(
    lm_score_block *block __attribute__((unused))) {
  __asm volatile(LM_SCORE_KEYS(LM_SCORE_16_QUADS) : : : "memory");
}

typedef struct {
  const uint8_t *exp_table; /* 0 */
  uint32_t largest;         /* 4 */
  uint32_t *pair;           /* 8 */
  uint32_t *pairs_end;      /* 12 */
  uint32_t totals[4];       /* 16: by row, even and odd keys in the halves */
  uint32_t saved[9];        /* 32 */
} lm_weigh_block;

#define LM_WEIGHT(to, extract) extract "\n\tldrb " to ", [r0, " to "]\n\t"

/* Scores of pairs of keys, at least one, to weights. */
__attribute__((naked, noinline)) static void lm_weigh_pairs(
    lm_weigh_block *block __attribute__((unused))) {
  __asm volatile(
      LM_SAVE_REGISTERS("32")
      "mov lr, r0\n\t"
      "ldm lr, {r0-r7}\n"
      "1:\n\t"
      "ldrd r8, r9, [r2]\n\t"
      "usub8 r8, r1, r8\n\t"
      "usub8 r9, r1, r9\n\t"
      LM_WEIGHT("r10", "uxtb r10, r8")
      LM_WEIGHT("r12", "ubfx r12, r8, #8, #8")
      "orr r10, r10, r12, lsl #8\n\t"
      LM_WEIGHT("r12", "uxtb r12, r9")
      "orr r10, r10, r12, lsl #16\n\t"
      LM_WEIGHT("r12", "ubfx r12, r9, #8, #8")
      "orr r10, r10, r12, lsl #24\n\t"
      LM_WEIGHT("r11", "ubfx r11, r8, #16, #8")
      LM_WEIGHT("r12", "lsr r12, r8, #24")
      "orr r11, r11, r12, lsl #8\n\t"
      LM_WEIGHT("r12", "ubfx r12, r9, #16, #8")
      "orr r11, r11, r12, lsl #16\n\t"
      LM_WEIGHT("r12", "lsr r12, r9, #24")
      "orr r11, r11, r12, lsl #24\n\t"
      "uxtab16 r4, r4, r10\n\t"
      "uxtab16 r5, r5, r10, ror #8\n\t"
      "uxtab16 r6, r6, r11\n\t"
      "uxtab16 r7, r7, r11, ror #8\n\t"
      "strd r10, r11, [r2], #8\n\t"
      "cmp r2, r3\n\t"
      "bne 1b\n\t"
      "add r0, lr, #16\n\t"
      "stm r0, {r4-r7}\n\t"
      LM_RETURN("32")
      :
      :
      : "memory");
}

typedef struct {
  int32_t multiplier;
  int32_t shift; /* right, less one */
  int32_t half;  /* (2 * zero_point + 1) << shift */
  int8_t *y;
} lm_mix_row;

/* Two columns of v and four rows at a turn. */
typedef struct {
  const uint32_t *weights;     /* 0 */
  const uint32_t *singles_end; /* 4: pairs of keys before a multiple of four of these */
  const uint32_t *pairs_end;   /* 8 */
  int32_t is_odd;              /* 12: a key without a neighbour follows */
  const int8_t *v;             /* 16 */
  const int8_t *v_end;         /* 20: columns, in the first row */
  int32_t stride;              /* 24 */
  lm_mix_row rows[4];          /* 28 */
  uint32_t saved[9];           /* 92 */
} lm_mix_block;

typedef char lm_offsets_are_as_assembled[offsetof(lm_score_block, saved) == 40 &&
                                                 offsetof(lm_weigh_block, saved) == 32 &&
                                                 offsetof(lm_mix_block, saved) == 92
                                             ? 1
                                             : -1];

/* Registers: r4 ... r11 sums; r12 the next weights; r3 the next values. Rows 0 and 1 are in the
 * sums H, L of a column at r4, r5 and of the next at r6, r7, and 2 and 3 in those from r8 on. */
#define LM_MIX_HALVES(weights, high, low, next_high, next_low) \
  "smlad " high ", r0, " weights ", " high "\n\t"                \
  "smlad " next_high ", r1, " weights ", " next_high "\n\t"      \
  "uxtb16 " weights ", " weights "\n\t"                          \
  "smlad " low ", r0, " weights ", " low "\n\t"                  \
  "smlad " next_low ", r1, " weights ", " next_low "\n\t"

#define LM_MIX_WIDENED                                \
  "sxtb16 r1, r0, ror #8\n\t"                           \
  "sxtb16 r0, r0\n\t"                                   \
  "ldrd r2, lr, [r12], #8\n\t"                          \
  LM_MIX_HALVES("r2", "r4", "r5", "r6", "r7")           \
  LM_MIX_HALVES("lr", "r8", "r9", "r10", "r11")

#define LM_MIX_PAIR(at, next) \
  "ldrh r0, [r3, #" at "]\n\t"  \
  "ldrh r1, [r3, #" next "]\n\t" \
  "pkhbt r0, r0, r1, lsl #16\n\t" LM_MIX_WIDENED

/* Any stride. */
#define LM_MIX_PAIR_AT_STRIDE    \
  "ldr r2, [sp]\n\t"               \
  "ldrh r0, [r3]\n\t"              \
  "ldr r2, [r2, #24]\n\t"          \
  "ldrh r1, [r3, r2]\n\t"          \
  "add r3, r3, r2, lsl #1\n\t"     \
  "pkhbt r0, r0, r1, lsl #16\n\t" LM_MIX_WIDENED

#define LM_MIX_4_PAIRS_64                               \
  LM_MIX_PAIR("0", "64") LM_MIX_PAIR("128", "192")        \
  LM_MIX_PAIR("256", "320") LM_MIX_PAIR("384", "448")     \
  "add r3, r3, #512\n\t"

#define LM_MIX_4_PAIRS_128                              \
  LM_MIX_PAIR("0", "128") LM_MIX_PAIR("256", "384")       \
  LM_MIX_PAIR("512", "640") LM_MIX_PAIR("768", "896")     \
  "add r3, r3, #1024\n\t"

#define LM_MIX_4_PAIRS_ANY \
  LM_MIX_PAIR_AT_STRIDE LM_MIX_PAIR_AT_STRIDE LM_MIX_PAIR_AT_STRIDE LM_MIX_PAIR_AT_STRIDE

#define LM_MIX_VALUE(sum) LM_SCALE_DOUBLED(sum, "r0", "r1", "r2") "ssat " sum ", #8, " sum ", asr #1\n\t"

/* Two columns of a row, the sums doubled; lr is the row. */
#define LM_MIX_ROW(sum, next)    \
  "ldm lr, {r0-r3}\n\t"            \
  LM_MIX_VALUE(sum) LM_MIX_VALUE(next) \
  "bfi " sum ", " next ", #8, #8\n\t" \
  "strh " sum ", [r3], #2\n\t"     \
  "str r3, [lr, #12]\n\t"          \
  "add lr, lr, #16\n\t"

#define LM_MIX_COLUMNS(four_pairs)   \
  LM_SAVE_REGISTERS("92")              \
  "1:\n\t"                             \
  "ldr lr, [sp]\n\t"                   \
  "ldr r12, [lr]\n\t"                  \
  "ldr r3, [lr, #16]\n\t"              \
  "mov r4, #0\n\t"                     \
  "mov r5, #0\n\t"                     \
  "mov r6, #0\n\t"                     \
  "mov r7, #0\n\t"                     \
  "mov r8, #0\n\t"                     \
  "mov r9, #0\n\t"                     \
  "mov r10, #0\n\t"                    \
  "mov r11, #0\n\t"                    \
  "b 3f\n"                             \
  "2:\n\t" LM_MIX_PAIR_AT_STRIDE       \
  "3:\n\t"                             \
  "ldr lr, [sp]\n\t"                   \
  "ldr r0, [lr, #4]\n\t"               \
  "cmp r12, r0\n\t"                    \
  "bne 2b\n\t"                         \
  "b 5f\n"                             \
  "4:\n\t" four_pairs                  \
  "ldr lr, [sp]\n"                     \
  "5:\n\t"                             \
  "ldr r0, [lr, #8]\n\t"               \
  "cmp r12, r0\n\t"                    \
  "bne.w 4b\n\t"                       \
  "ldr r0, [lr, #12]\n\t"              \
  "cbz r0, 6f\n\t"                     \
  "ldrh r0, [r3]\n\t" LM_MIX_WIDENED   \
  "6:\n\t"                             \
  "sub r4, r4, r5\n\t"                 \
  "sub r6, r6, r7\n\t"                 \
  "sub r8, r8, r9\n\t"                 \
  "sub r10, r10, r11\n\t"              \
  "lsl r5, r5, #1\n\t"                 \
  "lsl r7, r7, #1\n\t"                 \
  "lsl r9, r9, #1\n\t"                 \
  "lsl r11, r11, #1\n\t"               \
  "asr r4, r4, #7\n\t"                 \
  "asr r6, r6, #7\n\t"                 \
  "asr r8, r8, #7\n\t"                 \
  "asr r10, r10, #7\n\t"               \
  "ldr lr, [sp]\n\t"                   \
  "add lr, lr, #28\n\t"                \
  LM_MIX_ROW("r5", "r7") LM_MIX_ROW("r4", "r6")   \
  LM_MIX_ROW("r9", "r11") LM_MIX_ROW("r8", "r10") \
  "ldr lr, [sp]\n\t"                   \
  "ldrd r0, r1, [lr, #16]\n\t"         \
  "add r0, r0, #2\n\t"                 \
  "str r0, [lr, #16]\n\t"              \
  "cmp r0, r1\n\t"                     \
  "bne.w 1b\n\t"                       \
  LM_RETURN("92")

/* Where no register is left for the block, its address is on the stack: the fifth argument. */
#define LM_MIX_FUNCTION(stride)                                     \
  __attribute__((naked, noinline)) static void lm_mix_columns_##stride( \
      lm_mix_block *block __attribute__((unused)), int32_t unused1 __attribute__((unused)), \
      int32_t unused2 __attribute__((unused)), int32_t unused3 __attribute__((unused)), \
      lm_mix_block *on_stack __attribute__((unused))) { \
    __asm volatile(LM_MIX_COLUMNS(LM_MIX_4_PAIRS_##stride) : : : "memory"); \
  }

LM_MIX_FUNCTION(64)
LM_MIX_FUNCTION(128)
LM_MIX_FUNCTION(ANY)

#endif
