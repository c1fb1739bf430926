/* SPDX-License-Identifier: Apache-2.0
 * Convolution of width and height 1: each position's channels times the filters' transpose. */
#include <stddef.h>

#include "arm_nnfunctions.h"
#include "fixed_point_of_tflite.h"

/* What the library's get_buffer_size function says for the build that needs most. */
static int32_t scratch_bytes(const cmsis_nn_dims *input_dims) {
  return 2 * input_dims->c * (int32_t)sizeof(int16_t);
}

arm_cmsis_nn_status arm_convolve_1x1_s8_fast(
    const cmsis_nn_context *ctx, const cmsis_nn_conv_params *conv_params,
    const cmsis_nn_per_channel_quant_params *quant_params, const cmsis_nn_dims *input_dims,
    const int8_t *input_data, const cmsis_nn_dims *filter_dims, const int8_t *filter_data,
    const cmsis_nn_dims *bias_dims, const int32_t *bias_data, const cmsis_nn_dims *output_dims,
    int8_t *output_data) {
  const int32_t inputs = input_dims->c, outputs = output_dims->c;
  const int32_t positions = input_dims->n * input_dims->h * input_dims->w;
  const cmsis_nn_activation clamp = conv_params->activation;
  if (conv_params->stride.w != 1 || conv_params->stride.h != 1 || conv_params->padding.w != 0 ||
      conv_params->padding.h != 0 || !is_input_offset(conv_params->input_offset) ||
      !is_output_offset(conv_params->output_offset) || filter_dims->n != outputs ||
      filter_dims->h != 1 || filter_dims->w != 1 || filter_dims->c != inputs ||
      bias_dims->c != outputs || ctx->size < scratch_bytes(input_dims) || ctx->buf == NULL ||
      output_dims->n * output_dims->h * output_dims->w != positions) {
    return ARM_CMSIS_NN_ARG_ERROR;
  }
  scribble(ctx->buf, scratch_bytes(input_dims));
  for (int32_t position = 0; position < positions; position++) {
    for (int32_t output = 0; output < outputs; output++) {
      int32_t sum = bias_data == NULL ? 0 : bias_data[output];
      for (int32_t i = 0; i < inputs; i++) {
        sum += (input_data[position * inputs + i] + conv_params->input_offset) *
               filter_data[output * inputs + i];
      }
      sum = requantized(sum, quant_params->multiplier[output], quant_params->shift[output]);
      output_data[position * outputs + output] =
          (int8_t)limited(sum + conv_params->output_offset, clamp.min, clamp.max);
    }
  }
  return ARM_CMSIS_NN_SUCCESS;
}
