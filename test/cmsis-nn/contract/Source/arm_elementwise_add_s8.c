/* SPDX-License-Identifier: Apache-2.0
 * The sum of two vectors: both are shifted to the left, scaled, added, and scaled to the output. */
#include "arm_nnfunctions.h"
#include "fixed_point_of_tflite.h"

arm_cmsis_nn_status arm_elementwise_add_s8(
    const int8_t *input_1_vect, const int8_t *input_2_vect, const int32_t input_1_offset,
    const int32_t input_1_mult, const int32_t input_1_shift, const int32_t input_2_offset,
    const int32_t input_2_mult, const int32_t input_2_shift, const int32_t left_shift,
    int8_t *output, const int32_t out_offset, const int32_t out_mult, const int32_t out_shift,
    const int32_t out_activation_min, const int32_t out_activation_max, const int32_t block_size) {
  if (!is_input_offset(input_1_offset) || !is_input_offset(input_2_offset) ||
      !is_output_offset(out_offset) || out_activation_min < INT8_MIN ||
      out_activation_max > INT8_MAX) {
    return ARM_CMSIS_NN_ARG_ERROR;
  }
  const int32_t unit = (int32_t)1 << left_shift;
  for (int32_t i = 0; i < block_size; i++) {
    const int32_t first =
        requantized((input_1_vect[i] + input_1_offset) * unit, input_1_mult, input_1_shift);
    const int32_t second =
        requantized((input_2_vect[i] + input_2_offset) * unit, input_2_mult, input_2_shift);
    const int32_t sum = requantized(first + second, out_mult, out_shift) + out_offset;
    output[i] = (int8_t)limited(sum, out_activation_min, out_activation_max);
  }
  return ARM_CMSIS_NN_SUCCESS;
}
