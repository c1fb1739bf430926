/* SPDX-License-Identifier: Apache-2.0
 * linear_w4.c for the DSP extension: up to three rows, widened to int16 once, by two outputs at a
 * time, the weights never unpacked to memory.
 *
 * A byte of weights ("offset-nibble-pairs" in toolchain/schedule/packings.ts) is u + 16 * high for
 * two outputs of an input, u = low + 8. SXTB16 makes two bytes halfwords, which give the sum H of
 * x * (u + 16 * high); an AND leaves u, which gives the sum L of x * u. So S(high) = (H - L) / 16 and
 * S(low) = L - 8 * sum x, the last part of which is the same for all outputs of a row. All of it is
 * exact for any row: H is at most 2^7 * 2^7 * 2^15 for int8, and 2^15 * 2^7 * 2^8 for int16. */
#include <stddef.h>

#include "../kernels.h"
#include "dsp.h"
#include "pairs.h"

/* Products of a word of bytes as halfwords with the halfwords of x in as many registers as the name
 * says: high sums, low sums. */
#define PRODUCTS_1(t, x0)             \
  "smlad r5, " t ", " x0 ", r5\n\t"   \
  "and " t ", " t ", #0x000f000f\n\t" \
  "smlad r4, " t ", " x0 ", r4\n\t"
#define PRODUCTS_2(t, x0, x1)         \
  "smlad r6, " t ", " x0 ", r6\n\t"   \
  "smlad r7, " t ", " x1 ", r7\n\t"   \
  "and " t ", " t ", #0x000f000f\n\t" \
  "smlad r4, " t ", " x0 ", r4\n\t"   \
  "smlad r5, " t ", " x1 ", r5\n\t"
#define PRODUCTS_3(t)                 \
  "smlad r7, " t ", r10, r7\n\t"      \
  "smlad r8, " t ", r11, r8\n\t"      \
  "smlad r9, " t ", r12, r9\n\t"      \
  "and " t ", " t ", #0x000f000f\n\t" \
  "smlad r4, " t ", r10, r4\n\t"      \
  "smlad r5, " t ", r11, r5\n\t"      \
  "smlad r6, " t ", r12, r6\n\t"

#define QUAD_1(w)                                 \
  "ldrd r8, r9, [r2], #8\n\t"                     \
  "sxtb16 r12, " w "\n\t" PRODUCTS_1("r12", "r8") \
  "sxtb16 " w ", " w ", ror #8\n\t" PRODUCTS_1(w, "r9")

#define QUAD_2(w)                                       \
  "ldm r2!, {r8-r11}\n\t"                               \
  "sxtb16 r12, " w "\n\t" PRODUCTS_2("r12", "r8", "r9") \
  "sxtb16 " w ", " w ", ror #8\n\t" PRODUCTS_2(w, "r10", "r11")

#define QUAD_3                         \
  "ldr r0, [r3], #4\n\t"               \
  "ldm r2!, {r10-r12}\n\t"             \
  "sxtb16 r1, r0\n\t" PRODUCTS_3("r1") \
  "ldm r2!, {r10-r12}\n\t"             \
  "sxtb16 r0, r0, ror #8\n\t" PRODUCTS_3("r0")

/* 19, 27 and 38 instructions for 16, 32 and 48 products. */
#define TWO_QUADS_1 "ldrd r0, r1, [r3], #8\n\t" QUAD_1("r0") QUAD_1("r1")
#define TWO_QUADS_2 "ldrd r0, r1, [r3], #8\n\t" QUAD_2("r0") QUAD_2("r1")
#define TWO_QUADS_3 QUAD_3 QUAD_3

#define ALL_INPUTS(rows)                                                       \
  "2:\n\t" TWO_QUADS_##rows TWO_QUADS_##rows TWO_QUADS_##rows TWO_QUADS_##rows \
  "ldr r0, [lr, #4]\n\t"                                                       \
  "cmp r2, r0\n\t"                                                             \
  "bne.w 2b\n\t" LM_FOR_HIGH_##rows(LM_SUBTRACT)

/* A row's sums start with the bias and what its low sums have too much. */
#define LOAD_STARTS_1 "ldr r4, [lr, #100]\n\t"
#define LOAD_STARTS_2 "ldrd r4, r5, [lr, #100]\n\t"
#define LOAD_STARTS_3 "add r1, lr, #100\n\tldm r1, {r4-r6}\n\t"
#define START(low) "add " low ", " low ", r0\n\t"
#define START_HIGH(high, low) "mov " high ", " low "\n\t"
#define BEGIN(rows) LOAD_STARTS_##rows LM_FOR_##rows(START) LM_FOR_HIGH_##rows(START_HIGH)

/* High sums come 16 times too large. */
#define SCALE_HIGH(high, low) \
  "add " high ", r10, " high ", asr #3\n\t" LM_SCALE(high, "r2", "r1")

LM_PAIRS_FUNCTION(1, s8, BEGIN, ALL_INPUTS, "", LM_SCALE_LOW, SCALE_HIGH, LM_END_S8)
LM_PAIRS_FUNCTION(2, s8, BEGIN, ALL_INPUTS, "", LM_SCALE_LOW, SCALE_HIGH, LM_END_S8)
LM_PAIRS_FUNCTION(3, s8, BEGIN, ALL_INPUTS, "", LM_SCALE_LOW, SCALE_HIGH, LM_END_S8)
LM_PAIRS_FUNCTION(1, s16, BEGIN, ALL_INPUTS, "", LM_SCALE_LOW, SCALE_HIGH, LM_END_S16)
LM_PAIRS_FUNCTION(2, s16, BEGIN, ALL_INPUTS, "", LM_SCALE_LOW, SCALE_HIGH, LM_END_S16)
LM_PAIRS_FUNCTION(3, s16, BEGIN, ALL_INPUTS, "", LM_SCALE_LOW, SCALE_HIGH, LM_END_S16)

/* Shifts to the left, which are kept inverted, round only once. */
#define SCALE_LEFT_LOW(low)      \
  "mvn r0, r11\n\t"              \
  "lsl " low ", " low ", #1\n\t" \
  "lsl " low ", " low ", r0\n\t" \
  "smmulr " low ", " low ", r10\n\t"
#define SCALE_LEFT_HIGH(high, low)          \
  "mvn r0, r1\n\t"                          \
  "add " high ", r10, " high ", asr #3\n\t" \
  "lsl " high ", " high ", r0\n\t"          \
  "smmulr " high ", " high ", r2\n\t"

#define SATURATE(sum) "ssat " sum ", #16, " sum "\n\t"
#define SATURATE_HIGH(high, low) SATURATE(high)
#define END_LEFT(rows)                                      \
  LM_FOR_##rows(SATURATE) LM_FOR_HIGH_##rows(SATURATE_HIGH) \
  LM_FOR_HIGH_##rows(LM_JOIN16) LM_STORE_##rows("str", "4")

LM_PAIRS_FUNCTION(1, left_s16, BEGIN, ALL_INPUTS, "", SCALE_LEFT_LOW, SCALE_LEFT_HIGH, END_LEFT)
LM_PAIRS_FUNCTION(2, left_s16, BEGIN, ALL_INPUTS, "", SCALE_LEFT_LOW, SCALE_LEFT_HIGH, END_LEFT)
LM_PAIRS_FUNCTION(3, left_s16, BEGIN, ALL_INPUTS, "", SCALE_LEFT_LOW, SCALE_LEFT_HIGH, END_LEFT)

/* The sums as they are, without biases. */
__attribute__((naked, noinline)) static void lm_sum_pair(
    lm_pairs_block *block __attribute__((unused))) {
  __asm volatile(
      LM_SAVE_REGISTERS("64")
      "mov lr, r0\n\t"
      "ldr r3, [lr, #8]\n\t"
      "ldr r2, [lr]\n\t"
      "ldr r4, [lr, #100]\n\t"
      "mov r5, r4\n" ALL_INPUTS(1)
      "asr r5, r5, #4\n\t"
      "ldr r0, [lr, #36]\n\t"
      "strd r4, r5, [r0]\n\t"
      LM_RETURN("64")
      :
      :
      : "memory");
}

static void lm_make_pairs(lm_pairs_block *block, int32_t rows, const lm_pairs_types *type,
                          lm_pairs_way way) {
  if (way == LM_LEFT) {
    if (rows == 1) pairs_1_left_s16(block);
    else if (rows == 2) pairs_2_left_s16(block);
    else pairs_3_left_s16(block);
  } else if (type->output_bytes == 1) {
    if (rows == 1) pairs_1_s8(block);
    else if (rows == 2) pairs_2_s8(block);
    else pairs_3_s8(block);
  } else {
    if (rows == 1) pairs_1_s16(block);
    else if (rows == 2) pairs_2_s16(block);
    else pairs_3_s16(block);
  }
}

static int32_t lm_largest_shift(const lm_pairs_types *type) {
  return type->output_bytes == 2 ? 6 : -1;
}

static int32_t lm_pair_start(const lm_linear *p, int32_t pair) {
  return pair * lm_pairs_padded(p);
}

static int32_t lm_pair_span(const lm_linear *p) { return lm_pairs_padded(p); }

static const lm_pairs_types s8_s8 = {1, 1, -18};
static const lm_pairs_types s8_s16 = {1, 2, -11};
static const lm_pairs_types s16_s8 = {2, 1, -18};

/* One row of int16 in the order in which lm_widen_row leaves int8. */
static void order_row(const int16_t *x, int32_t inputs, int32_t padded, int32_t rows,
                      uint32_t *to) {
  for (int32_t i = 0; i < padded; i += 4, to += 2 * rows) {
    int16_t quad[4] = {0, 0, 0, 0};
    const int32_t count = lm_min(4, inputs - i);
    if (count == 4) __builtin_memcpy(quad, x + i, sizeof quad);
    for (int32_t j = 0; j < count && count < 4; j++) quad[j] = x[i + j];
    to[0] = (uint32_t)(uint16_t)quad[0] | (uint32_t)quad[2] << 16;
    to[rows] = (uint32_t)(uint16_t)quad[1] | (uint32_t)quad[3] << 16;
  }
}

static int32_t sum_wide(const int16_t *x, int32_t inputs) {
  int32_t sum = 0;
  for (int32_t i = 0; i < inputs; i++) sum += x[i];
  return sum;
}

/* USADA8 adds four bytes above -128. */
static int32_t sum_narrow(const int8_t *x, int32_t inputs) {
  int32_t sum = -128 * (inputs & ~7);
  int32_t i = 0;
  for (; i + 8 <= inputs; i += 8) {
    sum = lm_add_bytes(lm_load4(x + i) ^ 0x80808080, sum);
    sum = lm_add_bytes(lm_load4(x + i + 4) ^ 0x80808080, sum);
  }
  for (; i < inputs; i++) sum += x[i];
  return sum;
}

static void lm_widen_block(const lm_linear *p, const void *x, int32_t x_stride, int32_t rows,
                           lm_pairs_block *block, uint32_t *scratch, const lm_pairs_types *type) {
  const int32_t padded = lm_pairs_padded(p);
  const int8_t *from = x;
  for (int32_t row = 0; row < rows; row++, from += x_stride) {
    uint32_t *to = scratch + row;
    if (type->input_bytes == 2) {
      order_row((const void *)from, p->inputs, padded, rows, to);
      block->starts[row] = -8 * sum_wide((const void *)from, p->inputs);
    } else {
      lm_widen_row(from, p->inputs, padded, rows, to);
      block->starts[row] = -8 * sum_narrow(from, p->inputs);
    }
  }
}

void lm_linear_w4_s8_s8_dsp(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y,
                            int32_t y_stride, void *scratch) {
  lm_make_outputs(p, x.data, x.stride, rows, y, y_stride, scratch, &s8_s8);
}

void lm_linear_w4_s8_s16_dsp(const lm_linear *p, lm_rows x, int32_t rows, int16_t *y,
                             int32_t y_stride, void *scratch) {
  lm_make_outputs(p, x.data, x.stride, rows, y, 2 * y_stride, scratch, &s8_s16);
}

void lm_linear_w4_s16_s8_dsp(const lm_linear *p, lm_wide_rows x, int32_t rows, int8_t *y,
                             int32_t y_stride, void *scratch) {
  lm_make_outputs(p, x.data, 2 * x.stride, rows, y, y_stride, scratch, &s16_s8);
}
