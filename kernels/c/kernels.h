/* SPDX-License-Identifier: Apache-2.0
 * The kernels of lm2mcu: no heap, no globals, no floating point. The caller owns all memory.
 *
 * What an op computes, to the bit, is `evalInteger` of its row in toolchain/ops. Names say
 * lm_<family>_<input>_<output>[_<isa>]; variants of a kernel have the same signature and the same
 * bits, and kernels.json says which core may call which and how much scratch it needs.
 *
 * Strides count elements from a row to the next, so a matrix may be a range of columns of a wider
 * one. No pointer needs more alignment than its type. Inputs and outputs must not overlap, except
 * where an output "may be" an input: then base and stride are equal. */
#ifndef LM_KERNELS_H
#define LM_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "fixed_point.h"

/* A matrix of int8 activations, or a column range of one. */
typedef struct {
  const int8_t *data; /* (rows, columns) */
  int32_t stride;
} lm_rows;

/* The same of int16. */
typedef struct {
  const int16_t *data; /* (rows, columns) */
  int32_t stride;
} lm_wide_rows;

/* Rows first ... first + rows - 1 of a matrix of `tokens` rows, which comes in blocks, in order. What
 * is known of it so far is in `carry`; the block that ends it writes the result. */
typedef struct {
  lm_rows x; /* the block's rows */
  int32_t first;
  int32_t rows;
  int32_t tokens;
  int32_t *carry;
} lm_block;

/* y = table[clamp(requantize(bias + sum x * w) + zero_point)]; the sum must stay in int32:
 * |bias| <= 2^30 and inputs <= 32,768. */
typedef struct {
  int32_t inputs;
  int32_t outputs;
  const int8_t *weights;      /* (outputs, inputs), packed as kernels.json says; aligned to 4 */
  const int32_t *bias;        /* (outputs), holds -zero_point(x) * sum w */
  const int32_t *multipliers; /* (outputs), 0 or 2^30 ... 2^31 - 1 */
  const int8_t *shifts;       /* (outputs), -31 ... 30 */
  int32_t zero_point;
  int32_t min; /* within the output type; -128 ... 127 with a table */
  int32_t max;
  const int8_t *table; /* (256), by value + 128; NULL: none */
  int32_t most_sum;    /* no |bias + sum x * w| of int8 x is larger */
  int8_t least_shift;  /* of all outputs */
  int8_t most_shift;
} lm_linear;

/* x: (rows, inputs), y: (rows, outputs); scratch: aligned to 4 bytes. */
void lm_linear_s8_s8(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y, int32_t y_stride,
                     void *scratch);
void lm_linear_s8_s16(const lm_linear *p, lm_rows x, int32_t rows, int16_t *y, int32_t y_stride,
                      void *scratch);

void lm_linear_s8_s8_dsp(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y, int32_t y_stride,
                         void *scratch);
void lm_linear_s8_s16_dsp(const lm_linear *p, lm_rows x, int32_t rows, int16_t *y,
                          int32_t y_stride, void *scratch);

void lm_linear_rows_s8_s8_dsp(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y,
                              int32_t y_stride, void *scratch);
void lm_linear_rows_s8_s16_dsp(const lm_linear *p, lm_rows x, int32_t rows, int16_t *y,
                               int32_t y_stride, void *scratch);

void lm_linear_triples_s8_s8_dsp(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y,
                                 int32_t y_stride, void *scratch);
void lm_linear_triples_s8_s16_dsp(const lm_linear *p, lm_rows x, int32_t rows, int16_t *y,
                                  int32_t y_stride, void *scratch);

void lm_linear_s8_s8_mve(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y, int32_t y_stride,
                         void *scratch);
void lm_linear_s8_s16_mve(const lm_linear *p, lm_rows x, int32_t rows, int16_t *y,
                          int32_t y_stride, void *scratch);

void lm_linear_rows_s8_s8_mve(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y,
                              int32_t y_stride, void *scratch);
void lm_linear_rows_s8_s16_mve(const lm_linear *p, lm_rows x, int32_t rows, int16_t *y,
                               int32_t y_stride, void *scratch);

/* Of models for CMSIS-NN: no requantized sum is within 256 of the ends of int32. */
void lm_linear_s8_s8_cmsis(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y,
                           int32_t y_stride, void *scratch);

/* int16 inputs: at most 256 of them */
void lm_linear_s16_s8(const lm_linear *p, lm_wide_rows x, int32_t rows, int8_t *y, int32_t y_stride,
                      void *scratch);
void lm_linear_s16_s16(const lm_linear *p, lm_wide_rows x, int32_t rows, int16_t *y,
                       int32_t y_stride, void *scratch);
void lm_linear_s16_s8_dsp(const lm_linear *p, lm_wide_rows x, int32_t rows, int8_t *y,
                          int32_t y_stride, void *scratch);
void lm_linear_s16_s8_mve(const lm_linear *p, lm_wide_rows x, int32_t rows, int8_t *y,
                          int32_t y_stride, void *scratch);

/* The same with weights of 4 bits: -8 ... 7, of the Helium kernels -7 ... 7. */
void lm_linear_w4_s8_s8(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y, int32_t y_stride,
                        void *scratch);
void lm_linear_w4_s8_s16(const lm_linear *p, lm_rows x, int32_t rows, int16_t *y,
                         int32_t y_stride, void *scratch);
void lm_linear_w4_s16_s8(const lm_linear *p, lm_wide_rows x, int32_t rows, int8_t *y,
                         int32_t y_stride, void *scratch);

void lm_linear_w4_s8_s8_dsp(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y,
                            int32_t y_stride, void *scratch);
void lm_linear_w4_s8_s16_dsp(const lm_linear *p, lm_rows x, int32_t rows, int16_t *y,
                             int32_t y_stride, void *scratch);
void lm_linear_w4_s16_s8_dsp(const lm_linear *p, lm_wide_rows x, int32_t rows, int8_t *y,
                             int32_t y_stride, void *scratch);

void lm_linear_w4_s8_s8_mve(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y,
                            int32_t y_stride, void *scratch);
void lm_linear_w4_s8_s16_mve(const lm_linear *p, lm_rows x, int32_t rows, int16_t *y,
                             int32_t y_stride, void *scratch);
void lm_linear_w4_s16_s8_mve(const lm_linear *p, lm_wide_rows x, int32_t rows, int8_t *y,
                             int32_t y_stride, void *scratch);

/* Unnormalised attention of a group of heads: column ranges, side by side. */
typedef struct {
  int32_t heads;
  int32_t head_width;  /* columns of q and k a head has */
  int32_t value_width; /* columns of v and y a head has */
  bool causal;         /* the query at token t sees keys 0 ... t */
  int32_t reach;       /* and only keys t - reach ... t + reach; -1: all; below 2^24 */
  const int32_t *score_multipliers; /* (heads) */
  const int8_t *score_shifts;       /* (heads) */
  const uint8_t *exp_tables;        /* (heads, 256), 0 ... 127, entry 0 at least 1 */
  lm_requant mix;                   /* scale(v) / scale(y) */
  int32_t zero_point;
} lm_attention;

/* A row tile of queries and the keys and values of all tokens (at most 2^17). */
typedef struct {
  int32_t rows;
  int32_t row_start; /* the token of the first query */
  int32_t tokens;
  lm_rows q; /* (rows, heads * head_width) */
  lm_rows k; /* (tokens, heads * head_width) */
  lm_rows v; /* (tokens, heads * value_width) */
  void *scratch; /* aligned to 4 bytes */
} lm_attention_tile;

/* y: (rows, heads * value_width); may be q if value_width = head_width. */
void lm_attention_s8_s8(const lm_attention *p, const lm_attention_tile *tile, int8_t *y,
                        int32_t y_stride);

void lm_attention_s8_s8_dsp(const lm_attention *p, const lm_attention_tile *tile, int8_t *y,
                            int32_t y_stride);
void lm_attention_s8_s8_mve(const lm_attention *p, const lm_attention_tile *tile, int8_t *y,
                            int32_t y_stride);

/* Attention with a softmax in int8, zero point -128, worth 1/256: TFLite's (softmax.h). */
typedef struct {
  int32_t heads;
  int32_t head_width;                  /* columns of q and k a head has */
  int32_t value_width;                 /* columns of v and y a head has */
  const int32_t *score_multipliers;    /* (heads) */
  const int8_t *score_shifts;          /* (heads) */
  const int32_t *softmax_multipliers;  /* (heads) */
  const int8_t *softmax_shifts;        /* (heads), 0 ... 30 */
  const int32_t *smallest_differences; /* (heads) */
  lm_requant mix;                      /* scale(v) / 256 / scale(y) */
  int32_t zero_point;
} lm_normalized_attention;

/* At most 511 tokens. y: (rows, heads * value_width); may not be q. */
void lm_normalized_attention_s8_s8(const lm_normalized_attention *p, const lm_attention_tile *tile,
                                   int8_t *y, int32_t y_stride);
void lm_normalized_attention_s8_s8_cmsis(const lm_normalized_attention *p,
                                         const lm_attention_tile *tile, int8_t *y,
                                         int32_t y_stride);

/* Attention that has its input x as keys and as values, for all heads. */
typedef struct {
  int32_t heads;
  int32_t width; /* columns of x, and of a head's u and y; at most 256 */
  const int32_t *score_multipliers; /* (heads) */
  const int8_t *score_shifts;       /* (heads) */
  const uint8_t *exp_tables;        /* (heads, 256), 0 ... 127, entry 0 at least 1 */
  const int16_t *rescale_tables;    /* (heads, 256), Q15, at least 0 */
  int32_t zero_point;               /* of x */
  lm_requant mix;                   /* scale(x) / scale(y) */
} lm_attend_inputs;

/* Blocks of x have a multiple of this many rows, but for the last. */
#define LM_ATTEND_BLOCK 16

/* u, y: (rows, heads * width), y may be u; x: (tokens, width) in blocks, carry: (rows, heads,
 * width + 2); at most 2^15 tokens; scratch: aligned to 4 bytes */
void lm_attend_inputs_s16_s16(const lm_attend_inputs *p, lm_wide_rows u, int32_t rows,
                              const lm_block *x, void *scratch, int16_t *y, int32_t y_stride);
void lm_attend_inputs_s16_s16_dsp(const lm_attend_inputs *p, lm_wide_rows u, int32_t rows,
                                  const lm_block *x, void *scratch, int16_t *y,
                                  int32_t y_stride);
void lm_attend_inputs_s16_s16_mve(const lm_attend_inputs *p, lm_wide_rows u, int32_t rows,
                                  const lm_block *x, void *scratch, int16_t *y,
                                  int32_t y_stride);

/* Attention of a decoder: a query sees the keys up to its own token. Heads share keys and values in
 * groups of heads / key_value_heads, side by side. */
typedef struct {
  int32_t heads;
  int32_t key_value_heads;
  int32_t head_width;  /* columns of q and k a head has */
  int32_t value_width; /* columns of v and y a head has */
  const int32_t *score_multipliers; /* (heads), at least 0 */
  const uint8_t *exp_tables;        /* (heads, 256), 0 ... 127, entry 0 at least 1 */
  lm_requant mix;                   /* scale(v) / scale(y) */
  int32_t zero_point;
} lm_causal_attention;

/* A row tile of queries, and the keys and values of all tokens up to its end (at most 2^17). */
typedef struct {
  int32_t rows;
  int32_t row_start; /* the token of the first query */
  lm_rows q; /* (rows, heads * head_width) */
  lm_rows k; /* (row_start + rows, key_value_heads * head_width) */
  lm_rows v; /* (key_value_heads * value_width, row_start + rows): turned; behind the last token of a
              * column up to 15 bytes are read */
  void *scratch; /* aligned to 4 bytes */
} lm_causal_tile;

/* y: (rows, heads * value_width); may not be q. */
void lm_causal_attention_s8_s8(const lm_causal_attention *p, const lm_causal_tile *tile,
                               int8_t *y, int32_t y_stride);

void lm_causal_attention_s8_s8_dsp(const lm_causal_attention *p, const lm_causal_tile *tile,
                                   int8_t *y, int32_t y_stride);
void lm_causal_attention_s8_s8_mve(const lm_causal_attention *p, const lm_causal_tile *tile,
                                   int8_t *y, int32_t y_stride);

/* The same with a cache that keeps, of the tokens that left its ring, those that were looked at most. */
typedef struct {
  lm_causal_attention attention;
  int32_t rows;   /* of the cache: at most 2^17 */
  int32_t pinned; /* of them, for tokens that left the ring: 1 ... rows - 1 */
  int32_t steps;  /* the latest queries, which alone count; 0: all count */
} lm_heavy_attention;

/* One query, whose key and value are in the cache. Afterwards there is room for the next token's. */
typedef struct {
  int32_t token;
  const int8_t *q; /* (heads * head_width) */
  int8_t *keys;    /* (rows, key_value_heads * head_width) */
  int32_t key_stride;
  int8_t *values; /* (key_value_heads * value_width, rows): turned */
  int32_t value_stride;
  int32_t *scores; /* (key_value_heads, rows), then uint16 (steps, key_value_heads, rows); token 0
                    * begins them anew */
  void *scratch;   /* aligned to 4 bytes */
} lm_heavy_row;

/* y: (heads * value_width) */
void lm_heavy_attention_s8_s8(const lm_heavy_attention *p, const lm_heavy_row *row, int8_t *y);

/* Each two columns of x turned by an angle, then scaled: (u * multiplier / 2^32) / 2^shift. */
typedef struct {
  int32_t heads;
  int32_t head_width;   /* even */
  int32_t multiplier;   /* 0 or 2^30 ... 2^31 - 1 */
  int32_t shift;        /* 0 ... 30 */
  const int16_t *table; /* (tokens, head_width): cosine and sine in Q14, a pair a turn */
} lm_rotary;

/* x, y: (rows, heads * head_width); row_start: the token of the first row */
void lm_rotary_s16_s8(const lm_rotary *p, lm_wide_rows x, int32_t rows, int32_t row_start,
                      int8_t *y, int32_t y_stride);
void lm_rotary_s16_s8_dsp(const lm_rotary *p, lm_wide_rows x, int32_t rows, int32_t row_start,
                          int8_t *y, int32_t y_stride);
void lm_rotary_s16_s8_mve(const lm_rotary *p, lm_wide_rows x, int32_t rows, int32_t row_start,
                          int8_t *y, int32_t y_stride);

/* y = clamp(table[gate] * (up - zero_point_up) * multiplier / 2^32 + zero_point) */
typedef struct {
  int32_t width;
  const int16_t *table; /* (256), by gate + 128 */
  int32_t zero_point_up;
  int32_t multiplier; /* at least 0 */
  int32_t zero_point;
} lm_gated_product;

/* gate, up, y: (rows, width); y may be gate or up. */
void lm_gated_product_s8_s8(const lm_gated_product *p, lm_rows gate, lm_rows up, int32_t rows,
                            int8_t *y, int32_t y_stride);
void lm_gated_product_s8_s8_dsp(const lm_gated_product *p, lm_rows gate, lm_rows up, int32_t rows,
                                int8_t *y, int32_t y_stride);
void lm_gated_product_s8_s8_mve(const lm_gated_product *p, lm_rows gate, lm_rows up, int32_t rows,
                                int8_t *y, int32_t y_stride);

/* y = clamp((a * multiplier_a / 2^16 + b * multiplier_b / 2^16 + 2^(shift - 1)) / 2^shift) */
typedef struct {
  int32_t width;
  int32_t multiplier_a; /* 0 ... 2^30 */
  int32_t multiplier_b;
  int32_t shift; /* 1 ... 14 */
} lm_residual_add;

/* a, b, y: (rows, width); y may be a or b. */
void lm_residual_add_s16_s16(const lm_residual_add *p, lm_wide_rows a, lm_wide_rows b,
                             int32_t rows, int16_t *y, int32_t y_stride);
void lm_residual_add_s16_s16_dsp(const lm_residual_add *p, lm_wide_rows a, lm_wide_rows b,
                                 int32_t rows, int16_t *y, int32_t y_stride);
void lm_residual_add_s16_s16_mve(const lm_residual_add *p, lm_wide_rows a, lm_wide_rows b,
                                 int32_t rows, int16_t *y, int32_t y_stride);

/* y = clamp((a * multiplier + (b - zero_point_b) * gamma + offset) >> shift) */
typedef struct {
  int32_t width;
  int32_t multiplier;   /* at most 2^21, like those of gamma */
  const int32_t *gamma; /* (width) */
  int32_t zero_point_b;
  int32_t offset; /* rounding half and zero points, at most 2^30 */
  int32_t shift;  /* 1 ... 21 */
  int32_t min;
  int32_t max;
} lm_scaled_add;

/* a, b, y: (rows, width); an int8 y may be a or b. */
void lm_scaled_add_s8_s8(const lm_scaled_add *p, lm_rows a, lm_rows b, int32_t rows, int8_t *y,
                         int32_t y_stride);
void lm_scaled_add_s8_s16(const lm_scaled_add *p, lm_rows a, lm_rows b, int32_t rows, int16_t *y,
                          int32_t y_stride);

/* y = (x * width / sqrt(width * sum x^2 + epsilon) * gamma + offset) >> out_shift; width at most
 * 2^14 */
typedef struct {
  int32_t width;
  int64_t epsilon;      /* in squared units, below 2^53 */
  int32_t fraction;     /* bits of the normalized value below the point */
  int32_t out_shift;    /* 1 ... 22 */
  int32_t offset;       /* the rounding half and the zero point */
  int32_t min;          /* within the output type */
  int32_t max;
  const int16_t *gamma; /* (width) */
} lm_rms_norm;

/* x, y: (rows, width) */
void lm_rms_norm_s16_s8(const lm_rms_norm *p, lm_wide_rows x, int32_t rows, int8_t *y,
                        int32_t y_stride);
void lm_rms_norm_s16_s8_dsp(const lm_rms_norm *p, lm_wide_rows x, int32_t rows, int8_t *y,
                            int32_t y_stride);
void lm_rms_norm_s16_s8_mve(const lm_rms_norm *p, lm_wide_rows x, int32_t rows, int8_t *y,
                            int32_t y_stride);

/* What follows the sum of every layer normalization. */
typedef struct {
  int32_t width;
  int64_t epsilon;      /* in squared units, below 2^53 */
  int32_t fraction;     /* bits of the normalized value below the point */
  int32_t out_shift;    /* 1 ... 30 */
  int32_t min;          /* within the output type */
  int32_t max;
  const int16_t *gamma; /* (width) */
  const int32_t *beta;  /* (width), |beta| <= 2^30; holds the rounding half and the zero point */
} lm_norm;

/* y = LayerNorm(x), x an int8 sum. x, y: (rows, width); an int8 y may be x. */
void lm_layernorm_s8_s8(const lm_norm *p, lm_rows x, int32_t rows, int8_t *y, int32_t y_stride);
void lm_layernorm_s8_s16(const lm_norm *p, lm_rows x, int32_t rows, int16_t *y, int32_t y_stride);
/* x: at most 2^14 columns */
void lm_layernorm_s16_s8(const lm_norm *p, lm_wide_rows x, int32_t rows, int8_t *y,
                         int32_t y_stride);
void lm_layernorm_s16_s16(const lm_norm *p, lm_wide_rows x, int32_t rows, int16_t *y,
                          int32_t y_stride);

/* y = LayerNorm((a - zero_point_a) * multiplier_a + (b - zero_point_b) * multiplier_b);
 * the sum is at most 2^min(20, 29 - ceil(log2 width)) in magnitude. */
typedef struct {
  lm_norm norm;
  int32_t multiplier_a;
  int32_t multiplier_b;
  int32_t zero_point_a;
  int32_t zero_point_b;
} lm_add_layernorm;

/* a, b, y: (rows, width); an int8 y may be a or b. */
void lm_add_layernorm_s8_s8(const lm_add_layernorm *p, lm_rows a, lm_rows b, int32_t rows,
                            int8_t *y, int32_t y_stride);
void lm_add_layernorm_s8_s16(const lm_add_layernorm *p, lm_rows a, lm_rows b, int32_t rows,
                             int16_t *y, int32_t y_stride);
void lm_add_layernorm_s8_s8_dsp(const lm_add_layernorm *p, lm_rows a, lm_rows b, int32_t rows,
                                int8_t *y, int32_t y_stride);
void lm_add_layernorm_s8_s16_dsp(const lm_add_layernorm *p, lm_rows a, lm_rows b, int32_t rows,
                                 int16_t *y, int32_t y_stride);
void lm_add_layernorm_s8_s8_mve(const lm_add_layernorm *p, lm_rows a, lm_rows b, int32_t rows,
                                int8_t *y, int32_t y_stride);
void lm_add_layernorm_s8_s16_mve(const lm_add_layernorm *p, lm_rows a, lm_rows b, int32_t rows,
                                 int16_t *y, int32_t y_stride);

/* y = clamp(requantize(a' + b', sum) + zero_point), a' = requantize((a - zero_point_a) * 2^20, a)
 * and b' likewise: TFLite's ADD. */
typedef struct {
  int32_t width;
  int32_t zero_point_a;
  int32_t zero_point_b;
  lm_requant a;
  lm_requant b;
  lm_requant sum;
  int32_t zero_point;
  int32_t min;
  int32_t max;
} lm_add;

#define LM_ADD_LEFT_SHIFT 20

/* a, b, y: (rows, width) */
void lm_add_s8_s8(const lm_add *p, lm_rows a, lm_rows b, int32_t rows, int8_t *y,
                  int32_t y_stride);
void lm_add_s8_s8_cmsis(const lm_add *p, lm_rows a, lm_rows b, int32_t rows, int8_t *y,
                        int32_t y_stride);

/* A row tile of token ids. */
typedef struct {
  const uint16_t *ids; /* (rows); NULL: tokens are found by where they stand */
  int32_t rows;
  int32_t row_start; /* the token of the first row */
} lm_token_tile;

/* y = rows[id], or (rows[id] * multipliers[id] + 2^(shift - 1)) >> shift, saturated */
typedef struct {
  int32_t width;
  int32_t bits;                /* of an element: 8, or 4, two a byte, the lower half first */
  const int8_t *rows;          /* (vocabulary or tokens, width), each from a whole byte on */
  const uint16_t *multipliers; /* (vocabulary or tokens); NULL: rows stay as they are */
  int32_t shift;               /* 1 ... 30 */
} lm_lookup_rows;

/* y: (rows, width) */
void lm_lookup_rows_s8_s8(const lm_lookup_rows *p, const lm_token_tile *tile, int8_t *y,
                          int32_t y_stride);
void lm_lookup_rows_s8_s16(const lm_lookup_rows *p, const lm_token_tile *tile, int16_t *y,
                           int32_t y_stride);
void lm_lookup_rows_s8_s8_dsp(const lm_lookup_rows *p, const lm_token_tile *tile, int8_t *y,
                              int32_t y_stride);
void lm_lookup_rows_s8_s8_mve(const lm_lookup_rows *p, const lm_token_tile *tile, int8_t *y,
                              int32_t y_stride);

/* y = (weights[id] * multipliers[id] + 2^(shift - 1)) >> shift, saturated: rows of a table that is the
 * weights of a linear, as the linear's kernel reads them. */
typedef struct {
  int32_t width;
  int32_t rows;
  const int8_t *weights;       /* (rows, width), packed */
  const uint16_t *multipliers; /* (rows) */
  int32_t shift;               /* 1 ... 30 */
} lm_weight_rows;

/* y: (rows, width) */
void lm_weight_rows_s8_s16(const lm_weight_rows *p, const lm_token_tile *tile, int16_t *y,
                           int32_t y_stride);
void lm_weight_rows_s8_s16_dsp(const lm_weight_rows *p, const lm_token_tile *tile, int16_t *y,
                               int32_t y_stride);
void lm_weight_rows_triples_s8_s16_dsp(const lm_weight_rows *p, const lm_token_tile *tile,
                                       int16_t *y, int32_t y_stride);
void lm_weight_rows_s8_s16_mve(const lm_weight_rows *p, const lm_token_tile *tile, int16_t *y,
                               int32_t y_stride);

/* Rows in groups that have tables of their own, in the order of the rows. */
typedef struct {
  int32_t groups;         /* 1: there is nothing else to know */
  int32_t bits;           /* 1, 2, 4 or 8 */
  const uint8_t *packed;  /* the group of each row, so many bits, the lowest first */
  const uint16_t *before; /* (blocks, groups): rows of the group before the block */
} lm_row_groups;

/* Rows of a block. */
#define LM_GROUP_BLOCK 64

/* y = requantize(offset + sum over k of factors * projection), saturated */
typedef struct {
  int32_t rank;
  int32_t bits;               /* of a factor, as in lm_lookup_rows */
  const int8_t *factors;      /* (rows of the cluster, rank), each from a whole byte on */
  const int8_t *projection;   /* (width, rank) */
  const int32_t *offset;      /* (width) */
  const int32_t *multipliers; /* (width) */
  const int8_t *shifts;       /* (width) */
} lm_cluster;

typedef struct {
  int32_t width;
  lm_row_groups groups;
  const lm_cluster *clusters; /* (groups) */
} lm_cluster_rows;

/* y: (rows, width) */
void lm_cluster_rows_s8_s8(const lm_cluster_rows *p, const lm_token_tile *tile, int8_t *y,
                           int32_t y_stride);

/* y = the sum of one entry of each codebook, at the codebook's columns, saturated after each. The rows
 * of a tier have codes for its first stages only. */
typedef struct {
  int32_t stages;
  const uint8_t *codes; /* (rows of the tier, stages) */
} lm_tier;

typedef struct {
  int32_t first_column;
  int32_t columns;
  const int8_t *entries; /* (entries, columns) */
} lm_codebook;

typedef struct {
  int32_t rank;
  lm_row_groups groups;
  const lm_tier *tiers;     /* (groups) */
  const lm_codebook *books; /* (stages) */
} lm_codebook_rows;

/* y: (rows, rank) */
void lm_codebook_rows_s8_s8(const lm_codebook_rows *p, const lm_token_tile *tile, int8_t *y,
                            int32_t y_stride);
void lm_codebook_rows_s8_s8_dsp(const lm_codebook_rows *p, const lm_token_tile *tile, int8_t *y,
                                int32_t y_stride);

/* y = the rows of x after, of and before each token, side by side; beyond the ends zeros */
typedef struct {
  int32_t width; /* of x */
} lm_trigrams;

/* x: (tokens, width), y: (rows, 3 * width), of the tokens from row_start on */
void lm_trigrams_s8_s8(const lm_trigrams *p, lm_rows x, int32_t rows, int32_t row_start,
                       int32_t tokens, int8_t *y, int32_t y_stride);

/* y = LayerNorm(word + position + segment[token >= segment_start]), bounded likewise. */
typedef struct {
  lm_norm norm;
  const int8_t *segment; /* (segments, width); the first row, then the last */
  int32_t segments;
  int32_t multiplier_word;
  int32_t multiplier_position;
  int32_t multiplier_segment;
} lm_embed_layernorm;

/* A row tile of what is known of tokens and of where they stand. */
typedef struct {
  lm_rows word;     /* (rows, width) */
  lm_rows position; /* (rows, width) */
  int32_t rows;
  int32_t row_start;     /* the token of the first row */
  int32_t segment_start; /* the first token of the last segment */
} lm_embedding_tile;

/* y = clamp((word * multiplier_word + ... + offset) >> shift) */
typedef struct {
  int32_t width;
  const int8_t *segment; /* (segments, width); the first row, then the last */
  int32_t segments;
  int32_t multiplier_word; /* at most 2^21, like the others */
  int32_t multiplier_position;
  int32_t multiplier_segment;
  int32_t offset; /* rounding half and zero point, at most 2^30 */
  int32_t shift;  /* 1 ... 21 */
} lm_embed;

/* y: (rows, width); it may be the word rows. */
void lm_embed_s8_s8(const lm_embed *p, const lm_embedding_tile *tile, int8_t *y, int32_t y_stride);

/* y: (rows, width); an int8 y may be the word rows. */
void lm_embed_layernorm_s8_s8(const lm_embed_layernorm *p, const lm_embedding_tile *tile,
                              int8_t *y, int32_t y_stride);
void lm_embed_layernorm_s8_s16(const lm_embed_layernorm *p, const lm_embedding_tile *tile,
                               int16_t *y, int32_t y_stride);
void lm_embed_layernorm_s8_s8_dsp(const lm_embed_layernorm *p, const lm_embedding_tile *tile,
                                  int8_t *y, int32_t y_stride);
void lm_embed_layernorm_s8_s16_dsp(const lm_embed_layernorm *p, const lm_embedding_tile *tile,
                                   int16_t *y, int32_t y_stride);
void lm_embed_layernorm_s8_s8_mve(const lm_embed_layernorm *p, const lm_embedding_tile *tile,
                                  int8_t *y, int32_t y_stride);
void lm_embed_layernorm_s8_s16_mve(const lm_embed_layernorm *p, const lm_embedding_tile *tile,
                                   int16_t *y, int32_t y_stride);

/* y = clamp(requantize(sum over rows (x - zero_point), mean / rows)) */
typedef struct {
  int32_t width;
  int32_t zero_point;
  lm_requant mean; /* scale(x) / scale(y) */
  int32_t min;     /* within the output type */
  int32_t max;
} lm_mean_rows;

/* x: (tokens, width) in blocks, 1 <= tokens < 2^23, carry: (width); y: (width) */
void lm_mean_rows_s8_s8(const lm_mean_rows *p, const lm_block *x, int8_t *y);
void lm_mean_rows_s8_s16(const lm_mean_rows *p, const lm_block *x, int16_t *y);

/* Rows kept by an earlier loop, put beside those just made. y: (rows, columns), may overlap x if it
 * begins before it: rows and columns are copied upwards. */
static inline void lm_copy_rows(lm_rows x, int32_t rows, int32_t columns, int8_t *y,
                                int32_t y_stride) {
  for (int32_t row = 0; row < rows; row++) {
    memmove(y + row * y_stride, x.data + row * x.stride, (size_t)columns);
  }
}

/* The row of a cache that a token takes: the first `pinned` rows stay, the others are a ring. */
static inline int32_t lm_ring_row(int32_t token, int32_t rows, int32_t pinned) {
  return token < rows ? token : pinned + (token - pinned) % (rows - pinned);
}

/* Rows that are kept column by column. y: (columns, tokens), from the token of the first row on */
static inline void lm_turn_rows(lm_rows x, int32_t rows, int32_t columns, int8_t *y,
                                int32_t y_stride) {
  for (int32_t row = 0; row < rows; row++) {
    for (int32_t column = 0; column < columns; column++) {
      y[column * y_stride + row] = x.data[row * x.stride + column];
    }
  }
}

#endif
