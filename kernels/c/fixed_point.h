/* SPDX-License-Identifier: Apache-2.0
 * Rounding and saturation of every integer op: the twin of toolchain/ops/fixed-point.ts, where
 * each function's meaning stands. Exact for all arguments in the ranges given there.
 *
 * `>>` of a negative number is implementation-defined in C99; every compiler for our targets keeps
 * the sign (GCC and Clang document it), and the tests would notice one that does not. */
#ifndef LM_FIXED_POINT_H
#define LM_FIXED_POINT_H

#include <stdint.h>

/* A factor: multiplier * 2^(shift - 31), multiplier in [2^30, 2^31) or 0, shift -31 ... 30. */
typedef struct {
  int32_t multiplier;
  int32_t shift;
} lm_requant;

static inline int32_t lm_min(int32_t a, int32_t b) { return a < b ? a : b; }

static inline int32_t lm_max(int32_t a, int32_t b) { return a > b ? a : b; }

static inline int32_t lm_clamp(int32_t x, int32_t min, int32_t max) {
  return lm_min(lm_max(x, min), max);
}

/* x * 2^n, n in 0 ... 31; the upper bits are lost. */
static inline int32_t lm_shift_left(int32_t x, int32_t n) { return (int32_t)((uint32_t)x << n); }

/* Zeros above the first one of x > 0. */
static inline int32_t lm_leading_zeros(uint32_t x) {
#if defined(__GNUC__)
  return __builtin_clz(x);
#else
  int32_t zeros = 0;
  for (uint32_t bit = 0x80000000u; (x & bit) == 0u; bit >>= 1) zeros++;
  return zeros;
#endif
}

/* floor((a * b + 2^30) / 2^31), saturated: SaturatingRoundingDoublingHighMul, VQRDMULH. */
static inline int32_t lm_doubling_high_mul(int32_t a, int32_t b) {
  const int64_t high = ((int64_t)a * b + ((int64_t)1 << 30)) >> 31;
  return high > INT32_MAX ? INT32_MAX : (int32_t)high;
}

/* x / 2^exponent, ties away from zero; exponent in 0 ... 31: RoundingDivideByPOT. */
static inline int32_t lm_rounding_divide_by_power_of_two(int32_t x, int32_t exponent) {
  const uint32_t mask = ((uint32_t)1 << exponent) - 1u;
  const uint32_t remainder = (uint32_t)x & mask;
  const uint32_t threshold = (mask >> 1) + (x < 0 ? 1u : 0u);
  return (x >> exponent) + (remainder > threshold ? 1 : 0);
}

/* MultiplyByQuantizedMultiplier of TFLite with its double rounding. */
static inline int32_t lm_requantize(int32_t accumulator, int32_t multiplier, int32_t shift) {
  const int32_t left = shift > 0 ? shift : 0;
  const int32_t right = shift > 0 ? 0 : -shift;
  return lm_rounding_divide_by_power_of_two(
      lm_doubling_high_mul(lm_shift_left(accumulator, left), multiplier), right);
}

/* clamp(x + zero_point, min, max) where the sum may not fit int32. */
static inline int32_t lm_clamp_from_zero_point(int32_t x, int32_t zero_point, int32_t min,
                                               int32_t max) {
  return lm_clamp(x, min - zero_point, max - zero_point) + zero_point;
}

/* floor((a * b + 2^31) / 2^32): SMMULR, VRMULH. */
static inline int32_t lm_rounding_high_mul(int32_t a, int32_t b) {
  return (int32_t)(((int64_t)a * b + ((int64_t)1 << 31)) >> 32);
}

/* floor((x + 2^(shift - 1)) / 2^shift), shift in 0 ... 31: VRSHR. */
static inline int32_t lm_rounding_shift_right(int32_t x, int32_t shift) {
  return shift == 0 ? x : (x >> shift) + ((x >> (shift - 1)) & 1);
}

/* x * 2^exponent, saturated; exponent in 0 ... 31: SaturatingRoundingMultiplyByPOT. */
static inline int32_t lm_saturating_shift_left(int32_t x, int32_t exponent) {
  const int64_t shifted = (int64_t)x * ((int64_t)1 << exponent);
  if (shifted > INT32_MAX) return INT32_MAX;
  return shifted < INT32_MIN ? INT32_MIN : (int32_t)shifted;
}

/* The next 16 bits of a quotient, of rest * 2^16 / divisor; rest < divisor, whose highest bit is set.
 * Knuth, The Art of Computer Programming 4.3.1, algorithm D: the guess is at most two too large. */
static inline uint32_t lm_quotient_digit(uint32_t *rest, uint32_t divisor) {
  const uint32_t high = divisor >> 16, low = divisor & 0xffffu;
  uint32_t digit = *rest / high;
  uint32_t over = *rest - digit * high;
  while (over >> 16 == 0 && digit * low > over << 16) {
    digit--;
    over += high;
  }
  *rest = (*rest << 16) - digit * divisor;
  return digit;
}

/* factor / divisor, 1 <= divisor < 2^31. */
static inline lm_requant lm_divide_requant(lm_requant factor, int32_t divisor) {
  const int32_t leading_zeros = lm_leading_zeros((uint32_t)divisor);
  const uint32_t normalized = (uint32_t)divisor << leading_zeros; /* [2^31, 2^32) */
  uint32_t rest = (uint32_t)1 << 30; /* 2^62 / normalized in (2^30, 2^31], by two digits */
  const uint32_t high = lm_quotient_digit(&rest, normalized);
  const uint32_t quotient = (high << 16) + lm_quotient_digit(&rest, normalized);
  const int32_t reciprocal = quotient > INT32_MAX ? INT32_MAX : (int32_t)quotient;
  const lm_requant divided = {
      lm_doubling_high_mul(factor.multiplier, reciprocal),
      lm_clamp(factor.shift + leading_zeros - 31, -31, 30),
  };
  return divided;
}

static inline uint32_t lm_high_mul_u32(uint32_t a, uint32_t b) {
  return (uint32_t)(((uint64_t)a * b) >> 32);
}

/* The first guess 2.135 - 1.225 * x in Q30 (fixed-point.ts). */
#define LM_RSQRT_GUESS_OFFSET 2292438794u
#define LM_RSQRT_GUESS_SLOPE 1315333734u

/* 2^30 / sqrt(x / 2^32) for x in [2^30, 2^32); in (2^30, 2^31 - 1]. */
static inline int32_t lm_reciprocal_sqrt(uint32_t x) {
  uint32_t y = LM_RSQRT_GUESS_OFFSET - lm_high_mul_u32(x, LM_RSQRT_GUESS_SLOPE);
  for (int step = 0; step < 3; step++) {
    const uint32_t square = lm_high_mul_u32(y, y);              /* Q28 */
    const uint32_t product = lm_high_mul_u32(x, square) << 2;   /* x * y^2, Q30 */
    y = lm_high_mul_u32(y, ((uint32_t)3 << 30) - product) << 1; /* Q30 */
  }
  return y > INT32_MAX ? INT32_MAX : (int32_t)y;
}

/* Row constants of n = c * 2^fraction / sqrt(variance): toolchain/ops/layer-norm.ts. */
typedef struct {
  int32_t factor;
  int32_t left;
  int32_t right;
} lm_normalizer;

static inline lm_normalizer lm_normalizer_of(int64_t variance, int32_t fraction) {
  const lm_normalizer zero = {0, 0, 0};
  if (variance <= 0) return zero;
  const uint64_t bits = (uint64_t)variance;
  const uint32_t high = (uint32_t)(bits >> 32);
  const int32_t zeros =
      high != 0 ? lm_leading_zeros(high) : 32 + lm_leading_zeros((uint32_t)bits);
  const int32_t even_zeros = zeros & ~1;
  const int32_t shift = 62 - fraction - even_zeros / 2;
  const lm_normalizer normalizer = {
      lm_reciprocal_sqrt((uint32_t)((bits << even_zeros) >> 32)),
      lm_max(0, 32 - shift),
      lm_max(0, shift - 32),
  };
  return normalizer;
}

static inline int32_t lm_normalize(int32_t centered, lm_normalizer normalizer) {
  const int32_t product =
      lm_rounding_high_mul(lm_shift_left(centered, normalizer.left), normalizer.factor);
  return lm_clamp(lm_rounding_shift_right(product, normalizer.right), INT16_MIN, INT16_MAX);
}

#endif
