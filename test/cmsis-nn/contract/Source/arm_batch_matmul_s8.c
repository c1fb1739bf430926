/* SPDX-License-Identifier: Apache-2.0
 * output = lhs * rhsT, one matrix each: rows are `w`, columns `c`. */
#include <stddef.h>

#include "arm_nnfunctions.h"
#include "fixed_point_of_tflite.h"

/* A word for each row of the right side, which builds for Helium use. */
static int32_t scratch_bytes(const cmsis_nn_dims *input_rhs_dims) {
  return input_rhs_dims->w * (int32_t)sizeof(int32_t);
}

static bool is_one_matrix(const cmsis_nn_dims *dims) { return dims->n == 1 && dims->h == 1; }

arm_cmsis_nn_status arm_batch_matmul_s8(
    const cmsis_nn_context *ctx, const cmsis_nn_bmm_params *bmm_params,
    const cmsis_nn_per_tensor_quant_params *quant_params, const cmsis_nn_dims *input_lhs_dims,
    const int8_t *input_lhs, const cmsis_nn_dims *input_rhs_dims, const int8_t *input_rhs,
    const cmsis_nn_dims *output_dims, int8_t *output) {
  const cmsis_nn_fc_params *params = &bmm_params->fc_params;
  const int32_t rows = input_lhs_dims->w, columns = input_rhs_dims->w, depth = input_lhs_dims->c;
  if (bmm_params->adj_x || bmm_params->adj_y || !is_one_matrix(input_lhs_dims) ||
      !is_one_matrix(input_rhs_dims) || !is_one_matrix(output_dims) ||
      input_rhs_dims->c != depth || output_dims->w != rows || output_dims->c != columns ||
      !is_input_offset(params->input_offset) || !is_input_offset(params->filter_offset) ||
      !is_output_offset(params->output_offset) || ctx->size < scratch_bytes(input_rhs_dims) ||
      ctx->buf == NULL || (uintptr_t)ctx->buf % sizeof(int32_t) != 0) {
    return ARM_CMSIS_NN_ARG_ERROR;
  }
  scribble(ctx->buf, scratch_bytes(input_rhs_dims));
  for (int32_t row = 0; row < rows; row++) {
    for (int32_t column = 0; column < columns; column++) {
      int32_t sum = 0;
      for (int32_t i = 0; i < depth; i++) {
        sum += (input_lhs[row * depth + i] + params->input_offset) *
               (input_rhs[column * depth + i] + params->filter_offset);
      }
      sum = requantized(sum, quant_params->multiplier, quant_params->shift);
      output[row * columns + column] = (int8_t)limited(
          sum + params->output_offset, params->activation.min, params->activation.max);
    }
  }
  return ARM_CMSIS_NN_SUCCESS;
}
