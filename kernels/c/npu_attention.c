/* SPDX-License-Identifier: Apache-2.0
 * Weight streams made at run time, and attention by them. */
#include "npu_attention.h"

#include <string.h>

enum { INPUT_BLOCK = 32, INPUT_STEP = 8, WORD = 4 };

/* Codes begin in the middle of a byte: the upper bits of each word wait for the next. */
typedef struct {
  uint32_t *next;
  uint32_t waiting;
} code_writer;

/* Four weights, the first in the lowest byte. */
static inline uint32_t load_word(const int8_t *from) {
  uint32_t word;
  memcpy(&word, from, sizeof word);
  return word;
}

/* Magnitude and sign of four weights, each of -127 ... 127. */
static inline void put_codes(code_writer *out, uint32_t weights) {
  const uint32_t signs = weights >> 7 & 0x01010101u;
  const uint32_t magnitudes = (weights ^ ((signs << 8) - signs)) + signs;
  const uint32_t codes = magnitudes << 1 | signs;
  *out->next++ = out->waiting | codes << 4;
  out->waiting = codes >> 28;
}

/* Rows of a 4 x 4 matrix of bytes become columns. */
static inline void turn(uint32_t w[WORD]) {
  const uint32_t even = 0x00FF00FFu, low = 0xFFFFu;
  const uint32_t a = (w[0] & even) | (w[1] & even) << 8, b = (w[0] >> 8 & even) | (w[1] & ~even);
  const uint32_t c = (w[2] & even) | (w[3] & even) << 8, d = (w[2] >> 8 & even) | (w[3] & ~even);
  w[0] = (a & low) | c << 16;
  w[1] = (b & low) | d << 16;
  w[2] = a >> 16 | (c & ~low);
  w[3] = b >> 16 | (d & ~low);
}

/* One slice of `weights` codes of 8 bits: 36 bits of header. */
static code_writer put_header(uint32_t *stream, uint32_t weights) {
  const uint32_t no_runs = 6, uncompressed = 7, new_palette = 1, palette_bits = 8 - 2;
  *stream = no_runs | (weights - 1) << 3 | uncompressed << 18 | new_palette << 22;
  return (code_writer){.next = stream + 1, .waiting = palette_bits << 1};
}

/* What is packed, and from where: weights behind the outputs or inputs that are known are 0. */
typedef struct {
  lm_rows x;
  int32_t outputs;
  int32_t inputs;
  bool are_turned;
} weight_source;

static uint32_t edge_word(const weight_source *from, int32_t output, int32_t input) {
  uint32_t word = 0;
  if (output >= from->outputs) return word;
  for (int32_t i = 0; i < WORD && input + i < from->inputs; i++) {
    const int32_t row = from->are_turned ? input + i : output;
    const int32_t column = from->are_turned ? output : input + i;
    word |= (uint32_t)(uint8_t)from->x.data[row * from->x.stride + column] << (8 * i);
  }
  return word;
}

/* The weights of 4 outputs and 8 inputs, as words (2, 4 outputs). */
static void load_tile(const weight_source *from, int32_t output, int32_t input, uint32_t *words) {
  const bool is_inside = output + WORD <= from->outputs && input + INPUT_STEP <= from->inputs;
  for (int32_t half = 0; half < INPUT_STEP / WORD; half++) {
    uint32_t *const own = words + WORD * half;
    const int32_t first = input + WORD * half;
    const int32_t row = from->are_turned ? first : output, column = from->are_turned ? output : first;
    const int8_t *const start = from->x.data + row * from->x.stride + column;
    for (int32_t i = 0; i < WORD; i++) {
      own[i] = is_inside ? load_word(start + i * from->x.stride)
                         : edge_word(from, output + i, first);
    }
    if (is_inside && from->are_turned) turn(own);
  }
}

void lm_npu_pack_weights(const lm_npu_weights *shape, lm_rows x, int32_t rows, bool are_turned,
                         uint8_t *stream) {
  const int32_t outputs = shape->outputs, inputs = shape->inputs, micro = shape->micro_depth;
  const weight_source from = {
      .x = x,
      .outputs = are_turned ? outputs : lm_min(outputs, rows),
      .inputs = are_turned ? lm_min(inputs, rows) : inputs,
      .are_turned = are_turned,
  };
  const int32_t all_outputs = (outputs + micro - 1) / micro * micro;
  const int32_t all_inputs = (inputs + INPUT_BLOCK - 1) / INPUT_BLOCK * INPUT_BLOCK;
  code_writer out = put_header((uint32_t *)(void *)stream, (uint32_t)(all_outputs * all_inputs));
  for (int32_t block = 0; block < outputs; block += shape->block_depth) {
    const int32_t block_end = lm_min(block + shape->block_depth, outputs);
    for (int32_t input_block = 0; input_block < inputs; input_block += INPUT_BLOCK) {
      for (int32_t first = block; first < block_end; first += micro) {
        for (int32_t input = input_block; input < input_block + INPUT_BLOCK; input += INPUT_STEP) {
          for (int32_t output = first; output < first + micro; output += WORD) {
            uint32_t words[INPUT_STEP];
            load_tile(&from, output, input, words);
            for (int32_t i = 0; i < WORD; i++) {
              put_codes(&out, words[i]);
              put_codes(&out, words[WORD + i]);
            }
          }
        }
      }
    }
  }
  const uint32_t end = 7, padding = 0xFFFFFF00u;
  *out.next++ = out.waiting | end << 4 | padding;
  uint32_t *const behind = (uint32_t *)(void *)(stream + shape->bytes);
  while (out.next < behind) *out.next++ = UINT32_MAX;
}

/* weights = exp_table[largest score - score], 0 behind the keys; returns their sum. In place. */
static int32_t weigh(const uint8_t *exp_table, int8_t *scores, int32_t keys, int32_t all_keys) {
  int32_t largest = INT8_MIN, total = 0;
  for (int32_t key = 0; key < keys; key++) largest = lm_max(largest, scores[key]);
  for (int32_t key = 0; key < keys; key++) {
    const uint8_t weight = exp_table[largest - scores[key]];
    scores[key] = (int8_t)weight;
    total += weight;
  }
  for (int32_t key = keys; key < all_keys; key++) scores[key] = 0;
  return total;
}

static void scale(const lm_attention *p, const int32_t *sums, int32_t total, int8_t *y) {
  const lm_requant mix = lm_divide_requant(p->mix, total);
  for (int32_t column = 0; column < p->value_width; column++) {
    const int32_t scaled = lm_requantize(sums[column], mix.multiplier, mix.shift);
    y[column] = (int8_t)lm_clamp_from_zero_point(scaled, p->zero_point, INT8_MIN, INT8_MAX);
  }
}

/* stream: keys or values of a head as weights; x times them. */
static bool multiply(const lm_npu_attention *p, int32_t job, const void *x, uint32_t x_bytes,
                     const uint8_t *stream, uint32_t stream_bytes, void *y, uint32_t y_bytes) {
  void *const bases[] = {(void *)(uintptr_t)p->constants, (void *)(uintptr_t)x,
                         (void *)(uintptr_t)stream, y};
  const uint32_t bytes[] = {p->constant_bytes, x_bytes, stream_bytes, y_bytes};
  return lm_npu_run(&p->jobs[job], bases, bytes);
}

bool lm_npu_attention_s8_s8(const lm_npu_attention *p, const lm_attention_tile *tile, int8_t *y,
                            int32_t y_stride) {
  const lm_attention *a = p->attention;
  const uint32_t rows = (uint32_t)p->rows, keys = (uint32_t)p->keys;
  const uint32_t value_width = (uint32_t)a->value_width;
  const uint32_t stream_bytes = p->scores.bytes > p->sums.bytes ? p->scores.bytes : p->sums.bytes;
  const uint32_t score_bytes = rows * keys, sum_bytes = 4 * rows * value_width;
  const uint32_t q_bytes = (rows - 1) * (uint32_t)tile->q.stride +
                           (uint32_t)(a->heads * a->head_width);
  uint8_t *const stream = tile->scratch;
  int8_t *const scores = (int8_t *)stream + stream_bytes;
  int32_t *const sums = (int32_t *)(void *)(scores + score_bytes);
  int32_t *const totals = sums + rows * value_width;
  for (int32_t head = 0; head < a->heads; head++) {
    const lm_rows k = {tile->k.data + head * a->head_width, tile->k.stride};
    const lm_rows v = {tile->v.data + head * a->value_width, tile->v.stride};
    lm_npu_pack_weights(&p->scores, k, tile->tokens, false, stream);
    if (!multiply(p, head, tile->q.data, q_bytes, stream, p->scores.bytes, scores, score_bytes)) {
      return false;
    }
    for (int32_t row = 0; row < tile->rows; row++) {
      const int32_t seen =
          a->causal ? lm_min(tile->tokens, tile->row_start + row + 1) : tile->tokens;
      totals[row] = weigh(a->exp_tables + head * 256, scores + row * p->keys, seen, p->keys);
    }
    lm_npu_pack_weights(&p->sums, v, tile->tokens, true, stream);
    if (!multiply(p, a->heads, scores, score_bytes, stream, p->sums.bytes, sums, sum_bytes)) {
      return false;
    }
    for (int32_t row = 0; row < tile->rows; row++) {
      scale(a, sums + row * a->value_width, totals[row],
            y + row * y_stride + head * a->value_width);
    }
  }
  return true;
}
