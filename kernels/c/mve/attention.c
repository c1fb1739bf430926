/* SPDX-License-Identifier: Apache-2.0
 * attention.c for Helium: three query rows by pairs of keys, then by pairs of value columns, the rows
 * in registers both times (products.h). A row or key without a neighbour is its own.
 *
 * Scratch: (3, tokens rounded up to 32) bytes, first the scores + 128 and then the weights of the
 * rows. Values of 32 tokens in 16 columns are turned on the stack, so that a column lies together. */
#include "../attention_band.h"
#include "mve.h"
#include "products.h"
#include "turned.h"

enum {
  ROWS = 3,
  KEYS = 64,    /* between two requantizations: a multiple of 16 */
  COLUMNS = LM_TURNED_COLUMNS,
};

/* Three query rows of one head, a key or value matrix of it, and the weights of the rows. */
typedef struct {
  lm_rows q;       /* (rows, head_width) */
  int32_t rows;    /* 1 ... 3 */
  int32_t keys;    /* that some row sees */
  uint8_t *scores; /* (3, stride) */
  int32_t stride;
} row_block;

/* sums (pairs, 3, 2) = or += q * kT over at most 32 columns. */
static void set_products(lm_rows x, int32_t rows, const int8_t *w, int32_t step, int32_t pairs,
                         int32_t *sums) {
  const int32_t left = LM_GROUP;
  LM_PRODUCTS("", LM_PAIR_3("vmladav.s8", "", LM_ROW_0, LM_ROW_1));
}

static void add_products(lm_rows x, int32_t rows, const int8_t *w, int32_t step, int32_t pairs,
                         int32_t *sums) {
  const int32_t left = LM_GROUP;
  LM_PRODUCTS("", LM_PAIR_3("vmladava.s8", LM_BEFORE_3, LM_ROW_0, LM_ROW_1));
}

/* The last columns of heads that are no multiple of 32 wide. */
LM_NOINLINE static void add_tail(lm_rows x, int32_t rows, const int8_t *w, int32_t step,
                                 int32_t width, int32_t *sums) {
  int32_t first[3], second[3];
  const int8_t *a = x.data, *b = a + lm_min(1, rows - 1) * x.stride, *c = a + (rows - 1) * x.stride;
  lm_dot_2x3(w, w + step, a, b, c, width, first, second);
  for (int32_t row = 0; row < ROWS; row++) {
    sums[2 * row] += first[row];
    sums[2 * row + 1] += second[row];
  }
}

/* sums (pairs, 3, 2) = q * kT of one head; k: `step` apart */
static void multiply_keys(const row_block *block, int32_t width, const int8_t *k, int32_t step,
                          int32_t pairs, int32_t *sums) {
  const int32_t whole = width & -LM_GROUP;
  if (whole == 0) {
    for (int32_t i = 0; i < pairs * 2 * ROWS; i++) sums[i] = 0;
  } else {
    set_products(block->q, block->rows, k, step, pairs, sums);
  }
  for (int32_t first = LM_GROUP; first < whole; first += LM_GROUP) {
    const lm_rows q = {block->q.data + first, block->q.stride};
    add_products(q, block->rows, k + first, step, pairs, sums);
  }
  if (whole == width) return;
  const lm_rows q = {block->q.data + whole, block->q.stride};
  for (int32_t pair = 0; pair < pairs; pair++) {
    add_tail(q, block->rows, k + 2 * pair * step + whole, step, width - whole,
             sums + pair * 2 * ROWS);
  }
}

/* Byte offsets of sums 0, 4, 8 and 12 of a row among (pairs, 3, 2), less 192. */
static const int32_t lanes_before[4] = {-192, -144, -96, -48};

/* Four sums of a row, scaled and saturated, into the bottom or top halves of TO. */
#define SCALE(SUMS, NARROW)                \
  "vldrw.32 q0, " SUMS "\n\t"              \
  "vqrdmulh.s32 q0, q0, %[multiplier]\n\t" \
  "vqdmulh.s32 q2, q0, %[is_shifted]\n\t"  \
  "vadd.i32 q0, q0, q2\n\t"                \
  "vrshl.s32 q0, %[right]\n\t" NARROW ", q0\n\t"

/* y[i] = saturate(requantize(sums[i]) + zero_point) xor flip; 35 instructions for 16 int8.
 *
 * VQDMULH by 1 is -1 for a negative x and else 0: the fix-up of LM_ROUNDING_SHIFT. */
static void finish_row(int32_t *sums, int32_t count, lm_requant requant, int32_t zero_point,
                       uint8_t flip, void *y) {
  __asm volatile(
      "vldrw.32 q7, [%[lanes]]\n\t"
      "vadd.i32 q7, q7, %[sums]\n\t"
      "vdup.8 q6, %[flip]\n\t"
      "wls lr, %[turns], 1f\n"
      "2:\n\t" SCALE("[q7, #192]!", "vqmovnb.s32 q4") SCALE("[q7, #24]", "vqmovnt.s32 q4")
          SCALE("[q7, #4]", "vqmovnb.s32 q5") SCALE("[q7, #28]", "vqmovnt.s32 q5")
      "vqadd.s16 q4, q4, %[zero_point]\n\t"
      "vqadd.s16 q5, q5, %[zero_point]\n\t"
      "vctp.8 %[n]\n\t"
      "vqmovnb.s16 q1, q4\n\t"
      "sub %[n], #16\n\t"
      "vqmovnt.s16 q1, q5\n\t"
      "veor q1, q1, q6\n\t"
      "vpst\n\t"
      "vstrbt.8 q1, [%[y]], #16\n\t"
      "le lr, 2b\n"
      "1:"
      : [y] "+&r"(y), [n] "+&r"(count)
      : [turns] "r"((count + 15) >> 4), [sums] "r"(sums), [lanes] "r"(lanes_before),
        [flip] "r"(flip), [multiplier] "r"(requant.multiplier), [right] "r"(requant.shift),
        [is_shifted] "r"(requant.shift < 0), [zero_point] "r"(zero_point)
      : "q0", "q1", "q2", "q4", "q5", "q6", "q7", LM_PREDICATE "lr", "memory");
}

/* Factors of 2 and more, which finish_row leaves out: sums of a row (pairs, 3, 2) shifted. */
static lm_requant shift_left(int32_t *sums, int32_t count, lm_requant requant) {
  if (requant.shift <= 0) return requant;
  for (int32_t i = 0; i < count; i++) {
    int32_t *sum = sums + (i >> 1) * 2 * ROWS + (i & 1);
    *sum = lm_shift_left(*sum, requant.shift);
  }
  const lm_requant rest = {requant.multiplier, 0};
  return rest;
}

/* Scores + 128 of all keys. k: one head's columns */
static void score_keys(const row_block *block, int32_t width, lm_rows k, lm_requant requant) {
  int32_t sums[KEYS * ROWS];
  for (int32_t key = 0; key < block->keys; key += KEYS) {
    const int32_t count = lm_min(KEYS, block->keys - key);
    const int32_t pairs = count >> 1;
    const int8_t *rows = k.data + key * k.stride;
    if (pairs > 0) multiply_keys(block, width, rows, k.stride, pairs, sums);
    if (count & 1) {
      multiply_keys(block, width, rows + (count - 1) * k.stride, 0, 1, sums + pairs * 2 * ROWS);
    }
    for (int32_t row = 0; row < block->rows; row++) {
      int32_t *row_sums = sums + 2 * row;
      finish_row(row_sums, count, shift_left(row_sums, count, requant), 0, 128,
                 block->scores + row * block->stride + key);
    }
  }
}

static void clear(uint8_t *bytes, int32_t count) {
  __asm volatile(
      "vmov.i32 q0, #0\n\t"
      "wlstp.8 lr, %[n], 1f\n"
      "2:\n\t"
      "vstrb.8 q0, [%[to]], #16\n\t"
      "letp lr, 2b\n"
      "1:"
      : [to] "+&r"(bytes)
      : [n] "r"(count)
      : "q0", "lr", "memory");
}

/* Byte offsets of 16 tokens of a column of `turned`, less a pair of columns. */
static const int32_t tokens_before[4] = {-8, 56, 120, 184};

#define TURNED_SETUP             \
  "vldrw.32 q7, [%[step]]\n\t" \
  "vadd.i32 q7, q7, %[w]\n\t"
#define TURNED_PAIR(MAC, BEFORE)                                                      \
  BEFORE "vldrw.32 q6, [q7, #8]!\n\t" MAC " r0, q0, q6\n\t" MAC " r4, q2, q6\n\t" MAC \
         " r8, q4, q6\n\t"                                                            \
         "vldrw.32 q6, [q7, #256]\n\t"                                                \
         "vmladava.s8 r0, q1, q6\n\t"                                                 \
         "vmladava.s8 r4, q3, q6\n\t"                                                 \
         "vmladava.s8 r8, q5, q6\n\t"                                                 \
         "vldrw.32 q6, [q7, #4]\n\t" MAC " r2, q0, q6\n\t" MAC " r6, q2, q6\n\t" MAC  \
         " r10, q4, q6\n\t"                                                           \
         "vldrw.32 q6, [q7, #260]\n\t"                                                \
         "vmladava.s8 r2, q1, q6\n\t"                                                 \
         "vmladava.s8 r6, q3, q6\n\t"                                                 \
         "vmladava.s8 r10, q5, q6\n\t"                                                \
         "stm %[sums]!, {r0, r2, r4, r6, r8, r10}\n\t"

/* sums (pairs of columns, 3, 2) = or += weights of 32 tokens * turned values */
static void set_values(lm_rows x, int32_t rows, const int32_t *w, int32_t pairs, int32_t *sums) {
  const int32_t left = LM_GROUP;
  const int32_t *step = tokens_before;
  LM_PRODUCTS(TURNED_SETUP, TURNED_PAIR("vmladav.s8", ""));
}

static void add_values(lm_rows x, int32_t rows, const int32_t *w, int32_t pairs, int32_t *sums) {
  const int32_t left = LM_GROUP;
  const int32_t *step = tokens_before;
  LM_PRODUCTS(TURNED_SETUP, TURNED_PAIR("vmladava.s8", LM_BEFORE_3));
}

/* y = weights * v of at most 16 columns, times the rows' mix. */
static void mix_columns(const row_block *block, lm_rows v, int32_t columns, const lm_requant *mix,
                        int32_t zero_point, int8_t *y, int32_t y_stride) {
  int32_t sums[COLUMNS * ROWS];
  int32_t turned[LM_GROUP * COLUMNS / 4]; /* (quads of tokens, columns, 4) bytes */
  const int32_t pairs = (columns + 1) >> 1;
  for (int32_t key = 0; key < block->keys; key += LM_GROUP) {
    const lm_rows values = {v.data + key * v.stride, v.stride};
    const lm_rows weights = {(const int8_t *)block->scores + key, block->stride};
    const int32_t tokens = block->keys - key;
    if (tokens >= LM_GROUP) {
      lm_turn_quads(values, v.stride, columns, LM_GROUP / 4, LM_TURNED_STEP, turned);
    } else {
      lm_turn_rest(values, tokens, columns, LM_TURNED_STEP, turned);
    }
    if (key == 0) {
      set_values(weights, block->rows, turned, pairs, sums);
    } else {
      add_values(weights, block->rows, turned, pairs, sums);
    }
  }
  for (int32_t row = 0; row < block->rows; row++) {
    int32_t *row_sums = sums + 2 * row;
    finish_row(row_sums, columns, shift_left(row_sums, columns, mix[row]), zero_point, 0,
               y + row * y_stride);
  }
}

static int32_t seen_keys(const lm_attention *p, const lm_attention_tile *tile, int32_t row) {
  return p->causal ? lm_min(tile->tokens, tile->row_start + row + 1) : tile->tokens;
}

static void attend(const lm_attention *p, const lm_attention_tile *tile, int8_t *y,
                   int32_t y_stride) {
  row_block block;
  block.stride = (tile->tokens + LM_GROUP - 1) & -LM_GROUP;
  block.scores = tile->scratch;
  for (int32_t row = 0; row < tile->rows; row += ROWS) {
    block.rows = lm_min(ROWS, tile->rows - row);
    block.keys = seen_keys(p, tile, row + block.rows - 1);
    for (int32_t head = 0; head < p->heads; head++) {
      const lm_requant requant = {p->score_multipliers[head], p->score_shifts[head]};
      const lm_rows k = {tile->k.data + head * p->head_width, tile->k.stride};
      block.q.data = tile->q.data + row * tile->q.stride + head * p->head_width;
      block.q.stride = tile->q.stride;
      score_keys(&block, p->head_width, k, requant);
      lm_requant mix[ROWS];
      for (int32_t i = 0; i < block.rows; i++) {
        uint8_t *weights = block.scores + i * block.stride;
        const int32_t keys = seen_keys(p, tile, row + i);
        mix[i] = lm_divide_requant(p->mix,
                                   lm_weigh_scores(p->exp_tables + head * 256, weights, keys));
        clear(weights + keys, block.stride - keys);
      }
      for (int32_t column = 0; column < p->value_width; column += COLUMNS) {
        const int32_t first = head * p->value_width + column;
        const lm_rows v = {tile->v.data + first, tile->v.stride};
        mix_columns(&block, v, lm_min(COLUMNS, p->value_width - column), mix, p->zero_point,
                    y + row * y_stride + first, y_stride);
      }
    }
  }
}

void lm_attention_s8_s8_mve(const lm_attention *p, const lm_attention_tile *tile, int8_t *y,
                            int32_t y_stride) {
  const int32_t rows = lm_band_rows(p, tile);
  for (int32_t row = 0; row < tile->rows; row += rows) {
    const lm_attention_tile band = lm_band_tile(p, tile, row);
    attend(p, &band, y + row * y_stride, y_stride);
  }
}
