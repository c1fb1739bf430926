/* SPDX-License-Identifier: Apache-2.0
 * linear_wide.c for Helium: a row by four outputs, eight inputs at a time. Outputs without a
 * neighbour are computed twice. */
#include <stddef.h>

#include "../kernels.h"
#include "mve.h"

/* Outputs between two requantizations. */
enum { BAND = 16 };

/* Dot products of x with four rows of w: 10 instructions for 32 products. */
static void dot_4(const int16_t *x, const int8_t *const w[4], int32_t width, int32_t *sums) {
  const int8_t *a = w[0], *b = w[1], *c = w[2], *d = w[3];
  int32_t xa = 0, xb = 0, xc = 0, xd = 0;
  __asm volatile(
      "wlstp.16 lr, %[n], 1f\n"
      "2:\n\t"
      "vldrh.16 q0, [%[x]], #16\n\t"
      "vldrb.s16 q1, [%[a]], #8\n\t"
      "vmladava.s16 %[xa], q0, q1\n\t"
      "vldrb.s16 q2, [%[b]], #8\n\t"
      "vmladava.s16 %[xb], q0, q2\n\t"
      "vldrb.s16 q1, [%[c]], #8\n\t"
      "vmladava.s16 %[xc], q0, q1\n\t"
      "vldrb.s16 q2, [%[d]], #8\n\t"
      "vmladava.s16 %[xd], q0, q2\n\t"
      "letp lr, 2b\n"
      "1:"
      : [xa] "+Te"(xa), [xb] "+Te"(xb), [xc] "+Te"(xc), [xd] "+Te"(xd), [x] "+r"(x), [a] "+l"(a),
        [b] "+l"(b), [c] "+l"(c), [d] "+l"(d)
      : [n] "r"(width)
      : "q0", "q1", "q2", "lr", "memory");
  sums[0] = xa;
  sums[1] = xb;
  sums[2] = xc;
  sums[3] = xd;
}

static void finish(const lm_linear *p, const int32_t *sums, int32_t first, int32_t count,
                   int8_t *to) {
  const int32_t *bias = p->bias + first;
  const int32_t *multipliers = p->multipliers + first;
  const int8_t *shifts = p->shifts + first;
  const int32_t zero_point = p->zero_point, min = p->min, max = p->max;
  int8_t *y = to;
  LM_FINISH_OUTPUTS("vstrb.32 q0, [%[y]], #4\n\t");
  if (p->table == NULL) return;
  for (int32_t i = 0; i < count; i++) to[i] = p->table[to[i] + 128];
}

void lm_linear_s16_s8_mve(const lm_linear *p, lm_wide_rows x, int32_t rows, int8_t *y,
                          int32_t y_stride, void *scratch) {
  (void)scratch;
  const int32_t inputs = p->inputs;
  int32_t sums[BAND];
  for (int32_t row = 0; row < rows; row++) {
    for (int32_t first = 0; first < p->outputs; first += BAND) {
      const int32_t count = lm_min(BAND, p->outputs - first);
      for (int32_t i = 0; i < count; i += 4) {
        const int8_t *w = p->weights + (first + i) * inputs;
        const int32_t last = count - i - 1;
        const int8_t *const four[4] = {w, w + lm_min(1, last) * inputs,
                                       w + lm_min(2, last) * inputs, w + lm_min(3, last) * inputs};
        dot_4(x.data + row * x.stride, four, inputs, sums + i);
      }
      finish(p, sums, first, count, y + row * y_stride + first);
    }
  }
}
