/* SPDX-License-Identifier: Apache-2.0
 * embed_layernorm.c for the DSP extension: factors of a row's elements made once a row, the inner loops
 * in assembly. The sums v of the first columns are kept on the stack, those behind are made twice. */
#include <stddef.h>

#include "../norm_row.h"
#include "dsp.h"
#include "norm_columns.h"

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
  int32_t left;            /* of c */
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

#define NORMALIZE_TWO                             \
  "ldrd %[a], %[b], [%[v]], #8\n\t"               \
  "mla %[a], %[a], %[width], %[offset]\n\t"       \
  "mla %[b], %[b], %[width], %[offset]\n\t"       \
  "smmlar %[a], %[a], %[factor], %[half]\n\t"     \
  "smmlar %[b], %[b], %[factor], %[half]\n\t"     \
  "asr %[a], %[a], %[right]\n\t"                  \
  "asr %[b], %[b], %[right]\n\t"                  \
  "ssat %[a], #16, %[a]\n\t"                      \
  "ssat %[b], #16, %[b]\n\t"                      \
  "pkhbt %[a], %[a], %[b], lsl #16\n\t"           \
  "str %[a], [%[to]], #4\n\t"

/* Normalizes kept sums, a multiple of four and at least four, in place: 6 instructions each. `factor`
 * is width << left. */
static void normalize_kept(const normalize_block *block, int32_t factor, void *kept,
                           int32_t count) {
  const int32_t *v = kept;
  const int32_t *const end = v + count;
  int16_t *normalized = kept;
  int32_t a, b;
  __asm volatile(
      "1:\n\t" NORMALIZE_TWO NORMALIZE_TWO
      "cmp %[v], %[end]\n\t"
      "bne 1b"
      : [v] "+&r"(v), [to] "+&r"(normalized), [a] "=&r"(a), [b] "=&r"(b)
      : [width] "r"(factor), [offset] "r"(block->offset), [factor] "r"(block->factor),
        [right] "r"(block->right), [half] "r"(block->half), [end] "r"(end)
      : "cc", "memory");
}

typedef struct {
  const int8_t *word;      /* 0 */
  const int8_t *position;  /* 4 */
  const int8_t *segment;   /* 8 */
  int32_t word_factor;     /* 12 */
  int32_t position_factor; /* 16 */
  int32_t segment_factor;  /* 20 */
  int32_t sum;             /* 24 */
  int64_t squares;         /* 32 */
  int32_t *kept;           /* 40 */
  const int8_t *word_end;  /* 44 */
  uint32_t saved[9];       /* 48 */
} moments_block;

typedef char moments_are_as_assembled[offsetof(moments_block, squares) == 32 &&
                                              offsetof(moments_block, saved) == 48
                                          ? 1
                                          : -1];

#define ADD_MOMENTS(KEEP)       \
  "ldrsb r11, [r0], #1\n\t"     \
  "ldrsb r12, [r1], #1\n\t"     \
  "mul r11, r11, r3\n\t"        \
  "mla r11, r12, r4, r11\n\t"   \
  "ldrsb r12, [r2], #1\n\t"     \
  "mla r11, r12, r5, r11\n\t"   \
  "add r6, r6, r11\n\t"         \
  "smlal r8, r9, r11, r11\n\t" KEEP

/* Adds a multiple of four elements, at least four: 9 instructions each, and one to keep their sums. */
#define MOMENTS_FUNCTION(NAME, KEEP)                                                       \
  __attribute__((naked, noinline)) static void NAME(                                       \
      moments_block *block __attribute__((unused))) {                                      \
    __asm volatile(                                                                        \
        LM_SAVE_REGISTERS("48")                                                            \
        "mov lr, r0\n\t"                                                                   \
        "ldm lr, {r0-r6}\n\t"                                                              \
        "ldrd r8, r9, [lr, #32]\n\t"                                                       \
        "ldr r10, [lr, #40]\n\t"                                                           \
        "ldr r7, [lr, #44]\n"                                                              \
        "1:\n\t" ADD_MOMENTS(KEEP) ADD_MOMENTS(KEEP) ADD_MOMENTS(KEEP) ADD_MOMENTS(KEEP)   \
        "cmp r0, r7\n\t"                                                                   \
        "bne 1b\n\t"                                                                       \
        "stm lr, {r0-r6}\n\t"                                                              \
        "strd r8, r9, [lr, #32]\n\t"                                                       \
        LM_RETURN("48")                                                                    \
        :                                                                                  \
        :                                                                                  \
        : "memory");                                                                       \
  }

MOMENTS_FUNCTION(add_and_keep, "str r11, [r10], #4\n\t")
MOMENTS_FUNCTION(add_behind, "")

/* Of `count` elements, a multiple of four; the first sums are kept. */
static lm_moments moments_of(const lm_embed_layernorm *p, addends rows, int32_t count,
                             int32_t *kept) {
  const int32_t first = lm_min(count, LM_NORM_COLUMNS);
  moments_block block = {
      .word = rows.word,
      .position = rows.position,
      .segment = rows.segment,
      .word_factor = p->multiplier_word,
      .position_factor = p->multiplier_position,
      .segment_factor = p->multiplier_segment,
      .kept = kept,
      .word_end = rows.word + first,
  };
  if (first > 0) add_and_keep(&block);
  block.word_end = rows.word + count;
  if (count > first) add_behind(&block);
  const lm_moments moments = {block.sum, block.squares};
  return moments;
}

/* Prepares the block for a row; sums of the first columns are kept. */
static void begin_row(const lm_embed_layernorm *p, addends rows, int32_t *kept,
                      normalize_block *block) {
  const int32_t word = p->multiplier_word;
  const int32_t position = p->multiplier_position;
  const int32_t segment = p->multiplier_segment;
  const int32_t width = p->norm.width;
  const int32_t whole = width & ~3;
  const int32_t first = lm_min(whole, LM_NORM_COLUMNS);
  lm_moments moments = moments_of(p, rows, whole, kept);
  for (int32_t i = whole; i < width; i++) {
    lm_moments_add(&moments, rows.word[i] * word + rows.position[i] * position +
                                 rows.segment[i] * segment);
  }
  const lm_normalizer normalizer = lm_norm_normalizer(&p->norm, moments);
  block->word = rows.word + first;
  block->position = rows.position + first;
  block->segment = rows.segment + first;
  block->word_factor = lm_shift_left(width * word, normalizer.left);
  block->position_factor = lm_shift_left(width * position, normalizer.left);
  block->segment_factor = lm_shift_left(width * segment, normalizer.left);
  block->offset = lm_shift_left(-moments.sum, normalizer.left);
  block->factor = normalizer.factor;
  block->right = normalizer.right;
  block->half = lm_shift_left(1, normalizer.right) >> 1;
  block->left = normalizer.left;
}

/* The normalized elements `first` ... `first + count - 1`, a multiple of four, in order. */
static const int16_t *normalized_of(const lm_norm *p, normalize_block *block, int32_t first,
                                    int32_t count, int32_t *kept) {
  if (first == 0) {
    normalize_kept(block, lm_shift_left(p->width, block->left), kept, count);
  } else {
    block->normalized = (int16_t *)kept;
    block->normalized_end = block->normalized + count;
    normalize(block);
  }
  return (const int16_t *)kept;
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

void lm_embed_layernorm_s8_s8_dsp(const lm_embed_layernorm *p, const lm_embedding_tile *tile,
                                  int8_t *y, int32_t y_stride) {
  const lm_norm *norm = &p->norm;
  const int32_t whole = norm->width & ~3;
  for (int32_t row = 0; row < tile->rows; row++) {
    int32_t kept[LM_NORM_COLUMNS];
    normalize_block block;
    begin_row(p, rows_of(p, tile, row), kept, &block);
    int8_t *to = y + row * y_stride;
    for (int32_t first = 0; first < whole; first += LM_NORM_COLUMNS) {
      const int32_t count = lm_min(LM_NORM_COLUMNS, whole - first);
      const int16_t *normalized = normalized_of(norm, &block, first, count, kept);
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

void lm_embed_layernorm_s8_s16_dsp(const lm_embed_layernorm *p, const lm_embedding_tile *tile,
                                   int16_t *y, int32_t y_stride) {
  const lm_norm *norm = &p->norm;
  const int32_t whole = norm->width & ~3;
  for (int32_t row = 0; row < tile->rows; row++) {
    int32_t kept[LM_NORM_COLUMNS];
    normalize_block block;
    begin_row(p, rows_of(p, tile, row), kept, &block);
    int16_t *to = y + row * y_stride;
    for (int32_t first = 0; first < whole; first += LM_NORM_COLUMNS) {
      const int32_t count = lm_min(LM_NORM_COLUMNS, whole - first);
      const int16_t *normalized = normalized_of(norm, &block, first, count, kept);
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
