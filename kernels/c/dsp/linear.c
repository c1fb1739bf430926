/* SPDX-License-Identifier: Apache-2.0
 * linear.c for the DSP extension: up to three rows, widened to int16 once, by two outputs at a
 * time.
 *
 * Packed weights ("pairs" in toolchain/schedule/packings.ts) need one instruction to unpack four:
 * a halfword is h = low + 256 * high, the weights of two outputs. With S(w) = sum x * w, the sum H
 * over h and the sum L over low alone, SXTB16(h), give S(low) = L and S(high) = (H - L) / 256;
 * modulo 2^32 that is exact while |S(high)| < 2^23, so for at most 512 inputs. Longer rows are
 * added up in parts of 512; rows so long that the clamp of biases would show are not packed. */
#include <stddef.h>

#include "../kernels.h"
#include "dsp.h"
#include "pairs.h"
#include "quads.h"

enum { LONGEST_PACKED_ROW = 8192, LONGEST_PART = 512 };

/* Rows of weights one after another: two rows of x by two outputs. A row or output without a
 * neighbour is its own. */

/* The two rows of a block, as they are and widened. */
typedef struct {
  const int8_t *a;
  const int8_t *b;
  const uint32_t *widened; /* (inputs / 4, 4) */
} row_pair;

static row_pair widen_pair(const lm_linear *p, lm_rows x, int32_t row, int32_t next,
                           uint32_t *scratch) {
  const row_pair pair = {x.data + row * x.stride, x.data + next * x.stride, scratch};
  lm_widen_rows(pair.a, pair.b, p->inputs / 4, scratch);
  return pair;
}

/* The sums of outputs `column` and `next`, bias included. */
static inline lm_sums_2x2 sums_of(const lm_linear *p, row_pair rows, int32_t column, int32_t next) {
  const int8_t *w = p->weights + column * p->inputs;
  const int8_t *v = p->weights + next * p->inputs;
  lm_sums_2x2 sums = {p->bias[column], p->bias[column], p->bias[next], p->bias[next]};
  for (int32_t i = p->inputs & ~3; i < p->inputs; i++) {
    sums.aw += rows.a[i] * w[i];
    sums.bw += rows.b[i] * w[i];
    sums.av += rows.a[i] * v[i];
    sums.bv += rows.b[i] * v[i];
  }
  if (p->inputs >= 4) lm_dot_2x2(rows.widened, w, v, p->inputs / 4, &sums);
  return sums;
}

static inline int8_t scale_s8(const lm_linear *p, int32_t sum, lm_split_requant requant) {
  return (int8_t)lm_add_to_s8(lm_requantize_split(sum, requant), p->zero_point);
}

static inline int16_t scale_s16(const lm_linear *p, int32_t sum, lm_split_requant requant) {
  return (int16_t)lm_add_to_s16(lm_requantize_split(sum, requant), p->zero_point);
}

void lm_linear_rows_s8_s8_dsp(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y,
                              int32_t y_stride, void *scratch) {
  for (int32_t row = 0; row < rows; row += 2) {
    const int32_t next_row = lm_min(row + 1, rows - 1);
    const row_pair pair = widen_pair(p, x, row, next_row, scratch);
    int8_t *ya = y + row * y_stride;
    int8_t *yb = y + next_row * y_stride;
    for (int32_t column = 0; column < p->outputs; column += 2) {
      const int32_t next = lm_min(column + 1, p->outputs - 1);
      const lm_sums_2x2 sums = sums_of(p, pair, column, next);
      const lm_split_requant w = lm_split(p->multipliers[column], p->shifts[column]);
      ya[column] = scale_s8(p, sums.aw, w);
      yb[column] = scale_s8(p, sums.bw, w);
      const lm_split_requant v = lm_split(p->multipliers[next], p->shifts[next]);
      ya[next] = scale_s8(p, sums.av, v);
      yb[next] = scale_s8(p, sums.bv, v);
    }
    lm_finish_s8(p, ya);
    if (next_row > row) lm_finish_s8(p, yb);
  }
}

void lm_linear_rows_s8_s16_dsp(const lm_linear *p, lm_rows x, int32_t rows, int16_t *y,
                               int32_t y_stride, void *scratch) {
  for (int32_t row = 0; row < rows; row += 2) {
    const int32_t next_row = lm_min(row + 1, rows - 1);
    const row_pair pair = widen_pair(p, x, row, next_row, scratch);
    int16_t *ya = y + row * y_stride;
    int16_t *yb = y + next_row * y_stride;
    for (int32_t column = 0; column < p->outputs; column += 2) {
      const int32_t next = lm_min(column + 1, p->outputs - 1);
      const lm_sums_2x2 sums = sums_of(p, pair, column, next);
      const lm_split_requant w = lm_split(p->multipliers[column], p->shifts[column]);
      ya[column] = scale_s16(p, sums.aw, w);
      yb[column] = scale_s16(p, sums.bw, w);
      const lm_split_requant v = lm_split(p->multipliers[next], p->shifts[next]);
      ya[next] = scale_s16(p, sums.av, v);
      yb[next] = scale_s16(p, sums.bv, v);
    }
    lm_finish_s16(p, ya);
    if (next_row > row) lm_finish_s16(p, yb);
  }
}

#define QUAD_1 \
  "ldrd r0, r1, [r3], #16\n\t" \
  "ldrd r8, r9, [r2], #8\n\t" \
  "smlad r5, r0, r8, r5\n\t"  \
  "sxtb16 r0, r0\n\t"         \
  "smlad r4, r0, r8, r4\n\t"  \
  "smlad r5, r1, r9, r5\n\t"  \
  "sxtb16 r1, r1\n\t"         \
  "smlad r4, r1, r9, r4\n\t"

#define QUAD_2 \
  "ldrd r0, r1, [r3], #16\n\t" \
  "ldm r2!, {r8-r11}\n\t"     \
  "smlad r6, r0, r8, r6\n\t"  \
  "smlad r7, r0, r9, r7\n\t"  \
  "sxtb16 r0, r0\n\t"         \
  "smlad r4, r0, r8, r4\n\t"  \
  "smlad r5, r0, r9, r5\n\t"  \
  "smlad r6, r1, r10, r6\n\t" \
  "smlad r7, r1, r11, r7\n\t" \
  "sxtb16 r1, r1\n\t"         \
  "smlad r4, r1, r10, r4\n\t" \
  "smlad r5, r1, r11, r5\n\t"

#define QUAD_3 \
  "ldrd r0, r1, [r3], #16\n\t" \
  "ldm r2!, {r10-r12}\n\t"    \
  "smlad r7, r0, r10, r7\n\t" \
  "smlad r8, r0, r11, r8\n\t" \
  "smlad r9, r0, r12, r9\n\t" \
  "sxtb16 r0, r0\n\t"         \
  "smlad r4, r0, r10, r4\n\t" \
  "smlad r5, r0, r11, r5\n\t" \
  "smlad r6, r0, r12, r6\n\t" \
  "ldm r2!, {r10-r12}\n\t"    \
  "smlad r7, r1, r10, r7\n\t" \
  "smlad r8, r1, r11, r8\n\t" \
  "smlad r9, r1, r12, r9\n\t" \
  "sxtb16 r1, r1\n\t"         \
  "smlad r4, r1, r10, r4\n\t" \
  "smlad r5, r1, r11, r5\n\t" \
  "smlad r6, r1, r12, r6\n\t"

#define FOUR(quad) quad quad quad quad

#define START(low) "mov " low ", r0\n\t"
#define START_HIGH(high, low) "mov " high ", r0\n\t"
#define DOUBLE_HIGH(high, low) LM_SUBTRACT(high, low) "asr " high ", " high ", #7\n\t"

/* After a part of the row, r2 at its end: leaves 256 times the high sums of three rows, which are
 * one part, and twice those of one or two rows. All parts but the first are of 512 inputs. */
#define END_PART_3 LM_FOR_HIGH_3(LM_SUBTRACT)

#define END_PART_2             \
  LM_FOR_HIGH_2(DOUBLE_HIGH)   \
  "ldr r1, [lr, #48]\n\t"      \
  "cbz r1, 5f\n\t"             \
  "ldrd r8, r9, [lr, #52]\n\t" \
  "add r6, r6, r8\n\t"         \
  "add r7, r7, r9\n\t"         \
  "cmp r2, r1\n\t"             \
  "beq 4f\n\t"                 \
  "strd r6, r7, [lr, #52]\n\t" \
  "mov r6, r4\n\t"             \
  "mov r7, r5\n\t" NEXT_PART("2048")

#define END_PART_1           \
  LM_FOR_HIGH_1(DOUBLE_HIGH) \
  "ldr r1, [lr, #48]\n\t"    \
  "cbz r1, 5f\n\t"           \
  "ldr r8, [lr, #52]\n\t"    \
  "add r5, r5, r8\n\t"       \
  "cmp r2, r1\n\t"           \
  "beq 4f\n\t"               \
  "str r5, [lr, #52]\n\t"    \
  "mov r5, r4\n\t" NEXT_PART("1024")

/* Where the row has ended, the next output begins with its first part again. */
#define NEXT_PART(bytes)       \
  "add r0, r0, #" bytes "\n\t" \
  "str r0, [lr, #4]\n\t"       \
  "b.w 2b\n"                   \
  "4:\n\t"                     \
  "ldr r0, [lr, #60]\n\t"      \
  "mov r8, #0\n\t"             \
  "str r0, [lr, #4]\n\t"       \
  "strd r8, r8, [lr, #52]\n"   \
  "5:\n\t"

/* The sums of all inputs. */
#define ALL_PARTS(rows)                        \
  "2:\n\t" FOUR(QUAD_##rows) FOUR(QUAD_##rows) \
  "ldr r0, [lr, #4]\n\t"                       \
  "cmp r2, r0\n\t"                             \
  "bne.w 2b\n\t" END_PART_##rows

/* The sums as they are, without biases. */
#define SUM_PAIR              \
  LM_SAVE_REGISTERS("64")     \
  "mov lr, r0\n\t"            \
  "ldr r3, [lr, #8]\n\t"      \
  "ldr r2, [lr]\n\t"          \
  "mov r4, #0\n\t"            \
  "mov r5, #0\n" ALL_PARTS(1) \
  "asr r5, r5, #1\n\t"        \
  "ldr r0, [lr, #36]\n\t"     \
  "strd r4, r5, [r0]\n\t"     \
  LM_RETURN("64")

#define BEGIN(rows) LM_FOR_##rows(START) LM_FOR_HIGH_##rows(START_HIGH)

#define SCALE_HIGH_3(high, low) \
  "add " high ", r10, " high ", asr #7\n\t" LM_SCALE(high, "r2", "r1")
#define SCALE_HIGH_2(high, low) \
  "add " high ", r10, " high "\n\t" LM_SCALE(high, "r2", "r1")

/* Of two pairs whose weights lie side by side the other one, or the first of the next two. */
#define NEXT_PAIR              \
  "ldrd r0, r1, [lr, #112]\n\t" \
  "add r3, r3, r0\n\t"          \
  "strd r1, r0, [lr, #112]\n\t"

LM_PAIRS_FUNCTION(1, s8, BEGIN, ALL_PARTS, NEXT_PAIR, LM_SCALE_LOW, SCALE_HIGH_2, LM_END_S8)
LM_PAIRS_FUNCTION(2, s8, BEGIN, ALL_PARTS, NEXT_PAIR, LM_SCALE_LOW, SCALE_HIGH_2, LM_END_S8)
LM_PAIRS_FUNCTION(3, s8, BEGIN, ALL_PARTS, NEXT_PAIR, LM_SCALE_LOW, SCALE_HIGH_3, LM_END_S8)
LM_PAIRS_FUNCTION(1, s16, BEGIN, ALL_PARTS, NEXT_PAIR, LM_SCALE_LOW, SCALE_HIGH_2, LM_END_S16)
LM_PAIRS_FUNCTION(2, s16, BEGIN, ALL_PARTS, NEXT_PAIR, LM_SCALE_LOW, SCALE_HIGH_2, LM_END_S16)
LM_PAIRS_FUNCTION(3, s16, BEGIN, ALL_PARTS, NEXT_PAIR, LM_SCALE_LOW, SCALE_HIGH_3, LM_END_S16)

__attribute__((naked, noinline)) static void lm_sum_pair(
    lm_pairs_block *block __attribute__((unused))) {
  __asm volatile(SUM_PAIR : : : "memory");
}

static void lm_make_pairs(lm_pairs_block *block, int32_t rows, const lm_pairs_types *type,
                          lm_pairs_way way) {
  (void)way;
  if (type->output_bytes == 1) {
    if (rows == 1) pairs_1_s8(block);
    else if (rows == 2) pairs_2_s8(block);
    else pairs_3_s8(block);
  } else {
    if (rows == 1) pairs_1_s16(block);
    else if (rows == 2) pairs_2_s16(block);
    else pairs_3_s16(block);
  }
}

static const lm_pairs_types s8_s8 = {1, 1, -18};
static const lm_pairs_types s8_s16 = {1, 2, -11};

static int32_t lm_largest_shift(const lm_pairs_types *type) {
  (void)type;
  return -1;
}

static int32_t lm_pair_start(const lm_linear *p, int32_t pair) {
  return 4 * lm_pairs_padded(p) * (pair >> 1) + 8 * (pair & 1);
}

static int32_t lm_pair_span(const lm_linear *p) { return 4 * lm_pairs_padded(p); }

static void lm_widen_block(const lm_linear *p, const void *x, int32_t x_stride, int32_t rows,
                           lm_pairs_block *block, uint32_t *scratch, const lm_pairs_types *type) {
  const int32_t padded = lm_pairs_padded(p);
  (void)type;
  for (int32_t row = 0; row < rows; row++) {
    lm_widen_row((const int8_t *)x + row * x_stride, p->inputs, padded, rows, scratch + row);
  }
  const int32_t first = (padded - 1) % LONGEST_PART + 1;
  block->first_end = scratch + first / 2 * rows;
  block->widened_end = padded > LONGEST_PART ? block->part_end : NULL;
  block->part_end = block->first_end;
}

LM_QUADS_FUNCTION(s8, LM_QUAD_END_S8)
LM_QUADS_FUNCTION(s16, LM_QUAD_END_S16)

/* A row whose outputs all go by four; returns whether they do. */
static bool make_row(const lm_linear *p, const int8_t *x, void *y, uint32_t *scratch,
                     const lm_pairs_types *type) {
  const bool is_s8 = type->output_bytes == 1;
  const bool is_clamped = is_s8 ? p->min > INT8_MIN || p->max < INT8_MAX
                                : p->min > INT16_MIN || p->max < INT16_MAX || p->table != NULL;
  if (is_clamped || p->outputs % 4 != 0 || p->most_sum >= LM_LARGEST_QUAD_SUM) return false;
  if (!lm_all_right(p, type)) return false;
  const int32_t padded = lm_pairs_padded(p);
  lm_widen_single(x, p->inputs, padded, scratch);
  lm_quads_block block;
  block.widened = scratch;
  block.widened_end = scratch + padded / 2;
  block.weights = p->weights;
  block.weights_end = p->weights + p->outputs * padded;
  block.bias = p->bias;
  block.multipliers = p->multipliers;
  block.shifts = p->shifts;
  block.rounding = 2 * p->zero_point + 1;
  block.table = p->table == NULL ? NULL : p->table + 128;
  block.y = y;
  if (is_s8) quads_s8(&block);
  else quads_s16(&block);
  return true;
}

void lm_linear_s8_s8_dsp(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y, int32_t y_stride,
                         void *scratch) {
  if (p->inputs > LONGEST_PACKED_ROW) {
    lm_linear_rows_s8_s8_dsp(p, x, rows, y, y_stride, scratch);
  } else if (rows != 1 || !make_row(p, x.data, y, scratch, &s8_s8)) {
    lm_make_outputs(p, x.data, x.stride, rows, y, y_stride, scratch, &s8_s8);
  }
}

void lm_linear_s8_s16_dsp(const lm_linear *p, lm_rows x, int32_t rows, int16_t *y, int32_t y_stride,
                          void *scratch) {
  if (p->inputs > LONGEST_PACKED_ROW) {
    lm_linear_rows_s8_s16_dsp(p, x, rows, y, y_stride, scratch);
  } else if (rows != 1 || !make_row(p, x.data, y, scratch, &s8_s16)) {
    lm_make_outputs(p, x.data, x.stride, rows, y, 2 * y_stride, scratch, &s8_s16);
  }
}
