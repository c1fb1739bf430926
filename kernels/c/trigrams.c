/* SPDX-License-Identifier: Apache-2.0
 * y = each token's row beside those of its neighbours. */
#include <string.h>

#include "kernels.h"

void lm_trigrams_s8_s8(const lm_trigrams *p, lm_rows x, int32_t rows, int32_t row_start,
                       int32_t tokens, int8_t *y, int32_t y_stride) {
  const size_t width = (size_t)p->width;
  for (int32_t row = 0; row < rows; row++) {
    int8_t *to = y + row * y_stride;
    for (int32_t token = row_start + row + 1; token >= row_start + row - 1; token--) {
      if (token >= 0 && token < tokens) {
        memcpy(to, x.data + token * x.stride, width);
      } else {
        memset(to, 0, width);
      }
      to += width;
    }
  }
}
