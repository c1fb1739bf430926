/* SPDX-License-Identifier: Apache-2.0
 * Attention by CMSIS-NN's batch matmul and softmax, which take dense matrices and, on the right of a
 * product, transposed ones: 16 rows by 16 keys, and by 16 columns of the values, at a time. */
#include "arm_nnfunctions.h"
#include "../kernels.h"

enum { BLOCK = 16 };

/* Scratch of a call, in this order. */
typedef struct {
  int32_t *sums;   /* (16): what batch matmul needs on cores with Helium */
  int8_t *product; /* (16, 16) */
  int8_t *queries; /* (16, head_width) */
  int8_t *keys;    /* (16, head_width) */
  int8_t *weights; /* (16, tokens) */
  int8_t *scores;  /* (16, tokens), until the weights are made */
  int8_t *values;  /* (16, tokens), from then on in the same place: transposed */
} buffers;

static buffers buffers_in(void *scratch, int32_t head_width, int32_t tokens) {
  buffers b;
  b.sums = scratch;
  b.product = (int8_t *)(b.sums + BLOCK);
  b.queries = b.product + BLOCK * BLOCK;
  b.keys = b.queries + BLOCK * head_width;
  b.weights = b.keys + BLOCK * head_width;
  b.scores = b.weights + BLOCK * tokens;
  b.values = b.scores;
  return b;
}

/* The rows themselves where nothing lies between them, else a copy. */
static const int8_t *dense(lm_rows x, int32_t rows, int32_t columns, int8_t *copy) {
  if (x.stride == columns) return x.data;
  lm_copy_rows(x, rows, columns, copy, columns);
  return copy;
}

/* (rows, columns) to (columns, rows) */
static void transpose(lm_rows x, int32_t rows, int32_t columns, int8_t *y) {
  for (int32_t column = 0; column < columns; column++) {
    for (int32_t row = 0; row < rows; row++) *y++ = x.data[row * x.stride + column];
  }
}

/* A dense int8 matrix. */
typedef struct {
  const int8_t *data;
  int32_t rows;
  int32_t offset; /* minus its zero point */
} matrix;

/* product = clamp8(requantize(left * rightT) + zero_point), over `depth` columns */
static void multiply(matrix left, matrix right, int32_t depth, lm_requant scale,
                     int32_t zero_point, const buffers *b) {
  const cmsis_nn_context context = {.buf = b->sums, .size = BLOCK * (int32_t)sizeof *b->sums};
  const cmsis_nn_bmm_params params = {
      .adj_x = false,
      .adj_y = false,
      .fc_params = {.input_offset = left.offset,
                    .filter_offset = right.offset,
                    .output_offset = zero_point,
                    .activation = {INT8_MIN, INT8_MAX}},
  };
  const cmsis_nn_per_tensor_quant_params quant = {scale.multiplier, scale.shift};
  const cmsis_nn_dims left_dims = {1, 1, left.rows, depth};
  const cmsis_nn_dims right_dims = {1, 1, right.rows, depth};
  const cmsis_nn_dims product_dims = {1, 1, left.rows, right.rows};
  arm_batch_matmul_s8(&context, &params, &quant, &left_dims, left.data, &right_dims, right.data,
                      &product_dims, b->product);
}

static lm_rows rows_from(lm_rows x, int32_t row, int32_t column) {
  const lm_rows rows = {x.data + row * x.stride + column, x.stride};
  return rows;
}

/* scores = q * kT of one head; q: (rows, head_width), at most 16 rows; k: (tokens, head_width) */
static void score_keys(const lm_normalized_attention *p, int32_t head, lm_rows q, int32_t rows,
                       lm_rows k, int32_t tokens, const buffers *b) {
  const int32_t width = p->head_width;
  const lm_requant scale = {p->score_multipliers[head], p->score_shifts[head]};
  const matrix queries = {dense(q, rows, width, b->queries), rows, 0};
  for (int32_t key = 0; key < tokens; key += BLOCK) {
    const int32_t count = lm_min(BLOCK, tokens - key);
    const matrix keys = {dense(rows_from(k, key, 0), count, width, b->keys), count, 0};
    multiply(queries, keys, width, scale, 0, b);
    lm_copy_rows((lm_rows){b->product, count}, rows, count, b->scores + key, tokens);
  }
}

/* y = weights * v of one head; v: (tokens, value_width), y: (rows, value_width) */
static void mix_values(const lm_normalized_attention *p, lm_rows v, int32_t tokens, int32_t rows,
                       int8_t *y, int32_t y_stride, const buffers *b) {
  const matrix weights = {b->weights, rows, 128};
  for (int32_t column = 0; column < p->value_width; column += BLOCK) {
    const int32_t count = lm_min(BLOCK, p->value_width - column);
    transpose(rows_from(v, 0, column), tokens, count, b->values);
    const matrix values = {b->values, count, 0};
    multiply(weights, values, tokens, p->mix, p->zero_point, b);
    lm_copy_rows((lm_rows){b->product, count}, rows, count, y + column, y_stride);
  }
}

void lm_normalized_attention_s8_s8_cmsis(const lm_normalized_attention *p,
                                         const lm_attention_tile *tile, int8_t *y,
                                         int32_t y_stride) {
  const int32_t tokens = tile->tokens;
  const buffers b = buffers_in(tile->scratch, p->head_width, tokens);
  for (int32_t head = 0; head < p->heads; head++) {
    const lm_rows k = rows_from(tile->k, 0, head * p->head_width);
    const lm_rows v = rows_from(tile->v, 0, head * p->value_width);
    for (int32_t row = 0; row < tile->rows; row += BLOCK) {
      const int32_t rows = lm_min(BLOCK, tile->rows - row);
      score_keys(p, head, rows_from(tile->q, row, head * p->head_width), rows, k, tokens, &b);
      arm_softmax_s8(b.scores, rows, tokens, p->softmax_multipliers[head],
                     p->softmax_shifts[head], p->smallest_differences[head], b.weights);
      mix_values(p, v, tokens, rows, y + row * y_stride + head * p->value_width, y_stride, &b);
    }
  }
}
