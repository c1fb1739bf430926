/* SPDX-License-Identifier: Apache-2.0
 * linear.c for the DSP extension: up to three rows, widened to int16 once, by two outputs at a time.
 *
 * Packed weights ("pairs" in toolchain/schedule/kernels.ts) need one instruction to unpack four: a
 * halfword is h = low + 256 * high, the weights of two outputs. With S(w) = sum x * w, the sum H over
 * h and the sum L over low alone, SXTB16(h), give S(low) = L and S(high) = (H - L) / 256; modulo 2^32
 * that is exact while |S(high)| < 2^23, so for at most 512 inputs. Longer rows are added up in parts of
 * 512; rows so long that the clamp of biases would show are not packed. */
#include <stddef.h>

#include "../kernels.h"
#include "dsp.h"

enum { LONGEST_PACKED_ROW = 8192, LONGEST_PART = 512, PACKED_BLOCK = 32 };

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
static inline lm_sums_2x2 sums_of(const lm_linear *p, row_pair rows, int32_t column,
                                  int32_t next) {
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

static void finish_s8(const lm_linear *p, int8_t *y) {
  if (p->min > INT8_MIN || p->max < INT8_MAX) {
    for (int32_t i = 0; i < p->outputs; i++) y[i] = (int8_t)lm_clamp(y[i], p->min, p->max);
  }
  if (p->table == NULL) return;
  const int8_t *table = p->table + 128;
  for (int32_t i = 0; i < p->outputs; i++) y[i] = table[y[i]];
}

static void finish_s16(const lm_linear *p, int16_t *y) {
  if (p->min == INT16_MIN && p->max == INT16_MAX && p->table == NULL) return;
  for (int32_t i = 0; i < p->outputs; i++) {
    const int32_t value = lm_clamp(y[i], p->min, p->max);
    y[i] = (int16_t)(p->table == NULL ? value : p->table[value + 128]);
  }
}

void lm_linear_rows_s8_s8_dsp(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y, int32_t y_stride,
                         void *scratch) {
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
    finish_s8(p, ya);
    if (next_row > row) finish_s8(p, yb);
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
    finish_s16(p, ya);
    if (next_row > row) finish_s16(p, yb);
  }
}

/* What pairs_1 ... 3 read; the assembly knows the offsets. All outputs of up to three rows. */
typedef struct {
  const uint32_t *widened;     /* 0: (inputs / 4, 2, rows): columns 0 and 2 of a quad, 1 and 3 */
  const uint32_t *part_end;    /* 4: of the part of the row that is next */
  const int8_t *weights;       /* 8: (outputs / 2, inputs, 2) */
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
} pairs_block;

typedef char offsets_are_as_assembled[offsetof(pairs_block, saved) == 64 ? 1 : -1];

/* Registers: r0, r1 weights; r2 widened rows; r3 packed weights; lr the block. */
#define QUAD_1               \
  "ldrd r0, r1, [r3], #8\n\t"  \
  "ldrd r8, r9, [r2], #8\n\t"  \
  "smlad r5, r0, r8, r5\n\t"   \
  "sxtb16 r0, r0\n\t"          \
  "smlad r4, r0, r8, r4\n\t"   \
  "smlad r5, r1, r9, r5\n\t"   \
  "sxtb16 r1, r1\n\t"          \
  "smlad r4, r1, r9, r4\n\t"

#define QUAD_2               \
  "ldrd r0, r1, [r3], #8\n\t"  \
  "ldm r2!, {r8-r11}\n\t"      \
  "smlad r6, r0, r8, r6\n\t"   \
  "smlad r7, r0, r9, r7\n\t"   \
  "sxtb16 r0, r0\n\t"          \
  "smlad r4, r0, r8, r4\n\t"   \
  "smlad r5, r0, r9, r5\n\t"   \
  "smlad r6, r1, r10, r6\n\t"  \
  "smlad r7, r1, r11, r7\n\t"  \
  "sxtb16 r1, r1\n\t"          \
  "smlad r4, r1, r10, r4\n\t"  \
  "smlad r5, r1, r11, r5\n\t"

#define QUAD_3               \
  "ldrd r0, r1, [r3], #8\n\t"  \
  "ldm r2!, {r10-r12}\n\t"     \
  "smlad r7, r0, r10, r7\n\t"  \
  "smlad r8, r0, r11, r8\n\t"  \
  "smlad r9, r0, r12, r9\n\t"  \
  "sxtb16 r0, r0\n\t"          \
  "smlad r4, r0, r10, r4\n\t"  \
  "smlad r5, r0, r11, r5\n\t"  \
  "smlad r6, r0, r12, r6\n\t"  \
  "ldm r2!, {r10-r12}\n\t"     \
  "smlad r7, r1, r10, r7\n\t"  \
  "smlad r8, r1, r11, r8\n\t"  \
  "smlad r9, r1, r12, r9\n\t"  \
  "sxtb16 r1, r1\n\t"          \
  "smlad r4, r1, r10, r4\n\t"  \
  "smlad r5, r1, r11, r5\n\t"  \
  "smlad r6, r1, r12, r6\n\t"

#define FOUR(quad) quad quad quad quad

#define FOR_1(DO) DO("r4")
#define FOR_2(DO) DO("r4") DO("r5")
#define FOR_3(DO) DO("r4") DO("r5") DO("r6")
#define FOR_HIGH_1(DO) DO("r5", "r4")
#define FOR_HIGH_2(DO) DO("r6", "r4") DO("r7", "r5")
#define FOR_HIGH_3(DO) DO("r7", "r4") DO("r8", "r5") DO("r9", "r6")

#define START(low) "mov " low ", r0\n\t"
#define START_HIGH(high, low) "mov " high ", r0\n\t"
#define SUBTRACT(high, low) "sub " high ", " high ", " low "\n\t"
#define DOUBLE_HIGH(high, low) SUBTRACT(high, low) "asr " high ", " high ", #7\n\t"

/* After a part of the row, r2 at its end: leaves 256 times the high sums of three rows, which are one
 * part, and twice those of one or two rows. All parts but the first are of 512 inputs. */
#define END_PART_3 FOR_HIGH_3(SUBTRACT)

#define END_PART_2                 \
  FOR_HIGH_2(DOUBLE_HIGH)          \
  "ldr r1, [lr, #48]\n\t"          \
  "cbz r1, 5f\n\t"                 \
  "ldrd r8, r9, [lr, #52]\n\t"     \
  "add r6, r6, r8\n\t"             \
  "add r7, r7, r9\n\t"             \
  "cmp r2, r1\n\t"                 \
  "beq 4f\n\t"                     \
  "strd r6, r7, [lr, #52]\n\t"     \
  "mov r6, r4\n\t"                 \
  "mov r7, r5\n\t" NEXT_PART("2048")

#define END_PART_1                 \
  FOR_HIGH_1(DOUBLE_HIGH)          \
  "ldr r1, [lr, #48]\n\t"          \
  "cbz r1, 5f\n\t"                 \
  "ldr r8, [lr, #52]\n\t"          \
  "add r5, r5, r8\n\t"             \
  "cmp r2, r1\n\t"                 \
  "beq 4f\n\t"                     \
  "str r5, [lr, #52]\n\t"          \
  "mov r5, r4\n\t" NEXT_PART("1024")

/* Where the row has ended, the next output begins with its first part again. */
#define NEXT_PART(bytes)           \
  "add r0, r0, #" bytes "\n\t"     \
  "str r0, [lr, #4]\n\t"           \
  "b.w 2b\n"                       \
  "4:\n\t"                         \
  "ldr r0, [lr, #60]\n\t"          \
  "mov r8, #0\n\t"                 \
  "str r0, [lr, #4]\n\t"           \
  "strd r8, r8, [lr, #52]\n"       \
  "5:\n\t"

/* The sums of all inputs. */
#define ALL_PARTS(rows)                      \
  "2:\n\t" FOUR(QUAD_##rows) FOUR(QUAD_##rows) \
  "ldr r0, [lr, #4]\n\t"                     \
  "cmp r2, r0\n\t"                           \
  "bne.w 2b\n\t" END_PART_##rows

/* lm_requantize of sum, r10 * 2^(-r11 - 1), with zero point, for a sum kept doubled: r12 holds
 * (zero_point + 1/2) << shift, from which the sign takes 1, and the last bit of the shift waits. */
#define SCALE(sum, multiplier, shift)          \
  "add r0, r12, " sum ", asr #31\n\t"            \
  "smmlar " sum ", " sum ", " multiplier ", r0\n\t" \
  "asr " sum ", " sum ", " shift "\n\t"

#define SCALE_LOW(low) "lsl " low ", " low ", #1\n\t" SCALE(low, "r10", "r11")
#define SCALE_HIGH_3(high, low) \
  "add " high ", r10, " high ", asr #7\n\t" SCALE(high, "r2", "r1")
#define SCALE_HIGH_2(high, low) \
  "add " high ", r10, " high "\n\t" SCALE(high, "r2", "r1")
#define SCALE_HIGH_1 SCALE_HIGH_2

#define SATURATE8(sum) "ssat " sum ", #8, " sum ", asr #1\n\t"
#define SATURATE8_HIGH(high, low) SATURATE8(high)
#define LOOK_UP(sum) "ldrsb " sum ", [r0, " sum "]\n\t"
#define LOOK_UP_HIGH(high, low) LOOK_UP(high)
#define JOIN8(high, low) "bfi " low ", " high ", #8, #8\n\t"
#define SATURATE16(sum) "ssat " sum ", #16, " sum ", asr #1\n\t"
#define SATURATE16_HIGH(high, low) SATURATE16(high)
#define JOIN16(high, low) "pkhbt " low ", " low ", " high ", lsl #16\n\t"

#define STORE_1(store, size)   \
  "ldr r10, [lr, #36]\n\t"       \
  store " r4, [r10], #" size "\n\t" \
  "str r10, [lr, #36]\n\t"

#define STORE_2(store, size)   \
  "ldrd r10, r11, [lr, #36]\n\t" \
  store " r4, [r10], #" size "\n\t" \
  store " r5, [r11], #" size "\n\t" \
  "strd r10, r11, [lr, #36]\n\t"

#define STORE_3(store, size)   \
  "add r0, lr, #36\n\t"          \
  "ldm r0, {r10-r12}\n\t"        \
  store " r4, [r10], #" size "\n\t" \
  store " r5, [r11], #" size "\n\t" \
  store " r6, [r12], #" size "\n\t" \
  "stm r0, {r10-r12}\n\t"

/* Ends: both results of a row in its low register, at r4 and on. */
#define END_S8(rows)                            \
  FOR_##rows(SATURATE8) FOR_HIGH_##rows(SATURATE8_HIGH) \
  "ldr r0, [lr, #32]\n\t"                         \
  "cbz r0, 3f\n\t"                                \
  FOR_##rows(LOOK_UP) FOR_HIGH_##rows(LOOK_UP_HIGH) \
  "3:\n\t"                                        \
  FOR_HIGH_##rows(JOIN8) STORE_##rows("strh", "2")

#define END_S16(rows)                             \
  FOR_##rows(SATURATE16) FOR_HIGH_##rows(SATURATE16_HIGH) \
  FOR_HIGH_##rows(JOIN16) STORE_##rows("str", "4")

/* The sums as they are, without biases. */
#define SUM_PAIR                             \
  LM_SAVE_REGISTERS("64")                    \
  "mov lr, r0\n\t"                           \
  "ldr r3, [lr, #8]\n\t"                     \
  "ldr r2, [lr]\n\t"                         \
  "mov r4, #0\n\t"                           \
  "mov r5, #0\n" ALL_PARTS(1)                \
  "asr r5, r5, #1\n\t"                       \
  "ldr r0, [lr, #36]\n\t"                    \
  "strd r4, r5, [r0]\n\t"                    \
  LM_RETURN("64")

/* The biases stop at 2^28, where all results of shifts that the block may have are saturated: the sums
 * of 8,192 products take at most half of it. */
#define PAIRS(rows, END)                         \
  LM_SAVE_REGISTERS("64")                          \
  "mov lr, r0\n\t"                                 \
  "ldr r3, [lr, #8]\n"                             \
  "1:\n\t"                                         \
  "ldr r1, [lr, #16]\n\t"                          \
  "ldr r0, [r1], #8\n\t"                           \
  "ldr r2, [lr]\n\t"                               \
  "str r1, [lr, #16]\n\t"                          \
  "ssat r0, #29, r0\n\t"                           \
  FOR_##rows(START) FOR_HIGH_##rows(START_HIGH)    \
  ALL_PARTS(rows)                                  \
  "ldr r0, [lr, #24]\n\t"                          \
  "ldrsb r11, [r0], #1\n\t"                        \
  "ldrsb r1, [r0], #1\n\t"                         \
  "str r0, [lr, #24]\n\t"                          \
  "ldr r0, [lr, #20]\n\t"                          \
  "ldrd r10, r2, [r0], #8\n\t"                     \
  "str r0, [lr, #20]\n\t"                          \
  "mvn r11, r11\n\t"                               \
  "mvn r1, r1\n\t"                                 \
  "ldr r12, [lr, #28]\n\t"                         \
  "lsl r12, r12, r11\n\t"                          \
  FOR_##rows(SCALE_LOW)                            \
  "ldr r10, [lr, #16]\n\t"                         \
  "ldr r12, [lr, #28]\n\t"                         \
  "ldr r10, [r10, #-4]\n\t"                        \
  "lsl r12, r12, r1\n\t"                           \
  "ssat r10, #29, r10\n\t"                         \
  "lsl r10, r10, #1\n\t"                           \
  FOR_HIGH_##rows(SCALE_HIGH_##rows)                   \
  END(rows)                                        \
  "ldr r0, [lr, #12]\n\t"                          \
  "cmp r3, r0\n\t"                                 \
  "bne.w 1b\n\t"                                   \
  LM_RETURN("64")

/* Outputs, two at a time, of as many rows as the name says. */
#define PAIRS_FUNCTION(rows, type, END)                             \
  __attribute__((naked, noinline)) static void pairs_##rows##_##type( \
      pairs_block *block __attribute__((unused))) {                   \
    __asm volatile(PAIRS(rows, END) : : : "memory");                  \
  }

PAIRS_FUNCTION(1, s8, END_S8)
PAIRS_FUNCTION(2, s8, END_S8)
PAIRS_FUNCTION(3, s8, END_S8)
PAIRS_FUNCTION(1, s16, END_S16)
PAIRS_FUNCTION(2, s16, END_S16)
PAIRS_FUNCTION(3, s16, END_S16)

__attribute__((naked, noinline)) static void sum_pair(pairs_block *block __attribute__((unused))) {
  __asm volatile(SUM_PAIR : : : "memory");
}

static int32_t packed_inputs(const lm_linear *p) {
  return (p->inputs + PACKED_BLOCK - 1) & -PACKED_BLOCK;
}

/* One row as pairs of int16, `rows` pairs apart; zeros from `inputs` to `padded`. */
static void widen_row(const int8_t *x, int32_t inputs, int32_t padded, int32_t rows,
                      uint32_t *to) {
  int32_t i = 0;
  for (; i + 8 <= inputs; i += 8) {
    const uint32_t bytes = lm_load4(x + i);
    const uint32_t next_bytes = lm_load4(x + i + 4);
    to[0] = lm_widen_even(bytes);
    to[rows] = lm_widen_odd(bytes);
    to += 2 * rows;
    to[0] = lm_widen_even(next_bytes);
    to[rows] = lm_widen_odd(next_bytes);
    to += 2 * rows;
  }
  for (; i < padded; i += 4) {
    uint32_t bytes = 0;
    for (int32_t j = 0; j < 4 && i + j < inputs; j++) bytes |= (uint32_t)(uint8_t)x[i + j] << 8 * j;
    to[0] = lm_widen_even(bytes);
    to[rows] = lm_widen_odd(bytes);
    to += 2 * rows;
  }
}

/* Whether the assembly scales outputs `pair` and `pair + 1`. */
static inline bool pair_fits(const lm_linear *p, int32_t pair, int32_t smallest_shift) {
  return pair + 1 < p->outputs && p->shifts[pair] < 0 && p->shifts[pair] >= smallest_shift &&
         p->shifts[pair + 1] < 0 && p->shifts[pair + 1] >= smallest_shift;
}

/* Whether it scales all of them. */
static bool all_fit(const lm_linear *p, int32_t smallest_shift) {
  for (int32_t pair = 0; pair < p->outputs; pair += 2) {
    if (!pair_fits(p, pair, smallest_shift)) return false;
  }
  return true;
}

/* As many rows at once as divide the rest best and as scratch has room for. */
static int32_t rows_at_once(const lm_linear *p, int32_t rows) {
  const bool has_room = 6 * packed_inputs(p) <= LM_LINEAR_DSP_SCRATCH_BYTES + 4 * p->inputs;
  if (rows >= 3 && rows != 4 && has_room) return 3;
  return lm_min(rows, 2);
}

static const int8_t *packed_pair(const lm_linear *p, int32_t pair) {
  return p->weights + pair * packed_inputs(p);
}

/* The block of `rows` rows from x on; outputs remain to be chosen. */
static pairs_block block_of(const lm_linear *p, lm_rows x, int32_t rows, uint32_t *scratch) {
  const int32_t padded = packed_inputs(p);
  for (int32_t row = 0; row < rows; row++) {
    widen_row(x.data + row * x.stride, p->inputs, padded, rows, scratch + row);
  }
  const int32_t first = (padded - 1) % LONGEST_PART + 1;
  const uint32_t *const first_end = scratch + first / 2 * rows;
  const bool is_clamped = p->min > INT8_MIN || p->max < INT8_MAX;
  const pairs_block block = {
      .widened = scratch,
      .part_end = first_end,
      .rounding = 2 * p->zero_point + 1,
      .table = p->table == NULL || is_clamped ? NULL : p->table + 128,
      .y = {NULL, NULL, NULL},
      .widened_end = padded > LONGEST_PART ? scratch + padded / 2 * rows : NULL,
      .carried = {0, 0},
      .first_end = first_end,
  };
  return block;
}

static inline void choose_pairs(const lm_linear *p, int32_t first, int32_t end,
                                pairs_block *block) {
  block->weights = packed_pair(p, first);
  block->weights_end = packed_pair(p, end);
  block->bias = p->bias + first;
  block->multipliers = p->multipliers + first;
  block->shifts = p->shifts + first;
}

/* The first pair at or after `pair` that fits, or does not. */
static int32_t next_pair(const lm_linear *p, int32_t pair, int32_t smallest_shift, bool fits) {
  while (pair < p->outputs && pair_fits(p, pair, smallest_shift) != fits) pair += 2;
  return pair;
}

/* The value of an output of one row from its sum without bias, by every rule. */
static int32_t value_of(const lm_linear *p, int32_t column, int32_t sum) {
  const int32_t scaled =
      lm_requantize(p->bias[column] + sum, p->multipliers[column], p->shifts[column]);
  const int32_t value = lm_clamp_from_zero_point(scaled, p->zero_point, p->min, p->max);
  return p->table == NULL ? value : p->table[value + 128];
}

typedef struct {
  int32_t smallest_shift;
  int32_t value_bytes;
} output_type;

static const output_type int8_output = {-18, 1};
static const output_type int16_output = {-11, 2};

/* Called by name, for the bound of the stack follows no pointers. */
static void make_pairs(pairs_block *block, int32_t rows, const output_type *type) {
  if (type->value_bytes == 1) {
    if (rows == 1) pairs_1_s8(block);
    else if (rows == 2) pairs_2_s8(block);
    else pairs_3_s8(block);
  } else {
    if (rows == 1) pairs_1_s16(block);
    else if (rows == 2) pairs_2_s16(block);
    else pairs_3_s16(block);
  }
}

/* The outputs that fit, of all rows; returns whether these were all. */
static bool make_fitting(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y, int32_t y_stride,
                         uint32_t *scratch, const output_type *type) {
  const bool fit = all_fit(p, type->smallest_shift);
  int32_t at_once;
  for (int32_t row = 0; row < rows; row += at_once) {
    at_once = rows_at_once(p, rows - row);
    const lm_rows x_rows = {x.data + row * x.stride, x.stride};
    pairs_block block = block_of(p, x_rows, at_once, scratch);
    int32_t end;
    for (int32_t first = 0; first < p->outputs; first = end) {
      if (!fit) first = next_pair(p, first, type->smallest_shift, true);
      if (first >= p->outputs) break;
      end = fit ? p->outputs : next_pair(p, first, type->smallest_shift, false);
      choose_pairs(p, first, end, &block);
      for (int32_t i = 0; i < at_once; i++) {
        block.y[i] = y + ((row + i) * y_stride + first) * type->value_bytes;
      }
      make_pairs(&block, at_once, type);
    }
  }
  return fit;
}

/* The sums of a pair of outputs of the one row of a block. */
static void sum_row(const lm_linear *p, pairs_block *block, int32_t pair, int32_t sums[2]) {
  choose_pairs(p, pair, pair + 2, block);
  block->y[0] = sums;
  sum_pair(block);
}

void lm_linear_s8_s8_dsp(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y, int32_t y_stride,
                         void *scratch) {
  if (p->inputs > LONGEST_PACKED_ROW) {
    lm_linear_rows_s8_s8_dsp(p, x, rows, y, y_stride, scratch);
    return;
  }
  const bool is_made = make_fitting(p, x, rows, y, y_stride, scratch, &int8_output);
  for (int32_t row = 0; row < rows; row++) {
    int8_t *to = y + row * y_stride;
    if (p->min > INT8_MIN || p->max < INT8_MAX) finish_s8(p, to);
    if (is_made) continue;
    const lm_rows x_row = {x.data + row * x.stride, x.stride};
    pairs_block block = block_of(p, x_row, 1, scratch);
    for (int32_t pair = next_pair(p, 0, int8_output.smallest_shift, false); pair < p->outputs;
         pair = next_pair(p, pair + 2, int8_output.smallest_shift, false)) {
      int32_t sums[2];
      sum_row(p, &block, pair, sums);
      to[pair] = (int8_t)value_of(p, pair, sums[0]);
      if (pair + 1 < p->outputs) to[pair + 1] = (int8_t)value_of(p, pair + 1, sums[1]);
    }
  }
}

void lm_linear_s8_s16_dsp(const lm_linear *p, lm_rows x, int32_t rows, int16_t *y,
                          int32_t y_stride, void *scratch) {
  if (p->inputs > LONGEST_PACKED_ROW) {
    lm_linear_rows_s8_s16_dsp(p, x, rows, y, y_stride, scratch);
    return;
  }
  const bool is_made =
      make_fitting(p, x, rows, (int8_t *)y, y_stride, scratch, &int16_output);
  for (int32_t row = 0; row < rows; row++) {
    int16_t *to = y + row * y_stride;
    finish_s16(p, to);
    if (is_made) continue;
    const lm_rows x_row = {x.data + row * x.stride, x.stride};
    pairs_block block = block_of(p, x_row, 1, scratch);
    for (int32_t pair = next_pair(p, 0, int16_output.smallest_shift, false); pair < p->outputs;
         pair = next_pair(p, pair + 2, int16_output.smallest_shift, false)) {
      int32_t sums[2];
      sum_row(p, &block, pair, sums);
      to[pair] = (int16_t)value_of(p, pair, sums[0]);
      if (pair + 1 < p->outputs) to[pair + 1] = (int16_t)value_of(p, pair + 1, sums[1]);
    }
  }
}
