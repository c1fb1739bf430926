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

/* The columns of a 4 x 4 matrix of bytes. */
typedef struct {
  uint32_t a, b, c, d;
} four_words;

static inline four_words load_columns(const int8_t *from, int32_t stride) {
  const uint32_t even = 0x00FF00FFu, low = 0xFFFFu;
  const uint32_t row_0 = load_word(from), row_1 = load_word(from + stride);
  const uint32_t row_2 = load_word(from + 2 * stride), row_3 = load_word(from + 3 * stride);
  const uint32_t upper_even = (row_0 & even) | (row_1 & even) << 8;
  const uint32_t upper_odd = (row_0 >> 8 & even) | (row_1 & ~even);
  const uint32_t lower_even = (row_2 & even) | (row_3 & even) << 8;
  const uint32_t lower_odd = (row_2 >> 8 & even) | (row_3 & ~even);
  return (four_words){
      .a = (upper_even & low) | lower_even << 16,
      .b = (upper_odd & low) | lower_odd << 16,
      .c = upper_even >> 16 | (lower_even & ~low),
      .d = upper_odd >> 16 | (lower_odd & ~low),
  };
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

/* The weights of 4 outputs and 8 inputs, some or all of which are not known. */
static code_writer put_edge(code_writer out, const weight_source *from, int32_t output,
                            int32_t input) {
  for (int32_t i = output; i < output + WORD; i++) {
    put_codes(&out, edge_word(from, i, input));
    put_codes(&out, edge_word(from, i, input + WORD));
  }
  return out;
}

/* The weights of 4 outputs and 8 inputs; from: a row an output. */
static inline code_writer put_rows(code_writer out, const int8_t *from, int32_t stride) {
  for (int32_t i = 0; i < WORD; i++) {
    put_codes(&out, load_word(from + i * stride));
    put_codes(&out, load_word(from + i * stride + WORD));
  }
  return out;
}

/* The same; from: a row an input. */
static inline code_writer put_columns(code_writer out, const int8_t *from, int32_t stride) {
  const four_words first = load_columns(from, stride);
  const four_words second = load_columns(from + WORD * stride, stride);
  put_codes(&out, first.a);
  put_codes(&out, second.a);
  put_codes(&out, first.b);
  put_codes(&out, second.b);
  put_codes(&out, first.c);
  put_codes(&out, second.c);
  put_codes(&out, first.d);
  put_codes(&out, second.d);
  return out;
}

static inline code_writer put_tile(code_writer out, const weight_source *from, int32_t output,
                                   int32_t input) {
  const int32_t stride = from->x.stride;
  if (output + WORD > from->outputs || input + INPUT_STEP > from->inputs) {
    return put_edge(out, from, output, input);
  }
  return from->are_turned ? put_columns(out, from->x.data + input * stride + output, stride)
                          : put_rows(out, from->x.data + output * stride + input, stride);
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
            out = put_tile(out, &from, output, input);
          }
        }
      }
    }
  }
  const uint32_t end_and_padding = ~0u << 4; /* three bits set, and whatever follows too */
  *out.next++ = out.waiting | end_and_padding;
  uint32_t *const behind = (uint32_t *)(void *)(stream + shape->bytes);
  while (out.next < behind) *out.next++ = UINT32_MAX;
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
  uint8_t *const scores = stream + stream_bytes;
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
      uint8_t *const own = scores + row * p->keys;
      totals[row] = lm_npu_weigh(a->exp_tables + head * 256, own, seen);
      memset(own + seen, 0, (size_t)(p->keys - seen));
    }
    lm_npu_pack_weights(&p->sums, v, tile->tokens, true, stream);
    if (!multiply(p, a->heads, scores, score_bytes, stream, p->sums.bytes, sums, sum_bytes)) {
      return false;
    }
    for (int32_t row = 0; row < tile->rows; row++) {
      lm_npu_scale(sums + row * a->value_width, a->value_width,
                   lm_divide_requant(a->mix, totals[row]), a->zero_point,
                   y + row * y_stride + head * a->value_width);
    }
  }
  return true;
}
