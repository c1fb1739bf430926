/* SPDX-License-Identifier: Apache-2.0
 * embed_layernorm.c for Helium, four columns at a time. The sum is made twice and never stored. */
#include "../norm_row.h"
#include "mve.h"

/* The three rows that are added up for one token, each (width). */
typedef struct {
  const int8_t *word;
  const int8_t *position;
  const int8_t *segment;
} addends;

static addends rows_of(const lm_embed_layernorm *p, const lm_embedding_tile *tile, int32_t row) {
  const int32_t token = tile->row_start + row;
  const int32_t segment = token >= tile->segment_start ? p->segments - 1 : 0;
  const addends rows = {
      tile->word.data + row * tile->word.stride,
      tile->position.data + row * tile->position.stride,
      p->segment + segment * p->norm.width,
  };
  return rows;
}

/* q0 = the sum of four columns, times a power of two where the factors are. */
#define SUM_OF_FOUR(FACTOR_WORD)         \
  "vldrb.s32 q0, [%[word]], #4\n\t"      \
  "vmul.i32 q0, q0, " FACTOR_WORD "\n\t" \
  "vldrb.s32 q1, [%[position]], #4\n\t"  \
  "vmla.s32 q0, q1, %[factor_position]\n\t" \
  "vldrb.s32 q1, [%[segment]], #4\n\t"   \
  "vmla.s32 q0, q1, %[factor_segment]\n\t"

static lm_moments moments_of(const lm_embed_layernorm *p, addends rows) {
  int32_t sum = 0;
  int64_t squares = 0;
  __asm volatile(
      "wlstp.32 lr, %[n], 1f\n"
      "2:\n\t" SUM_OF_FOUR("%[factor_word]")
      "vmlaldava.s32 %Q[squares], %R[squares], q0, q0\n\t"
      "vaddva.s32 %[sum], q0\n\t"
      "letp lr, 2b\n"
      "1:"
      : [sum] "+&Te"(sum), [squares] "+&r"(squares), [word] "+&l"(rows.word),
        [position] "+&l"(rows.position), [segment] "+&l"(rows.segment)
      : [n] "r"(p->norm.width), [factor_word] "r"(p->multiplier_word),
        [factor_position] "r"(p->multiplier_position), [factor_segment] "r"(p->multiplier_segment)
      : "q0", "q1", "lr", "memory");
  const lm_moments moments = {sum, squares};
  return moments;
}

/* What a row's elements need: (c << left) = factors * tables - mean modulo 2^32, then as in
 * lm_normalize. */
typedef struct {
  int32_t factor_word;
  int32_t factor_position;
  int32_t factor_segment;
  int32_t mean;
  int32_t factor;
  int32_t right;
} row_constants;

static row_constants constants_of(const lm_embed_layernorm *p, lm_moments moments) {
  const lm_normalizer normalizer = lm_norm_normalizer(&p->norm, moments);
  const int32_t width = p->norm.width;
  const row_constants constants = {
      .factor_word = lm_shift_left(width * p->multiplier_word, normalizer.left),
      .factor_position = lm_shift_left(width * p->multiplier_position, normalizer.left),
      .factor_segment = lm_shift_left(width * p->multiplier_segment, normalizer.left),
      .mean = lm_shift_left(moments.sum, normalizer.left),
      .factor = normalizer.factor,
      .right = normalizer.right,
  };
  return constants;
}

/* A row's outputs, 20 instructions for four. `STORE` writes four lanes of q0 to y. */
#define FINISH_ROW(STORE)                                                                   \
  __asm volatile(                                                                           \
      "wlstp.32 lr, %[n], 1f\n"                                                             \
      "2:\n\t" SUM_OF_FOUR("%q[factor_word]")                                                                  \
      "vsub.i32 q0, q0, %q[mean]\n\t"                                                       \
      "vrmulh.s32 q0, q0, %q[factor]\n\t"                                                   \
      "vrshl.s32 q0, q0, %q[right]\n\t"                                                    \
      "vqmovnb.s32 q0, q0\n\t"                                                              \
      "vmovlb.s16 q0, q0\n\t"                                                               \
      "vldrh.s32 q1, [%[gamma]], #8\n\t"                                                    \
      "vmul.i32 q0, q0, q1\n\t"                                                             \
      "vldrw.32 q1, [%[beta]], #16\n\t"                                                     \
      "vadd.i32 q0, q0, q1\n\t"                                                             \
      "vshl.s32 q0, %[out_shift]\n\t"                                                       \
      "vmax.s32 q0, q0, %q[min]\n\t"                                                        \
      "vmin.s32 q0, q0, %q[max]\n\t" STORE                                                  \
      "letp lr, 2b\n"                                                                       \
      "1:"                                                                                  \
      : [word] "+&l"(rows.word), [position] "+&l"(rows.position),                           \
        [segment] "+&l"(rows.segment), [gamma] "+&l"(gamma), [beta] "+&r"(beta),            \
        [y] "+&l"(y)                                                                        \
      : [n] "r"(p->width), [factor_word] "w"(vdupq_n_s32(row.factor_word)),                            \
        [factor_position] "r"(row.factor_position), [factor_segment] "r"(row.factor_segment), \
        [right] "w"(vdupq_n_s32(-row.right)), [out_shift] "r"(-p->out_shift),                            \
        [mean] "w"(vdupq_n_s32(row.mean)), [factor] "w"(vdupq_n_s32(row.factor)),           \
        [min] "w"(vdupq_n_s32(p->min)), [max] "w"(vdupq_n_s32(p->max))                      \
      : "q0", "q1", "lr", "memory")

LM_NOINLINE static void finish_s8(const lm_norm *p, row_constants row, addends rows,
                                  int8_t *y) {
  const int16_t *gamma = p->gamma;
  const int32_t *beta = p->beta;
  FINISH_ROW("vstrb.32 q0, [%[y]], #4\n\t");
}

LM_NOINLINE static void finish_s16(const lm_norm *p, row_constants row, addends rows,
                                  int16_t *y) {
  const int16_t *gamma = p->gamma;
  const int32_t *beta = p->beta;
  FINISH_ROW("vstrh.32 q0, [%[y]], #8\n\t");
}

void lm_embed_layernorm_s8_s8_mve(const lm_embed_layernorm *p, const lm_embedding_tile *tile,
                                  int8_t *y, int32_t y_stride) {
  for (int32_t row = 0; row < tile->rows; row++) {
    const addends rows = rows_of(p, tile, row);
    const row_constants constants = constants_of(p, moments_of(p, rows));
    finish_s8(&p->norm, constants, rows, y + row * y_stride);
  }
}

void lm_embed_layernorm_s8_s16_mve(const lm_embed_layernorm *p, const lm_embedding_tile *tile,
                                   int16_t *y, int32_t y_stride) {
  for (int32_t row = 0; row < tile->rows; row++) {
    const addends rows = rows_of(p, tile, row);
    const row_constants constants = constants_of(p, moments_of(p, rows));
    finish_s16(&p->norm, constants, rows, y + row * y_stride);
  }
}
