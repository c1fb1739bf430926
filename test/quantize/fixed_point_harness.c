/* SPDX-License-Identifier: Apache-2.0
 * Applies the functions of fixed_point.h to words from stdin: {function, a, b, c} in, three words
 * out. The numbers of the functions are those of fixed-point.test.ts. */
#include <stdio.h>

#include "fixed_point.h"

static void apply(const int32_t in[4], int32_t out[3]) {
  const int32_t a = in[1], b = in[2], c = in[3];
  out[0] = out[1] = out[2] = 0;
  switch (in[0]) {
    case 0: out[0] = lm_doubling_high_mul(a, b); break;
    case 1: out[0] = lm_rounding_divide_by_power_of_two(a, b); break;
    case 2: out[0] = lm_requantize(a, b, c); break;
    case 3: out[0] = lm_rounding_high_mul(a, b); break;
    case 4: out[0] = lm_rounding_shift_right(a, b); break;
    case 5: out[0] = lm_reciprocal_sqrt((uint32_t)a); break;
    case 6: {
      const lm_requant factor = {a, b};
      const lm_requant divided = lm_divide_requant(factor, c);
      out[0] = divided.multiplier;
      out[1] = divided.shift;
      break;
    }
    case 7: {
      const uint64_t variance = (uint64_t)(uint32_t)a << 32 | (uint32_t)b;
      const lm_normalizer normalizer = lm_normalizer_of((int64_t)variance, c);
      out[0] = normalizer.factor;
      out[1] = normalizer.left;
      out[2] = normalizer.right;
      break;
    }
    case 8: out[0] = lm_saturating_shift_left(a, b); break;
    default: break;
  }
}

int main(void) {
  int32_t in[4];
  int32_t out[3];
  while (fread(in, sizeof in, 1, stdin) == 1) {
    apply(in, out);
    fwrite(out, sizeof out, 1, stdout);
  }
  return 0;
}
