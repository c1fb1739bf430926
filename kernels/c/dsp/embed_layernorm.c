/* SPDX-License-Identifier: Apache-2.0
 * embed_layernorm.c for the DSP extension: factors of a row's elements made once a row, the inner loops
 * in assembly. */
#include <stddef.h>

#include "../norm_row.h"
#include "dsp.h"
#include "norm_columns.h"

/* The three table rows of one token, each (width). */
typedef struct {
  const int8_t *word;
  const int8_t *position;
  const int8_t *segment;
} table_rows;

static table_rows rows_of(const lm_embed_layernorm *p, const lm_token_tile *tile, int32_t row) {
  const int32_t token = tile->row_start + row;
  const int32_t segment = token >= tile->segment_start ? p->segments - 1 : 0;
  const table_rows rows = {
      p->word + tile->ids[row] * p->norm.width,
      p->position + token * p->norm.width,
      p->segment + segment * p->norm.width,
  };
  return rows;
}

/* What a row's elements need: (c << left) = sum of factors * tables + offset modulo 2^32, with c =
 * width * v - sum v; then n = clamp16((c << left) * factor >> 32 + right, rounded twice). */
typedef struct {
  const int8_t *word;     /* 0 */
  const int8_t *position; /* 4 */
  const int8_t *segment;  /* 8 */
  int16_t *normalized;    /* 12 */
  int32_t word_factor;    /* 16 */
  int32_t position_factor;
  int32_t segment_factor;
  int32_t offset;
  int32_t factor; /* 32 */
  int32_t right;
  int32_t half;
  int16_t *normalized_end; /* 44 */
  uint32_t saved[9];       /* 48 */
} normalize_block;

typedef char offsets_are_as_assembled[offsetof(normalize_block, saved) == 48 ? 1 : -1];

#define NORMALIZE                \
  "ldrsb r11, [r0], #1\n\t"      \
  "mla r12, r11, r4, r7\n\t"     \
  "ldrsb r11, [r1], #1\n\t"      \
  "mla r12, r11, r5, r12\n\t"    \
  "ldrsb r11, [r2], #1\n\t"      \
  "mla r12, r11, r6, r12\n\t"    \
  "smmlar r12, r12, r8, r10\n\t" \
  "asr r12, r12, r9\n\t"         \
  "ssat r12, #16, r12\n\t"       \
  "strh r12, [r3], #2\n\t"

/* Elements, a multiple of four and at least four: 11 instructions each. The block is then that of the
 * next ones, but for where they go. */
__attribute__((naked, noinline)) static void normalize(
    normalize_block *block __attribute__((unused))) {
  __asm volatile(
      LM_SAVE_REGISTERS("48")
      "mov lr, r0\n\t"
      "ldm lr, {r0-r10}\n"
      "1:\n\t" NORMALIZE NORMALIZE NORMALIZE NORMALIZE
      "ldr r11, [lr, #44]\n\t"
      "cmp r3, r11\n\t"
      "bne 1b\n\t"
      "stm lr, {r0-r2}\n\t"
      LM_RETURN("48")
      :
      :
      : "memory");
}

#define ADD_MOMENTS                          \
  "ldrsb %[a], [%[word]], #1\n\t"            \
  "ldrsb %[b], [%[position]], #1\n\t"        \
  "mul %[a], %[a], %[word_factor]\n\t"       \
  "mla %[a], %[b], %[position_factor], %[a]\n\t" \
  "ldrsb %[b], [%[segment]], #1\n\t"         \
  "mla %[a], %[b], %[segment_factor], %[a]\n\t" \
  "add %[sum], %[a]\n\t"                     \
  "smlal %Q[squares], %R[squares], %[a], %[a]\n\t"

/* Of a multiple of four elements, at least four: 9 instructions each. */
__attribute__((noinline)) static lm_moments moments_of(const lm_embed_layernorm *p, table_rows rows,
                                         int32_t count) {
  const int8_t *word = rows.word, *position = rows.position, *segment = rows.segment;
  const int8_t *const end = word + count;
  lm_moments moments = {0, 0};
  int32_t a, b;
  __asm volatile(
      "1:\n\t" ADD_MOMENTS ADD_MOMENTS ADD_MOMENTS ADD_MOMENTS
      "cmp %[word], %[end]\n\t"
      "bne 1b"
      : [word] "+&r"(word), [position] "+&r"(position), [segment] "+&r"(segment),
        [sum] "+&r"(moments.sum), [squares] "+&r"(moments.squares), [a] "=&r"(a), [b] "=&r"(b)
      : [word_factor] "r"(p->multiplier_word), [position_factor] "r"(p->multiplier_position),
        [segment_factor] "r"(p->multiplier_segment), [end] "r"(end)
      : "cc", "memory");
  return moments;
}

static normalize_block block_of(const lm_embed_layernorm *p, table_rows rows) {
  const int32_t word = p->multiplier_word;
  const int32_t position = p->multiplier_position;
  const int32_t segment = p->multiplier_segment;
  const int32_t width = p->norm.width;
  const int32_t whole = width & ~3;
  lm_moments moments = {0, 0};
  if (whole > 0) moments = moments_of(p, rows, whole);
  for (int32_t i = whole; i < width; i++) {
    lm_moments_add(&moments, rows.word[i] * word + rows.position[i] * position +
                                 rows.segment[i] * segment);
  }
  const lm_normalizer normalizer = lm_norm_normalizer(&p->norm, moments);
  const normalize_block block = {
      .word = rows.word,
      .position = rows.position,
      .segment = rows.segment,
      .word_factor = lm_shift_left(width * word, normalizer.left),
      .position_factor = lm_shift_left(width * position, normalizer.left),
      .segment_factor = lm_shift_left(width * segment, normalizer.left),
      .offset = lm_shift_left(-moments.sum, normalizer.left),
      .factor = normalizer.factor,
      .right = normalizer.right,
      .half = lm_shift_left(1, normalizer.right) >> 1,
  };
  return block;
}

/* The next `count` elements, a multiple of four. */
static inline void normalize_next(normalize_block *block, int16_t *normalized, int32_t count) {
  block->normalized = normalized;
  block->normalized_end = normalized + count;
  normalize(block);
}

/* The next element, as it is before its clamp. */
static int32_t next_output(const lm_norm *p, normalize_block *block, int32_t column) {
  const uint32_t centered = (uint32_t)block->offset +
                            (uint32_t)block->word_factor * (uint32_t)*block->word++ +
                            (uint32_t)block->position_factor * (uint32_t)*block->position++ +
                            (uint32_t)block->segment_factor * (uint32_t)*block->segment++;
  const int32_t product = lm_smmlar((int32_t)centered, block->factor, block->half);
  const int32_t normalized = lm_saturate16(product >> block->right);
  const uint32_t scaled = (uint32_t)(normalized * p->gamma[column]) + (uint32_t)p->beta[column];
  return (int32_t)scaled >> p->out_shift;
}

void lm_embed_layernorm_s8_s8_dsp(const lm_embed_layernorm *p, const lm_token_tile *tile,
                                  int8_t *y, int32_t y_stride) {
  const lm_norm *norm = &p->norm;
  const int32_t whole = norm->width & ~3;
  for (int32_t row = 0; row < tile->rows; row++) {
    normalize_block block = block_of(p, rows_of(p, tile, row));
    int8_t *to = y + row * y_stride;
    for (int32_t first = 0; first < whole; first += LM_NORM_COLUMNS) {
      int16_t normalized[LM_NORM_COLUMNS] __attribute__((aligned(4)));
      const int32_t count = lm_min(LM_NORM_COLUMNS, whole - first);
      normalize_next(&block, normalized, count);
      lm_norm_outputs_s8(norm, normalized, first, count, to + first);
    }
    for (int32_t i = whole; i < norm->width; i++) {
      to[i] = (int8_t)lm_saturate8(next_output(norm, &block, i));
    }
    if (norm->min == INT8_MIN && norm->max == INT8_MAX) continue;
    for (int32_t i = 0; i < norm->width; i++) {
      to[i] = (int8_t)lm_clamp(to[i], norm->min, norm->max);
    }
  }
}

void lm_embed_layernorm_s8_s16_dsp(const lm_embed_layernorm *p, const lm_token_tile *tile,
                                   int16_t *y, int32_t y_stride) {
  const lm_norm *norm = &p->norm;
  const int32_t whole = norm->width & ~3;
  for (int32_t row = 0; row < tile->rows; row++) {
    normalize_block block = block_of(p, rows_of(p, tile, row));
    int16_t *to = y + row * y_stride;
    for (int32_t first = 0; first < whole; first += LM_NORM_COLUMNS) {
      int16_t normalized[LM_NORM_COLUMNS] __attribute__((aligned(4)));
      const int32_t count = lm_min(LM_NORM_COLUMNS, whole - first);
      normalize_next(&block, normalized, count);
      lm_norm_outputs_s16(norm, normalized, first, count, to + first);
    }
    for (int32_t i = whole; i < norm->width; i++) {
      to[i] = (int16_t)lm_saturate16(next_output(norm, &block, i));
    }
    if (norm->min == INT16_MIN && norm->max == INT16_MAX) continue;
    for (int32_t i = 0; i < norm->width; i++) {
      to[i] = (int16_t)lm_clamp(to[i], norm->min, norm->max);
    }
  }
}
