/* SPDX-License-Identifier: Apache-2.0
 * linear.c, quicker, from weights that take half as many bytes again: a row by four outputs, for which
 * three sums are enough.
 *
 * Packed weights ("triples" in toolchain/schedule/packings.ts) of outputs a, b, c and d are the
 * halfwords a + 256 * b, b + 256 * c and c + 256 * d. With S(w) = sum x * w, the sums over them are
 * T0 = S(a) + 256 * S(b), T1 = S(b) + 256 * S(c) and T2 = S(c) + 256 * S(d). Modulo 2^16,
 * (T0 >> 8) - T1 + 256 * T2 is S(a) >> 8; as |S(a)| < 2^23 that is all of it but the lowest byte, which
 * T0 has. From S(a) follow S(b) = (T0 - S(a)) / 256, S(c) and S(d). Nothing is unpacked: 8 instructions
 * make 16 products, where linear.c needs 14. */
#include <stddef.h>

#include "../kernels.h"
#include "dsp.h"
#include "outputs.h"

/* Inputs of half a turn, of which rows are a multiple. */
enum { HALF_TURN = 16 };

/* Sums below this are exact, those of as many inputs without biases among them. */
enum { LARGEST_SUM = 1 << 23, LONGEST_PART = 512 };

/* What the assembly reads, which knows the offsets. It lies where the widened row ends. */
typedef struct {
  const uint32_t *widened;    /* 0: (inputs / 4, 2): columns 0 and 2 of a quad, 1 and 3 */
  uint32_t begins_midway;     /* 4: with half a turn */
  const int8_t *weights;      /* 8: (outputs / 4, inputs / 4, 2, 3, 2) of int16 */
  const int32_t *bias;        /* 12 */
  uint32_t entry;             /* 16: where a row begins, found by the assembly */
  const int32_t *multipliers; /* 20 */
  const int8_t *shifts;       /* 24: all to the right */
  int32_t rounding;           /* 28: 2 * zero_point + 1 */
  const int8_t *table;        /* 32: by value; NULL: none */
  void *y;                    /* 36 */
  void *y_end;                /* 40 */
  uint32_t saved[9];          /* 44 */
} outputs_block;

typedef char offsets_are_as_assembled[offsetof(outputs_block, saved) == 44 ? 1 : -1];

/* Registers: r2 the widened row, r12 its end, where the block is, r3 the weights, r4 ... r6 sums. */
#define QUAD_INPUTS                  \
  "ldm r3!, {r7-r11, lr}\n\t"        \
  "ldrd r0, r1, [r2], #8\n\t"        \
  "smlad r4, r7, r0, r4\n\t"         \
  "smlad r5, r8, r0, r5\n\t"         \
  "smlad r6, r9, r0, r6\n\t"         \
  "smlad r4, r10, r1, r4\n\t"        \
  "smlad r5, r11, r1, r5\n\t"        \
  "smlad r6, lr, r1, r6\n\t"
#define HALF_TURN_INPUTS QUAD_INPUTS QUAD_INPUTS QUAD_INPUTS QUAD_INPUTS

/* lm_requantize with zero point, clamped to what the type has room for, of a sum kept doubled: lr is
 * the block's rounding, the lowest byte of r2 the inverted shift. */
#define SCALE(sum, multiplier)                        \
  "lsl r1, lr, r2\n\t"                                \
  "add r1, r1, " sum ", asr #31\n\t"                  \
  "smmlar " sum ", " sum ", " multiplier ", r1\n\t"   \
  "asr " sum ", " sum ", r2\n\t"
#define NEXT_SHIFT "lsr r2, r2, #8\n\t"
#define SATURATE(sum, bits) "ssat " sum ", #" bits ", " sum ", asr #1\n\t"
#define SATURATE_ALL(bits) \
  SATURATE("r0", bits) SATURATE("r4", bits) SATURATE("r5", bits) SATURATE("r6", bits)
#define LOOK_UP(sum) "ldrsb " sum ", [r1, " sum "]\n\t"

/* The four outputs are in r0, r4, r5 and r6. */
#define END_S8                                                             \
  SATURATE_ALL("8")                                                        \
  "ldr r1, [r12, #32]\n\t"                                                 \
  "cbz r1, 5f\n\t" LOOK_UP("r0") LOOK_UP("r4") LOOK_UP("r5") LOOK_UP("r6") \
  "5:\n\t"                                                                 \
  "ldrd r1, r2, [r12, #36]\n\t"                                            \
  "bfi r0, r4, #8, #8\n\t"                                                 \
  "bfi r5, r6, #8, #8\n\t"                                                 \
  "pkhbt r0, r0, r5, lsl #16\n\t"                                          \
  "str r0, [r1], #4\n\t"
#define END_S16                   \
  SATURATE_ALL("16")              \
  "ldrd r1, r2, [r12, #36]\n\t"   \
  "pkhbt r0, r0, r4, lsl #16\n\t" \
  "pkhbt r5, r5, r6, lsl #16\n\t" \
  "str r0, [r1], #4\n\t"          \
  "str r5, [r1], #4\n\t"

#define OUTPUTS_FUNCTION(name, END)                                                    \
  __attribute__((naked, noinline)) static void name(                                   \
      outputs_block *block __attribute__((unused))) {                                  \
    __asm volatile("add r1, r0, #44\n\t"                                               \
                   "stm r1, {r4-r11, lr}\n\t"                                          \
                   "mov r12, r0\n\t"                                                   \
                   "ldrd r1, r3, [r12, #4]\n\t"                                        \
                   "adr.w r0, 2f\n\t"                                                  \
                   "cbz r1, 4f\n\t"                                                    \
                   "adr.w r0, 3f\n"                                                    \
                   "4:\n\t"                                                            \
                   "orr r0, r0, #1\n\t" /* Thumb */                                    \
                   "str r0, [r12, #16]\n"                                              \
                   "1:\n\t"                                                            \
                   "ldrd r1, r0, [r12, #12]\n\t"                                       \
                   "ldr r2, [r12]\n\t"                                                 \
                   "ldm r1!, {r4-r7}\n\t"                                              \
                   "str r1, [r12, #12]\n\t"                                            \
                   "add r4, r4, r5, lsl #8\n\t"                                        \
                   "add r5, r5, r6, lsl #8\n\t"                                        \
                   "add r6, r6, r7, lsl #8\n\t"                                        \
                   "bx r0\n\t"                                                         \
                   ".balign 4\n"                                                       \
                   "2:\n\t" HALF_TURN_INPUTS                                           \
                   ".balign 4\n"                                                       \
                   "3:\n\t" HALF_TURN_INPUTS                                           \
                   "cmp r2, r12\n\t"                                                   \
                   "bne.w 2b\n\t"                                                      \
                   "ldrd r0, r1, [r12, #20]\n\t"                                       \
                   "ldr lr, [r12, #28]\n\t"                                            \
                   "ldr r2, [r1], #4\n\t"                                              \
                   "ldm r0!, {r8-r11}\n\t"                                             \
                   "strd r0, r1, [r12, #20]\n\t"                                       \
                   "rsb r0, r5, r4, asr #8\n\t"                                        \
                   "add r0, r0, r6, lsl #8\n\t"                                        \
                   "lsl r0, r0, #16\n\t"                                               \
                   "asr r0, r0, #7\n\t"                                                \
                   "bfi r0, r4, #1, #8\n\t"         /* 2 * S(a) */                     \
                   "sub r4, r4, r0, asr #1\n\t"                                        \
                   "asr r4, r4, #7\n\t"             /* 2 * S(b) */                     \
                   "sub r5, r5, r4, asr #1\n\t"                                        \
                   "asr r5, r5, #7\n\t"             /* 2 * S(c) */                     \
                   "sub r6, r6, r5, asr #1\n\t"                                        \
                   "asr r6, r6, #7\n\t"             /* 2 * S(d) */                     \
                   "mvn r2, r2\n\t"                                                    \
                   SCALE("r0", "r8") NEXT_SHIFT SCALE("r4", "r9") NEXT_SHIFT           \
                   SCALE("r5", "r10") NEXT_SHIFT SCALE("r6", "r11") END                \
                   "str r1, [r12, #36]\n\t"                                            \
                   "cmp r1, r2\n\t"                                                    \
                   "bne.w 1b\n\t"                                                      \
                   "add r0, r12, #44\n\t"                                              \
                   "ldm r0, {r4-r11, pc}"                                              \
                   :                                                                   \
                   :                                                                   \
                   : "memory");                                                        \
  }

OUTPUTS_FUNCTION(outputs_s8, END_S8)
OUTPUTS_FUNCTION(outputs_s16, END_S16)

typedef struct {
  int32_t output_bytes;
  int32_t smallest_shift;
} types;

static const types s8_s8 = {1, -18};
static const types s8_s16 = {2, -11};

static inline int32_t padded_inputs(const lm_linear *p) {
  return (p->inputs + HALF_TURN - 1) & -HALF_TURN;
}

static inline bool is_clamped(const lm_linear *p) { return p->min > INT8_MIN || p->max < INT8_MAX; }

/* Bytes of the packed weights of four outputs. */
static inline int32_t bytes_of_four(const lm_linear *p) { return 6 * padded_inputs(p); }

/* The first outputs that the assembly makes, four at a time. */
static int32_t assembled_outputs(const lm_linear *p, const types *type) {
  const bool is_right = p->most_shift < 0 && p->least_shift >= type->smallest_shift;
  return is_right && p->most_sum < LARGEST_SUM ? p->outputs & ~3 : 0;
}

static void make_fours(const lm_linear *p, int32_t outputs, const uint32_t *widened, void *y,
                       outputs_block *block, const types *type) {
  block->widened = widened;
  block->begins_midway = (uint32_t)padded_inputs(p) & HALF_TURN;
  block->weights = p->weights;
  block->bias = p->bias;
  block->multipliers = p->multipliers;
  block->shifts = p->shifts;
  block->rounding = 2 * p->zero_point + 1;
  block->table = p->table == NULL || is_clamped(p) ? NULL : p->table + 128;
  block->y = y;
  block->y_end = (int8_t *)y + outputs * type->output_bytes;
  if (type->output_bytes == 1) outputs_s8(block);
  else outputs_s16(block);
}

/* Adds the sums of four outputs over a part of the row, without biases. */
static void add_part(const uint32_t *weights, const uint32_t *x, const uint32_t *end,
                     int32_t sums[4]) {
  int32_t t0 = 0, t1 = 0, t2 = 0;
  for (; x != end; x += 2, weights += 6) {
    t0 = lm_smlad(weights[3], x[1], lm_smlad(weights[0], x[0], t0));
    t1 = lm_smlad(weights[4], x[1], lm_smlad(weights[1], x[0], t1));
    t2 = lm_smlad(weights[5], x[1], lm_smlad(weights[2], x[0], t2));
  }
  const int32_t high = (int16_t)((uint32_t)(t0 >> 8) - (uint32_t)t1 + ((uint32_t)t2 << 8));
  const int32_t a = lm_shift_left(high, 8) | (t0 & 255);
  const int32_t b = (t0 - a) >> 8, c = (t1 - b) >> 8, d = (t2 - c) >> 8;
  sums[0] += a;
  sums[1] += b;
  sums[2] += c;
  sums[3] += d;
}

/* Outputs from `first` on, a multiple of four, by every rule. */
static void make_rest(const lm_linear *p, int32_t first, const uint32_t *widened, void *y,
                      const types *type) {
  const uint32_t *const end = widened + padded_inputs(p) / 2;
  for (; first < p->outputs; first += 4) {
    const uint32_t *weights =
        (const uint32_t *)(const void *)(p->weights + first / 4 * bytes_of_four(p));
    int32_t sums[4] = {0, 0, 0, 0};
    for (const uint32_t *x = widened; x != end;) {
      const uint32_t *const part_end = end - x > LONGEST_PART / 2 ? x + LONGEST_PART / 2 : end;
      add_part(weights, x, part_end, sums);
      weights += 3 * (part_end - x);
      x = part_end;
    }
    const int32_t count = lm_min(4, p->outputs - first);
    for (int32_t i = 0; i < count; i++) {
      const int32_t value = lm_value_of(p, first + i, sums[i]);
      if (type->output_bytes == 1) ((int8_t *)y)[first + i] = (int8_t)value;
      else ((int16_t *)y)[first + i] = (int16_t)value;
    }
  }
}

/* strides are of bytes */
static void make_rows(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y, int32_t y_stride,
                      uint32_t *scratch, const types *type) {
  const int32_t assembled = assembled_outputs(p, type);
  uint32_t *const row_end = scratch + padded_inputs(p) / 2;
  for (int32_t row = 0; row < rows; row++, y += y_stride) {
    lm_widen_single(x.data + row * x.stride, p->inputs, padded_inputs(p), scratch);
    if (assembled > 0) {
      make_fours(p, assembled, scratch, y, (outputs_block *)(void *)row_end, type);
      /* What the assembly leaves out. */
      if (type->output_bytes == 2) lm_finish_s16(p, (int16_t *)(void *)y);
      else if (is_clamped(p)) lm_finish_s8(p, y);
    }
    make_rest(p, assembled, scratch, y, type);
  }
}

void lm_linear_triples_s8_s8_dsp(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y,
                                 int32_t y_stride, void *scratch) {
  make_rows(p, x, rows, y, y_stride, scratch, &s8_s8);
}

void lm_linear_triples_s8_s16_dsp(const lm_linear *p, lm_rows x, int32_t rows, int16_t *y,
                                  int32_t y_stride, void *scratch) {
  make_rows(p, x, rows, (int8_t *)(void *)y, 2 * y_stride, scratch, &s8_s16);
}
