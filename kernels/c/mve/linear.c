/* SPDX-License-Identifier: Apache-2.0
 * linear.c for Helium: up to three rows of 32 inputs stay in registers while the weights stream by,
 * and the sums of a band of outputs lie on the stack between one group of inputs and the next.
 *
 * Weights are packed for this order, "bands-64x32": (bands of 64 outputs, groups of 32 inputs,
 * outputs of the band, 32 inputs), outputs filled up to pairs and inputs to 32 with zeros. */
#include <stddef.h>

#include "../kernels.h"
#include "mve.h"
#include "products.h"

/* Outputs of a band: a multiple of four. */
enum { BAND = 64 };


/* sums (pairs, rows, 2) = or += products of at most 32 inputs of 1, 2 or 3 rows. */
static void add_products(lm_rows x, int32_t rows, int32_t left, const int8_t *w, int32_t pairs,
                         int32_t *sums) {
  enum { step = 0 };
  if (rows == 3) {
    LM_PRODUCTS("", LM_PAIR_3("vmladava.s8", LM_BEFORE_3, LM_NEXT_0, LM_NEXT_1));
  } else if (rows == 2) {
    LM_PRODUCTS("", LM_PAIR_2("vmladava.s8", LM_BEFORE_2, LM_NEXT_0, LM_NEXT_1));
  } else {
    LM_PRODUCTS("", LM_PAIR_1("vmladava.s8", LM_BEFORE_1, LM_NEXT_0, LM_NEXT_1));
  }
}

static void set_products(lm_rows x, int32_t rows, int32_t left, const int8_t *w, int32_t pairs,
                         int32_t *sums) {
  enum { step = 0 };
  if (rows == 3) {
    LM_PRODUCTS("", LM_PAIR_3("vmladav.s8", "", LM_NEXT_0, LM_NEXT_1));
  } else if (rows == 2) {
    LM_PRODUCTS("", LM_PAIR_2("vmladav.s8", "", LM_NEXT_0, LM_NEXT_1));
  } else {
    LM_PRODUCTS("", LM_PAIR_1("vmladav.s8", "", LM_NEXT_0, LM_NEXT_1));
  }
}

/* Sums without bias of a band. w: (groups, outputs, 32); sums: (pairs, rows, 2) */
static void sum_band(const lm_linear *p, lm_rows x, int32_t rows, const int8_t *w, int32_t pairs,
                     int32_t *sums) {
  set_products(x, rows, p->inputs, w, pairs, sums);
  for (int32_t first = LM_GROUP; first < p->inputs; first += LM_GROUP) {
    w += 2 * LM_GROUP * pairs;
    x.data += LM_GROUP;
    add_products(x, rows, p->inputs - first, w, pairs, sums);
  }
}

/* Byte offsets of four sums of a row among (pairs, rows, 2), by rows. */
static const int32_t lanes_of[3][4] = {{0, 4, 8, 12}, {0, 4, 16, 20}, {0, 4, 24, 28}};

/* Of three rows, 48 bytes before. */
static const int32_t lanes_before[4] = {-48, -44, -24, -20};

/* Whether all of `count` shifts are to the right, by one bit or more. */
static bool all_shift_right(const int8_t *shifts, int32_t count) {
  int32_t largest = INT8_MIN;
  __asm volatile(
      "wlstp.8 lr, %[n], 1f\n"
      "2:\n\t"
      "vldrb.8 q0, [%[shifts]], #16\n\t"
      "vmaxv.s8 %[largest], q0\n\t"
      "letp lr, 2b\n"
      "1:"
      : [largest] "+&r"(largest), [shifts] "+&r"(shifts)
      : [n] "r"(count)
      : "q0", "lr", "memory");
  return largest < 0;
}

/* Four lanes of q0 into the row at `y`. */
#define STORE_S8(y) "vstrb.32 q0, [%[" y "]], #4\n\t"
#define STORE_S16(y) "vstrh.32 q0, [%[" y "]], #8\n\t"
#define STORE_TABLE(y)                 \
  "vldrb.s32 q2, [%[table], q0]\n\t" \
  "vstrb.32 q2, [%[" y "]], #4\n\t"

/* One row: bias in q3, multipliers in q4, shifts, all negative, in q5. */
#define FINISH_ROW(SUMS, STORE)    \
  "vldrw.32 q0, " SUMS "\n\t"      \
  "vadd.i32 q0, q0, q3\n\t"        \
  "vqrdmulh.s32 q0, q0, q4\n\t"    \
  "vshr.s32 q2, q0, #31\n\t"       \
  "vadd.i32 q0, q0, q2\n\t"        \
  "vrshl.s32 q0, q0, q5\n\t"       \
  "vqadd.s32 q0, q0, %[zero_point]\n\t" \
  "vmax.s32 q0, q0, %q[min]\n\t"   \
  "vmin.s32 q0, q0, %q[max]\n\t" STORE

/* Three rows whose shifts are all to the right: 34 instructions for twelve outputs. */
#define FINISH_3(STORE)                                                                      \
  __asm volatile(                                                                            \
      "vldrw.32 q7, [%[lanes]]\n\t"                                                          \
      "vadd.i32 q7, q7, %[sums]\n\t"                                                         \
      "wlstp.32 lr, %[n], 1f\n"                                                              \
      "2:\n\t"                                                                               \
      "vldrw.32 q3, [%[bias]], #16\n\t"                                                      \
      "vldrw.32 q4, [%[multipliers]], #16\n\t"                                               \
      "vldrb.s32 q5, [%[shifts]], #4\n\t" FINISH_ROW("[q7, #48]!", STORE("y0"))              \
          FINISH_ROW("[q7, #8]", STORE("y1")) FINISH_ROW("[q7, #16]", STORE("y2"))           \
      "letp lr, 2b\n"                                                                        \
      "1:"                                                                                   \
      : [bias] "+&r"(bias), [multipliers] "+&r"(multipliers), [shifts] "+&l"(shifts),        \
        [y0] "+&l"(y0), [y1] "+&l"(y1), [y2] "+&l"(y2)                                       \
      : [n] "r"(count), [sums] "r"(sums), [lanes] "r"(lanes_before),                        \
        [zero_point] "r"(p->zero_point), [table] "r"(table), [min] "w"(vdupq_n_s32(p->min)), \
        [max] "w"(vdupq_n_s32(p->max))                                                       \
      : "q0", "q2", "q3", "q4", "q5", "q7", "lr", "memory")

/* One row, any shifts. */
#define FINISH_1(STORE)                                                                      \
  __asm volatile(                                                                            \
      "vldrw.32 q7, [%[lanes]]\n\t"                                                          \
      "vadd.i32 q7, q7, %[sums]\n\t"                                                         \
      "vmov.i32 q4, #0\n\t"                                                                  \
      "wlstp.32 lr, %[n], 1f\n"                                                              \
      "2:\n\t"                                                                               \
      "vldrw.32 q0, [q7]\n\t"                                                                \
      "vadd.i32 q7, q7, %[step]\n\t"                                                         \
      "vldrw.32 q2, [%[bias]], #16\n\t"                                                      \
      "vldrb.s32 q1, [%[shifts]], #4\n\t"                                                    \
      "vadd.i32 q0, q0, q2\n\t"                                                              \
      "vmax.s32 q2, q1, q4\n\t"                                                              \
      "vmin.s32 q1, q1, q4\n\t"                                                              \
      "vshl.s32 q0, q0, q2\n\t"                                                              \
      "vldrw.32 q3, [%[multipliers]], #16\n\t"                                               \
      "vqrdmulh.s32 q0, q0, q3\n\t" LM_ROUNDING_SHIFT_Q0_BY_Q1                               \
      "vqadd.s32 q0, q0, %[zero_point]\n\t"                                                  \
      "vmax.s32 q0, q0, %q[min]\n\t"                                                         \
      "vmin.s32 q0, q0, %q[max]\n\t" STORE("y0")                                             \
      "letp lr, 2b\n"                                                                        \
      "1:"                                                                                   \
      : [bias] "+&r"(bias), [multipliers] "+&r"(multipliers), [shifts] "+&l"(shifts),        \
        [y0] "+&l"(y0)                                                                       \
      : [n] "r"(count), [sums] "r"(sums), [lanes] "r"(lanes_of[rows - 1]),                   \
        [step] "r"(16 * rows), [zero_point] "r"(p->zero_point), [table] "r"(table),          \
        [min] "w"(vdupq_n_s32(p->min)), [max] "w"(vdupq_n_s32(p->max))                       \
      : "q0", "q1", "q2", "q3", "q4", "q7", "lr", "memory")

/* A band's outputs of three rows. */
#define DEFINE_FINISH(NAME, TYPE, STORE)                                                       \
  LM_NOINLINE static void NAME##_3(const lm_linear *p, const int32_t *sums,      \
                                                 int32_t first, int32_t count, TYPE *y0,       \
                                                 int32_t y_stride) {                           \
    const int32_t *bias = p->bias + first;                                                     \
    const int32_t *multipliers = p->multipliers + first;                                       \
    const int8_t *shifts = p->shifts + first;                                                  \
    const int8_t *table = p->table == NULL ? NULL : p->table + 128;                                                      \
    TYPE *y1 = y0 + y_stride, *y2 = y1 + y_stride;                                             \
    FINISH_3(STORE);                                                                           \
  }                                                                                            \
  LM_NOINLINE static void NAME##_1(const lm_linear *p, const int32_t *sums,      \
                                                 int32_t rows, int32_t first, int32_t count,   \
                                                 TYPE *y0) {                                              \
    const int32_t *bias = p->bias + first;                                                     \
    const int32_t *multipliers = p->multipliers + first;                                       \
    const int8_t *shifts = p->shifts + first;                                                  \
    const int8_t *table = p->table == NULL ? NULL : p->table + 128;                                                      \
    FINISH_1(STORE);                                                                           \
  }

DEFINE_FINISH(finish_s8, int8_t, STORE_S8)
DEFINE_FINISH(finish_s16, int16_t, STORE_S16)
DEFINE_FINISH(finish_table, int8_t, STORE_TABLE)

static void look_up(const int8_t *table, int32_t count, int32_t rows, int16_t *y,
                    int32_t y_stride) {
  for (int32_t row = 0; row < rows; row++) {
    for (int32_t i = 0; i < count; i++) y[i] = table[y[i] + 128];
    y += y_stride;
  }
}

static void band_s8(const lm_linear *p, const int32_t *sums, int32_t rows, int32_t first,
                    int32_t count, int8_t *y, int32_t y_stride) {
  if (rows == 3 && all_shift_right(p->shifts + first, count)) {
    if (p->table == NULL) {
      finish_s8_3(p, sums, first, count, y, y_stride);
    } else {
      finish_table_3(p, sums, first, count, y, y_stride);
    }
    return;
  }
  for (int32_t row = 0; row < rows; row++) {
    if (p->table == NULL) {
      finish_s8_1(p, sums + 2 * row, rows, first, count, y + row * y_stride);
    } else {
      finish_table_1(p, sums + 2 * row, rows, first, count, y + row * y_stride);
    }
  }
}

void lm_linear_s8_s8_mve(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y, int32_t y_stride,
                         void *scratch) {
  (void)scratch;
  const int32_t groups = (p->inputs + LM_GROUP - 1) / LM_GROUP;
  int32_t sums[3 * BAND];
  for (int32_t row = 0; row < rows; row += 3) {
    const lm_rows block = {x.data + row * x.stride, x.stride};
    const int32_t count = lm_min(3, rows - row);
    const int8_t *w = p->weights;
    for (int32_t first = 0; first < p->outputs; first += BAND) {
      const int32_t outputs = lm_min(BAND, p->outputs - first);
      const int32_t pairs = (outputs + 1) >> 1;
      sum_band(p, block, count, w, pairs, sums);
      band_s8(p, sums, count, first, outputs, y + row * y_stride + first, y_stride);
      w += 2 * LM_GROUP * pairs * groups;
    }
  }
}

void lm_linear_s8_s16_mve(const lm_linear *p, lm_rows x, int32_t rows, int16_t *y,
                          int32_t y_stride, void *scratch) {
  (void)scratch;
  const int32_t groups = (p->inputs + LM_GROUP - 1) / LM_GROUP;
  int32_t sums[3 * BAND];
  for (int32_t row = 0; row < rows; row += 3) {
    const lm_rows block = {x.data + row * x.stride, x.stride};
    const int32_t count = lm_min(3, rows - row);
    const int8_t *w = p->weights;
    for (int32_t first = 0; first < p->outputs; first += BAND) {
      const int32_t outputs = lm_min(BAND, p->outputs - first);
      const int32_t pairs = (outputs + 1) >> 1;
      int16_t *to = y + row * y_stride + first;
      sum_band(p, block, count, w, pairs, sums);
      if (count == 3 && all_shift_right(p->shifts + first, outputs)) {
        finish_s16_3(p, sums, first, outputs, to, y_stride);
      } else {
        for (int32_t i = 0; i < count; i++) {
          finish_s16_1(p, sums + 2 * i, count, first, outputs, to + i * y_stride);
        }
      }
      if (p->table != NULL) look_up(p->table, outputs, count, to, y_stride);
      w += 2 * LM_GROUP * pairs * groups;
    }
  }
}
