/* SPDX-License-Identifier: Apache-2.0
 * y = x * wT + b by CMSIS-NN: a convolution of width 1 over the rows. */
#include <stddef.h>

#include "arm_nnfunctions.h"
#include "../kernels.h"

/* The arguments that are the same for all rows. */
typedef struct {
  cmsis_nn_context context;
  cmsis_nn_conv_params params;
  cmsis_nn_per_channel_quant_params scales;
} convolution;

/* scratch: the shifts as int32, then 4 bytes an input for builds of the library that widen them. */
static convolution convolution_of(const lm_linear *p, void *scratch) {
  int32_t *shifts = scratch; /* (outputs) */
  for (int32_t i = 0; i < p->outputs; i++) shifts[i] = p->shifts[i];
  const convolution made = {
      .context = {.buf = shifts + p->outputs, .size = 4 * p->inputs},
      .params =
          {
              .input_offset = 0, /* the bias holds it */
              .output_offset = p->zero_point,
              .stride = {1, 1},
              .padding = {0, 0},
              .dilation = {1, 1},
              .activation = {p->min, p->max},
          },
      .scales = {(int32_t *)p->multipliers, shifts},
  };
  return made;
}

static void look_up(const int8_t *table, int8_t *y, int32_t count) {
  for (int32_t i = 0; i < count; i++) y[i] = table[y[i] + 128];
}

/* x: (rows, inputs), y: (rows, outputs), both dense */
static void convolve(const lm_linear *p, const convolution *by, const int8_t *x, int32_t rows,
                     int8_t *y) {
  const cmsis_nn_dims x_dims = {1, 1, rows, p->inputs};
  const cmsis_nn_dims weight_dims = {p->outputs, 1, 1, p->inputs};
  const cmsis_nn_dims bias_dims = {1, 1, 1, p->outputs};
  const cmsis_nn_dims y_dims = {1, 1, rows, p->outputs};
  arm_convolve_1x1_s8_fast(&by->context, &by->params, &by->scales, &x_dims, x, &weight_dims,
                           p->weights, &bias_dims, p->bias, &y_dims, y);
  if (p->table != NULL) look_up(p->table, y, rows * p->outputs);
}

void lm_linear_s8_s8_cmsis(const lm_linear *p, lm_rows x, int32_t rows, int8_t *y,
                           int32_t y_stride, void *scratch) {
  const convolution by = convolution_of(p, scratch);
  if (x.stride == p->inputs && y_stride == p->outputs) {
    convolve(p, &by, x.data, rows, y);
    return;
  }
  for (int32_t row = 0; row < rows; row++) {
    convolve(p, &by, x.data + row * x.stride, 1, y + row * y_stride);
  }
}
