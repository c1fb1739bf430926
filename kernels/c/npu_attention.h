/* SPDX-License-Identifier: Apache-2.0
 * Attention whose products an NPU makes: keys and values become weights of convolutions, packed here
 * as the NPU reads them. Scores are weighed and results scaled by the core, between and after.
 *
 *   q ---- NPU: * keys ----> scores ---- core ----> weights ---- NPU: * values ----> sums -> y
 *
 * The bits are those of lm_attention_s8_s8. Seen to work in simulation only. */
#ifndef LM_NPU_ATTENTION_H
#define LM_NPU_ATTENTION_H

#include "kernels.h"
#include "npu/npu.h"

/* A weight stream of 8 bits a weight without any code: toolchain/ethosu/weight-format.ts. */
typedef struct {
  int32_t outputs;     /* channels that the convolution makes */
  int32_t inputs;      /* channels that it reads */
  int32_t block_depth; /* of its output blocks */
  int32_t micro_depth; /* outputs that are made at a time */
  uint32_t bytes;      /* of the stream, a multiple of 16 */
} lm_npu_weights;

/* The stream of the weights (outputs, inputs): `rows` rows of x, or its transpose if they are
 * turned; what lies behind them is 0. x: -127 ... 127; stream: (bytes),
 * aligned to 4; the core is little-endian. */
void lm_npu_pack_weights(const lm_npu_weights *shape, lm_rows x, int32_t rows, bool are_turned,
                         uint8_t *stream);

/* What the core does with products of the NPU; npu_rows.c, and mve/npu_rows.c for Helium. */

/* Scores + 128 become weights, exp_table[largest score - score]; returns their sum. */
int32_t lm_npu_weigh(const uint8_t *exp_table, uint8_t *scores, int32_t keys);

/* y[i] = clamp(requantize(sums[i]) + zero_point) */
void lm_npu_scale(const int32_t *sums, int32_t count, lm_requant requant, int32_t zero_point,
                  int8_t *y);

typedef struct {
  const lm_attention *attention;
  const lm_npu_job *jobs; /* (heads + 1): the scores of each head, and the sums of any */
  const void *constants;  /* region 0 of the jobs */
  uint32_t constant_bytes;
  int32_t rows;          /* that every job computes */
  int32_t keys;          /* a multiple of 16, at least the tokens there can be */
  lm_npu_weights scores; /* (keys, head_width) */
  lm_npu_weights sums;   /* (value_width, keys) */
} lm_npu_attention;

/* tile->scratch, aligned to 16: a weight stream, (rows, keys) scores, (rows, value_width) int32 sums,
 * (rows) int32 totals. tile->q is aligned to 16. y: as of lm_attention_s8_s8. False: a job failed. */
bool lm_npu_attention_s8_s8(const lm_npu_attention *p, const lm_attention_tile *tile, int8_t *y,
                            int32_t y_stride);

#endif
