/* SPDX-License-Identifier: Apache-2.0
 * add_layernorm.c for Helium: moments from plain sums of 16 columns, then four lanes at a time. */
#include "../add_moments.h"
#include "mve.h"

static lm_add_sums sums_of(const int8_t *a, const int8_t *b, int32_t width) {
  lm_add_sums sums = {0, 0, 0, 0, 0};
  __asm volatile(
      "wlstp.8 lr, %[n], 1f\n"
      "2:\n\t"
      "vldrb.8 q0, [%[pa]], #16\n\t"
      "vaddva.s8 %[a], q0\n\t"
      "vldrb.8 q1, [%[pb]], #16\n\t"
      "vmladava.s8 %[aa], q0, q0\n\t"
      "vmladava.s8 %[ab], q0, q1\n\t"
      "vmladava.s8 %[bb], q1, q1\n\t"
      "vaddva.s8 %[b], q1\n\t"
      "letp lr, 2b\n"
      "1:"
      : [a] "+&Te"(sums.a), [b] "+&Te"(sums.b), [aa] "+&Te"(sums.aa), [bb] "+&Te"(sums.bb),
        [ab] "+&Te"(sums.ab), [pa] "+&r"(a), [pb] "+&r"(b)
      : [n] "r"(width)
      : "q0", "q1", "lr", "memory");
  return sums;
}

/* A row's outputs, 18 instructions for four. `STORE` writes four lanes of q0 to y. */
#define FINISH_ROW(STORE)                                                                     \
  __asm volatile(                                                                             \
      "wlstp.32 lr, %[n], 1f\n"                                                               \
      "2:\n\t"                                                                                \
      "vldrb.s32 q0, [%[a]], #4\n\t"                                                          \
      "vmul.i32 q0, q0, %q[factor_a]\n\t"                                                     \
      "vldrb.s32 q1, [%[b]], #4\n\t"                                                          \
      "vmla.s32 q0, q1, %[factor_b]\n\t"                                                      \
      "vadd.i32 q0, q0, %q[offset]\n\t"                                                       \
      "vrmulh.s32 q0, q0, %q[factor]\n\t"                                                     \
      "vrshl.s32 q0, %[right]\n\t"                                                            \
      "vqmovnb.s32 q0, q0\n\t"                                                                \
      "vmovlb.s16 q0, q0\n\t"                                                                 \
      "vldrh.s32 q1, [%[gamma]], #8\n\t"                                                      \
      "vmul.i32 q0, q0, q1\n\t"                                                               \
      "vldrw.32 q1, [%[beta]], #16\n\t"                                                       \
      "vadd.i32 q0, q0, q1\n\t"                                                               \
      "vshl.s32 q0, %[out_shift]\n\t"                                                         \
      "vmax.s32 q0, q0, %q[min]\n\t"                                                          \
      "vmin.s32 q0, q0, %q[max]\n\t" STORE                                                    \
      "letp lr, 2b\n"                                                                         \
      "1:"                                                                                    \
      : [a] "+&l"(a), [b] "+&l"(b), [gamma] "+&l"(gamma), [beta] "+&r"(beta), [y] "+&l"(y)    \
      : [n] "r"(p->width), [factor_b] "r"(row.factor_b), [right] "r"(-row.right),             \
        [out_shift] "r"(-p->out_shift), [factor_a] "w"(vdupq_n_s32(row.factor_a)),            \
        [offset] "w"(vdupq_n_s32(row.offset)), [factor] "w"(vdupq_n_s32(row.factor)),         \
        [min] "w"(vdupq_n_s32(p->min)), [max] "w"(vdupq_n_s32(p->max))                        \
      : "q0", "q1", "lr", "memory")

static void finish_s8(const lm_norm *p, lm_add_row row, const int8_t *a, const int8_t *b,
                      int8_t *y) {
  const int16_t *gamma = p->gamma;
  const int32_t *beta = p->beta;
  FINISH_ROW("vstrb.32 q0, [%[y]], #4\n\t");
}

static void finish_s16(const lm_norm *p, lm_add_row row, const int8_t *a, const int8_t *b,
                       int16_t *y) {
  const int16_t *gamma = p->gamma;
  const int32_t *beta = p->beta;
  FINISH_ROW("vstrh.32 q0, [%[y]], #8\n\t");
}

void lm_add_layernorm_s8_s8_mve(const lm_add_layernorm *p, lm_rows a, lm_rows b, int32_t rows,
                                int8_t *y, int32_t y_stride) {
  for (int32_t row = 0; row < rows; row++) {
    const int8_t *ra = a.data + row * a.stride;
    const int8_t *rb = b.data + row * b.stride;
    const lm_add_row constants = lm_add_row_of(p, sums_of(ra, rb, p->norm.width));
    finish_s8(&p->norm, constants, ra, rb, y + row * y_stride);
  }
}

void lm_add_layernorm_s8_s16_mve(const lm_add_layernorm *p, lm_rows a, lm_rows b, int32_t rows,
                                 int16_t *y, int32_t y_stride) {
  for (int32_t row = 0; row < rows; row++) {
    const int8_t *ra = a.data + row * a.stride;
    const int8_t *rb = b.data + row * b.stride;
    const lm_add_row constants = lm_add_row_of(p, sums_of(ra, rb, p->norm.width));
    finish_s16(&p->norm, constants, ra, rb, y + row * y_stride);
  }
}
