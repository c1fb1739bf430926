/* SPDX-License-Identifier: Apache-2.0
 * linear_wide.c for the DSP extension: four rows by an output at a time.
 *
 * Scratch: four rows in the order of SXTB16, filled up with zeros to a multiple of 16 inputs. */
#include <stddef.h>

#include "../kernels.h"
#include "dsp.h"
#include "four_rows.h"

typedef struct {
  const uint32_t *x;          /* 0: (inputs / 4, 2, 4 rows) */
  const uint32_t *x_end;      /* 4 */
  const int8_t *weights;      /* 8 */
  int32_t first_turns;        /* 12 */
  int32_t gap;                /* 16: from the end of an output's weights to the next one's */
  int32_t rounding;           /* 20: 2 * zero_point + 1 */
  const int8_t *table;        /* 24: by value; NULL: none */
  const int8_t *shifts_end;   /* 28 */
  const int32_t *bias;        /* 32 */
  const int32_t *multipliers; /* 36 */
  const int8_t *shifts;       /* 40: SMALLEST_SHIFT ... -1 */
  int8_t *y[4];               /* 44 */
  uint32_t saved[9];          /* 60 */
} outputs_block;

typedef char offsets_are_as_assembled[offsetof(outputs_block, saved) == 60 ? 1 : -1];

enum { SMALLEST_SHIFT = -21 };

/* lm_requantize of a sum with zero point, for twice the sum: what rounds the shift holds the zero
 * point, and the sign takes 1 from it. Where twice the sum is saturated, so is the output. */
#define SCALE(sum)                       \
  "qadd " sum ", " sum ", " sum "\n\t"   \
  "add r1, r10, " sum ", asr #31\n\t"    \
  "smmlar " sum ", " sum ", r8, r1\n\t"  \
  "asr " sum ", " sum ", r9\n\t"         \
  "ssat " sum ", #8, " sum ", asr #1\n\t"

#define LOOK_UP(value) "ldrsb " value ", [r0, " value "]\n\t"

/* Outputs, at least one, of four rows. Registers besides those of LM_FOUR_COLUMNS: lr the block. */
__attribute__((naked, noinline)) static void make_outputs(
    outputs_block *block __attribute__((unused))) {
  __asm volatile(
      LM_SAVE_REGISTERS("60")
      "mov lr, r0\n\t"
      "ldr r3, [lr, #8]\n\t"
      "mov r12, #0\n"
      "1:\n\t"
      "ldr r0, [lr, #32]\n\t"
      "ldr r2, [lr]\n\t"
      "ldr r4, [r0], #4\n\t"
      "str r0, [lr, #32]\n\t"
      "mov r5, r4\n\t"
      "mov r6, r4\n\t"
      "mov r7, r4\n\t"
      "ldr r0, [lr, #12]\n\t"
      LM_FOUR_COLUMNS("4")
      "ldrd r2, r10, [lr, #16]\n\t"
      "ldrd r0, r1, [lr, #36]\n\t"
      "add r3, r3, r2\n\t"
      "ldr r8, [r0], #4\n\t"
      "ldrsb r9, [r1], #1\n\t"
      "strd r0, r1, [lr, #36]\n\t"
      "mvn r9, r9\n\t"
      "lsl r10, r10, r9\n\t"
      SCALE("r4") SCALE("r5") SCALE("r6") SCALE("r7")
      "ldr r0, [lr, #24]\n\t"
      "cbz r0, 8f\n\t"
      LOOK_UP("r4") LOOK_UP("r5") LOOK_UP("r6") LOOK_UP("r7")
      "8:\n\t"
      "add r0, lr, #44\n\t"
      "ldm r0, {r8-r11}\n\t"
      "strb r4, [r8], #1\n\t"
      "strb r5, [r9], #1\n\t"
      "strb r6, [r10], #1\n\t"
      "strb r7, [r11], #1\n\t"
      "stm r0, {r8-r11}\n\t"
      "ldr r0, [lr, #28]\n\t"
      "ldr r1, [lr, #40]\n\t"
      "cmp r0, r1\n\t"
      "bne.w 1b\n\t"
      LM_RETURN("60")
      :
      :
      : "memory");
}

static inline bool fits(const lm_linear *p, int32_t column) {
  return p->shifts[column] < 0 && p->shifts[column] >= SMALLEST_SHIFT;
}

/* Outputs whose weights have as many behind their first as the assembly reads. */
static int32_t readable_outputs(const lm_linear *p, int32_t padded) {
  int32_t outputs = p->outputs;
  while (outputs > 0 && (outputs - 1) * p->inputs + padded > p->outputs * p->inputs) outputs--;
  return outputs;
}

/* An output of a row by every rule. */
static int8_t output_of(const lm_linear *p, const int16_t *x, int32_t column) {
  const int8_t *w = p->weights + column * p->inputs;
  int32_t sum = p->bias[column];
  for (int32_t i = 0; i < p->inputs; i++) sum += x[i] * w[i];
  const int32_t scaled = lm_requantize(sum, p->multipliers[column], p->shifts[column]);
  const int32_t value = lm_clamp_from_zero_point(scaled, p->zero_point, p->min, p->max);
  return (int8_t)(p->table == NULL ? value : p->table[value + 128]);
}

static void clamp_outputs(const lm_linear *p, int32_t count, int8_t *y) {
  for (int32_t i = 0; i < count; i++) {
    const int32_t value = lm_clamp(y[i], p->min, p->max);
    y[i] = (int8_t)(p->table == NULL ? value : p->table[value + 128]);
  }
}

/* Two of the four rows. */
static void order_rows(const int16_t *u, const int16_t *v, int32_t inputs, uint32_t *to) {
  const int32_t whole = inputs & -LM_FOUR_COLUMNS_AT_ONCE;
  if (whole > 0) lm_order_two(u, v, whole, to);
  if (whole == inputs) return;
  int16_t rest_u[LM_FOUR_COLUMNS_AT_ONCE] = {0};
  int16_t rest_v[LM_FOUR_COLUMNS_AT_ONCE] = {0};
  for (int32_t i = whole; i < inputs; i++) {
    rest_u[i - whole] = u[i];
    rest_v[i - whole] = v[i];
  }
  lm_order_two(rest_u, rest_v, LM_FOUR_COLUMNS_AT_ONCE, to + 2 * whole);
}

void lm_linear_s16_s8_dsp(const lm_linear *p, lm_wide_rows x, int32_t rows, int8_t *y,
                          int32_t y_stride, void *scratch) {
  const int32_t padded = (p->inputs + LM_FOUR_COLUMNS_AT_ONCE - 1) & -LM_FOUR_COLUMNS_AT_ONCE;
  const int32_t readable = readable_outputs(p, padded);
  const bool is_clamped = p->min > INT8_MIN || p->max < INT8_MAX;
  uint32_t *ordered = scratch;
  for (int32_t row = 0; row < rows; row += 4) {
    const int32_t count = lm_min(4, rows - row);
    const int16_t *from[4];
    int8_t *to[4];
    for (int32_t i = 0; i < 4; i++) { /* a row that is not there is the last one */
      const int32_t one = lm_min(row + i, rows - 1);
      from[i] = x.data + one * x.stride;
      to[i] = y + one * y_stride;
    }
    order_rows(from[0], from[1], p->inputs, ordered);
    order_rows(from[2], from[3], p->inputs, ordered + 2);
    int32_t end;
    for (int32_t first = 0; first < p->outputs; first = end) {
      end = first;
      while (end < readable && fits(p, end)) end++;
      if (end > first) {
        outputs_block block = {
            .x = ordered,
            .x_end = ordered + 2 * padded,
            .weights = p->weights + first * p->inputs,
            .first_turns = lm_first_turns(padded),
            .gap = p->inputs - padded,
            .rounding = 2 * p->zero_point + 1,
            .table = p->table == NULL || is_clamped ? NULL : p->table + 128,
            .shifts_end = p->shifts + end,
            .bias = p->bias + first,
            .multipliers = p->multipliers + first,
            .shifts = p->shifts + first,
            .y = {to[0] + first, to[1] + first, to[2] + first, to[3] + first},
        };
        make_outputs(&block);
        for (int32_t i = 0; i < count && is_clamped; i++) {
          clamp_outputs(p, end - first, to[i] + first);
        }
      }
      while (end < p->outputs && (end >= readable || !fits(p, end))) {
        for (int32_t i = 0; i < count; i++) to[i][end] = output_of(p, from[i], end);
        end++;
      }
    }
  }
}
