/* SPDX-License-Identifier: Apache-2.0
 * Linears whose weights are packed by pairs of outputs: up to three rows of x, widened to int16
 * once, pass by the weights of two outputs, of which a halfword holds both. linear.c and
 * linear_w4.c say how such a halfword is taken apart: what they give is named at the end of this
 * file. */
#ifndef LM_DSP_PAIRS_H
#define LM_DSP_PAIRS_H

#include <stddef.h>

#include "../kernels.h"
#include "dsp.h"
#include "outputs.h"

/* The multiple of inputs that a turn takes. */
enum { LM_PAIRS_INPUTS = 32 };

/* What the assembly reads, which knows the offsets. All outputs of up to three rows. */
typedef struct {
  const uint32_t *widened;     /* 0: (inputs / 4, 2, rows): columns 0 and 2 of a quad, 1 and 3 */
  const uint32_t *part_end;    /* 4: of the part of the row that is next */
  const int8_t *weights;       /* 8: packed, pair after pair */
  const int8_t *weights_end;   /* 12 */
  const int32_t *bias;         /* 16 */
  const int32_t *multipliers;  /* 20 */
  const int8_t *shifts;        /* 24: smallest_shift ... -1 */
  int32_t rounding;            /* 28: 2 * zero_point + 1 */
  const int8_t *table;         /* 32: by value; NULL: none */
  void *y[3];                  /* 36 */
  const uint32_t *widened_end; /* 48: NULL: the row is one part */
  int32_t carried[2];          /* 52: twice the high sums of parts before */
  const uint32_t *first_end;   /* 60: of the first part */
  uint32_t saved[9];           /* 64 */
  int32_t starts[3];           /* 100: of the sums of a row, where the packing needs it */
  int32_t next[2];             /* 112: from the end of a pair to the next one's start, in turn */
} lm_pairs_block;

typedef char lm_pairs_offsets_are_as_assembled[offsetof(lm_pairs_block, next) == 112 ? 1 : -1];

/* Registers: r0, r1 weights; r2 widened rows; r3 packed weights; lr the block; the sums of low
 * outputs from r4 on, then those of high ones. */
#define LM_FOR_1(DO) DO("r4")
#define LM_FOR_2(DO) DO("r4") DO("r5")
#define LM_FOR_3(DO) DO("r4") DO("r5") DO("r6")
#define LM_FOR_HIGH_1(DO) DO("r5", "r4")
#define LM_FOR_HIGH_2(DO) DO("r6", "r4") DO("r7", "r5")
#define LM_FOR_HIGH_3(DO) DO("r7", "r4") DO("r8", "r5") DO("r9", "r6")
#define LM_SUBTRACT(high, low) "sub " high ", " high ", " low "\n\t"

/* lm_requantize of sum, r10 * 2^(-r11 - 1), with zero point, for a sum kept doubled: r12 holds
 * (zero_point + 1/2) << shift, from which the sign takes 1, and the last bit of the shift waits. */
#define LM_SCALE(sum, multiplier, shift)            \
  "add r0, r12, " sum ", asr #31\n\t"               \
  "smmlar " sum ", " sum ", " multiplier ", r0\n\t" \
  "asr " sum ", " sum ", " shift "\n\t"

#define LM_SCALE_LOW(low) "lsl " low ", " low ", #1\n\t" LM_SCALE(low, "r10", "r11")
#define LM_SATURATE8(sum) "ssat " sum ", #8, " sum ", asr #1\n\t"
#define LM_SATURATE8_HIGH(high, low) LM_SATURATE8(high)
#define LM_LOOK_UP(sum) "ldrsb " sum ", [r0, " sum "]\n\t"
#define LM_LOOK_UP_HIGH(high, low) LM_LOOK_UP(high)
#define LM_JOIN8(high, low) "bfi " low ", " high ", #8, #8\n\t"
#define LM_SATURATE16(sum) "ssat " sum ", #16, " sum ", asr #1\n\t"
#define LM_SATURATE16_HIGH(high, low) LM_SATURATE16(high)
#define LM_JOIN16(high, low) "pkhbt " low ", " low ", " high ", lsl #16\n\t"

#define LM_STORE_1(store, size)     \
  "ldr r10, [lr, #36]\n\t"          \
  store " r4, [r10], #" size "\n\t" \
  "str r10, [lr, #36]\n\t"

#define LM_STORE_2(store, size)     \
  "ldrd r10, r11, [lr, #36]\n\t"    \
  store " r4, [r10], #" size "\n\t" \
  store " r5, [r11], #" size "\n\t" \
  "strd r10, r11, [lr, #36]\n\t"

#define LM_STORE_3(store, size)     \
  "add r0, lr, #36\n\t"             \
  "ldm r0, {r10-r12}\n\t"           \
  store " r4, [r10], #" size "\n\t" \
  store " r5, [r11], #" size "\n\t" \
  store " r6, [r12], #" size "\n\t" \
  "stm r0, {r10-r12}\n\t"

/* Ends: both results of a row in its low register, at r4 and on. */
#define LM_END_S8(rows)                                             \
  LM_FOR_##rows(LM_SATURATE8) LM_FOR_HIGH_##rows(LM_SATURATE8_HIGH) \
  "ldr r0, [lr, #32]\n\t"                                           \
  "cbz r0, 3f\n\t"                                                  \
  LM_FOR_##rows(LM_LOOK_UP) LM_FOR_HIGH_##rows(LM_LOOK_UP_HIGH)     \
  "3:\n\t"                                                          \
  LM_FOR_HIGH_##rows(LM_JOIN8) LM_STORE_##rows("strh", "2")

#define LM_END_S16(rows)                                              \
  LM_FOR_##rows(LM_SATURATE16) LM_FOR_HIGH_##rows(LM_SATURATE16_HIGH) \
  LM_FOR_HIGH_##rows(LM_JOIN16) LM_STORE_##rows("str", "4")
/* BEGIN(rows) starts sums with the bias in r0, SUM(rows)
 * leaves the high ones as SCALE_HIGH takes them: of them, doubled, the bias in r10 is a part. NEXT
 * goes on from the end of a pair's weights to the next one's. */
#define LM_PAIRS(rows, BEGIN, SUM, NEXT, SCALE_LOW, SCALE_HIGH, END) \
  LM_SAVE_REGISTERS("64")                                      \
  "mov lr, r0\n\t"                                             \
  "ldr r3, [lr, #8]\n"                                         \
  "1:\n\t"                                                     \
  "ldr r1, [lr, #16]\n\t"                                      \
  "ldr r0, [r1], #8\n\t"                                       \
  "ldr r2, [lr]\n\t"                                           \
  "str r1, [lr, #16]\n\t"                                      \
  BEGIN(rows) SUM(rows) NEXT                                   \
  "ldrd r0, r12, [lr, #20]\n\t"                                \
  "ldrsb r11, [r12], #1\n\t"                                   \
  "ldrsb r1, [r12], #1\n\t"                                    \
  "ldrd r10, r2, [r0], #8\n\t"                                 \
  "strd r0, r12, [lr, #20]\n\t"                                \
  "mvn r11, r11\n\t"                                           \
  "mvn r1, r1\n\t"                                             \
  "ldr r12, [lr, #28]\n\t"                                     \
  "lsl r12, r12, r11\n\t"                                      \
  LM_FOR_##rows(SCALE_LOW)                                     \
  "ldr r10, [lr, #16]\n\t"                                     \
  "ldr r12, [lr, #28]\n\t"                                     \
  "ldr r10, [r10, #-4]\n\t"                                    \
  "lsl r12, r12, r1\n\t"                                       \
  "lsl r10, r10, #1\n\t"                                       \
  LM_FOR_HIGH_##rows(SCALE_HIGH)                               \
  END(rows)                                                    \
  "ldr r0, [lr, #12]\n\t"                                      \
  "cmp r3, r0\n\t"                                             \
  "bne.w 1b\n\t"                                               \
  LM_RETURN("64")

/* Outputs, two at a time, of as many rows as the name says. */
#define LM_PAIRS_FUNCTION(rows, type, BEGIN, SUM, NEXT, SCALE_LOW, SCALE_HIGH, END)              \
  __attribute__((naked, noinline)) static void pairs_##rows##_##type(                            \
      lm_pairs_block *block __attribute__((unused))) {                                           \
    __asm volatile(LM_PAIRS(rows, BEGIN, SUM, NEXT, SCALE_LOW, SCALE_HIGH, END) : : : "memory"); \
  }


static inline int32_t lm_pairs_padded(const lm_linear *p) {
  return (p->inputs + LM_PAIRS_INPUTS - 1) & -LM_PAIRS_INPUTS;
}

typedef struct {
  int32_t input_bytes;
  int32_t output_bytes;
  int32_t smallest_shift;
} lm_pairs_types;

/* The largest shift to the left that the assembly makes; -1: none. */
static int32_t lm_largest_shift(const lm_pairs_types *type);

/* How the assembly scales outputs: it does not, it shifts to the right or to the left. */
typedef enum { LM_BY_RULE, LM_RIGHT, LM_LEFT } lm_pairs_way;

/* Shifts to the left saturate nothing: the products of 4,096 inputs take at most 2^22, too. */
enum { LM_LARGEST_LEFT_BIAS = 1 << 22, LM_LARGEST_LEFT_INPUTS = 4096 };

static inline bool lm_is_left(const lm_linear *p, int32_t output, const lm_pairs_types *type) {
  const int32_t bias = p->bias[output], shift = p->shifts[output];
  return shift >= 0 && shift <= lm_largest_shift(type) && bias <= LM_LARGEST_LEFT_BIAS &&
         bias >= -LM_LARGEST_LEFT_BIAS;
}

/* Above it all results of shifts that the block may have are saturated; the sums of products take at
 * most half of it. */
enum { LM_LARGEST_RIGHT_BIAS = 1 << 28 };

static inline bool lm_is_right(const lm_linear *p, int32_t output, const lm_pairs_types *type) {
  const int32_t above = p->shifts[output] - type->smallest_shift;
  const int32_t bias = p->bias[output];
  return (uint32_t)above < (uint32_t)-type->smallest_shift && bias <= LM_LARGEST_RIGHT_BIAS &&
         bias >= -LM_LARGEST_RIGHT_BIAS;
}

/* Of outputs `pair` and `pair + 1`. */
static inline lm_pairs_way lm_way_of(const lm_linear *p, int32_t pair, const lm_pairs_types *type) {
  if (pair + 1 >= p->outputs) return LM_BY_RULE;
  if (lm_is_right(p, pair, type) && lm_is_right(p, pair + 1, type)) return LM_RIGHT;
  const bool is_small = p->inputs <= LM_LARGEST_LEFT_INPUTS && p->zero_point == 0;
  const bool is_left = lm_is_left(p, pair, type) && lm_is_left(p, pair + 1, type);
  return is_small && is_left ? LM_LEFT : LM_BY_RULE;
}

/* Whether all outputs are of pairs to the right, as they mostly are. */
static inline bool lm_all_right(const lm_linear *p, const lm_pairs_types *type) {
  return p->outputs % 2 == 0 && p->most_sum <= LM_LARGEST_RIGHT_BIAS && p->most_shift < 0 &&
         p->least_shift >= type->smallest_shift;
}

/* Pairs from `first` on that go one way, up to output `end`. */
typedef struct {
  lm_pairs_way way;
  int32_t first;
  int32_t end;
} lm_pairs_run;

__attribute__((noinline)) static lm_pairs_run lm_run_from(const lm_linear *p, int32_t first,
                                                          const lm_pairs_types *type) {
  lm_pairs_run run = {lm_way_of(p, first, type), first, first};
  do {
    run.end += 2;
  } while (run.end < p->outputs && lm_way_of(p, run.end, type) == run.way);
  run.end = lm_min(run.end, p->outputs);
  return run;
}

/* As many rows at once as divide the rest best and as scratch has room for. */
static int32_t lm_rows_at_once(const lm_linear *p, int32_t rows) {
  const bool has_room = 6 * lm_pairs_padded(p) <= LM_LINEAR_DSP_SCRATCH_BYTES + 4 * p->inputs;
  if (rows >= 3 && rows != 4 && has_room) return 3;
  return lm_min(rows, 2);
}

/* A row that the assembly has made: what it leaves out. */
static inline void lm_finish_row(const lm_linear *p, void *y, const lm_pairs_types *type) {
  if (type->output_bytes == 2) lm_finish_s16(p, y);
  else if (p->min > INT8_MIN || p->max < INT8_MAX) lm_finish_s8(p, y);
}

static inline void lm_store_value(int32_t value, void *y, int32_t column,
                                  const lm_pairs_types *type) {
  if (type->output_bytes == 2) ((int16_t *)y)[column] = (int16_t)value;
  else ((int8_t *)y)[column] = (int8_t)value;
}

/* What the file that includes this one gives: where a pair's weights begin, and how far behind that
 * they end; the rows of a block, with what else its packing needs; outputs of the block's rows; the
 * sums, without biases, of the pair and row that the block has. Called by name, for the bound of the
 * stack follows no pointers. */
static int32_t lm_pair_start(const lm_linear *p, int32_t pair);
static int32_t lm_pair_span(const lm_linear *p);
static void lm_widen_block(const lm_linear *p, const void *x, int32_t x_stride, int32_t rows,
                           lm_pairs_block *block, uint32_t *scratch, const lm_pairs_types *type);
static void lm_make_pairs(lm_pairs_block *block, int32_t rows, const lm_pairs_types *type,
                          lm_pairs_way way);
static void lm_sum_pair(lm_pairs_block *block);

/* The block of `rows` rows from x on; outputs remain to be chosen. */
static lm_pairs_block lm_block_of(const lm_linear *p, const void *x, int32_t x_stride, int32_t rows,
                                  uint32_t *scratch, const lm_pairs_types *type) {
  const bool is_clamped = p->min > INT8_MIN || p->max < INT8_MAX;
  lm_pairs_block block = {
      .widened = scratch,
      .part_end = scratch + lm_pairs_padded(p) / 2 * rows,
      .rounding = 2 * p->zero_point + 1,
      .table = p->table == NULL || is_clamped ? NULL : p->table + 128,
      .y = {NULL, NULL, NULL},
      .carried = {0, 0},
  };
  lm_widen_block(p, x, x_stride, rows, &block, scratch, type);
  return block;
}

/* Outputs `first`, which is even, to `end`. */
static inline void lm_choose_pairs(const lm_linear *p, int32_t first, int32_t end,
                                   lm_pairs_block *block) {
  const int32_t pair = first >> 1, span = lm_pair_span(p);
  const int32_t start = lm_pair_start(p, pair), next = lm_pair_start(p, pair + 1);
  block->weights = p->weights + start;
  block->weights_end = p->weights + lm_pair_start(p, (end + 1) >> 1);
  block->next[0] = next - start - span;
  block->next[1] = lm_pair_start(p, pair + 2) - next - span;
  block->bias = p->bias + first;
  block->multipliers = p->multipliers + first;
  block->shifts = p->shifts + first;
}

/* The outputs that the assembly scales, of all rows; returns whether these were all. */
__attribute__((noinline)) static bool lm_make_scaled(const lm_linear *p, const int8_t *x,
                                                     int32_t x_stride, int32_t rows, int8_t *y,
                                                     int32_t y_stride, uint32_t *scratch,
                                                     const lm_pairs_types *type) {
  const lm_pairs_run all = {LM_RIGHT, 0, p->outputs};
  const lm_pairs_run first_run = lm_all_right(p, type) ? all : lm_run_from(p, 0, type);
  const bool is_one_run = first_run.end == p->outputs;
  if (is_one_run && first_run.way == LM_BY_RULE) return false;
  int32_t at_once;
  for (int32_t row = 0; row < rows; row += at_once) {
    at_once = lm_rows_at_once(p, rows - row);
    lm_pairs_block block = lm_block_of(p, x + row * x_stride, x_stride, at_once, scratch, type);
    lm_pairs_run run = first_run;
    for (;;) {
      if (run.way != LM_BY_RULE) {
        lm_choose_pairs(p, run.first, run.end, &block);
        for (int32_t i = 0; i < at_once; i++) {
          block.y[i] = y + (row + i) * y_stride + run.first * type->output_bytes;
        }
        lm_make_pairs(&block, at_once, type, run.way);
      }
      if (run.end == p->outputs) break;
      run = lm_run_from(p, run.end, type);
    }
  }
  return is_one_run;
}

/* The outputs that it does not, of a row. */
__attribute__((noinline)) static void lm_make_rest(const lm_linear *p, const int8_t *x, void *y,
                                                   uint32_t *scratch,
                                                   const lm_pairs_types *type) {
  lm_pairs_block block = lm_block_of(p, x, 0, 1, scratch, type);
  lm_pairs_run run;
  for (int32_t first = 0; first < p->outputs; first = run.end) {
    run = lm_run_from(p, first, type);
    for (int32_t pair = first; pair < run.end && run.way == LM_BY_RULE; pair += 2) {
      int32_t sums[2];
      lm_choose_pairs(p, pair, pair + 2, &block);
      block.y[0] = sums;
      lm_sum_pair(&block);
      lm_store_value(lm_value_of(p, pair, sums[0]), y, pair, type);
      if (pair + 1 < p->outputs) {
        lm_store_value(lm_value_of(p, pair + 1, sums[1]), y, pair + 1, type);
      }
    }
  }
}

/* All outputs of all rows; strides are of bytes. */
static void lm_make_outputs(const lm_linear *p, const void *x, int32_t x_stride, int32_t rows,
                            void *y, int32_t y_stride, void *scratch, const lm_pairs_types *type) {
  const int8_t *from = x;
  int8_t *to = y;
  const bool is_made = lm_make_scaled(p, from, x_stride, rows, to, y_stride, scratch, type);
  for (int32_t row = 0; row < rows; row++, from += x_stride, to += y_stride) {
    lm_finish_row(p, to, type);
    if (!is_made) lm_make_rest(p, from, to, scratch, type);
  }
}

#endif
