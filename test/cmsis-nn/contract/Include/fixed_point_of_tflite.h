/* SPDX-License-Identifier: Apache-2.0
 * TFLite's fixed-point arithmetic from its definitions, in 64 bits, and checks of arguments. */
#ifndef FIXED_POINT_OF_TFLITE_H
#define FIXED_POINT_OF_TFLITE_H

#include <stdbool.h>
#include <stdint.h>

static inline int32_t saturated(int64_t x) {
  if (x > INT32_MAX) return INT32_MAX;
  return x < INT32_MIN ? INT32_MIN : (int32_t)x;
}

/* SaturatingRoundingDoublingHighMul: a * b / 2^31, to the nearest, ties upwards. */
static inline int32_t high_product(int32_t a, int32_t b) {
  const int64_t product = (int64_t)a * b;
  const int64_t half = (int64_t)1 << 30;
  const int64_t nudged = product >= 0 ? product + half : product + 1 - half;
  return saturated(nudged / ((int64_t)1 << 31));
}

/* RoundingDivideByPOT: x / 2^exponent, to the nearest, ties away from zero. */
static inline int32_t divided_by_power(int32_t x, int32_t exponent) {
  const int64_t magnitude = x < 0 ? -(int64_t)x : x;
  const int64_t half = exponent == 0 ? 0 : (int64_t)1 << (exponent - 1);
  const int64_t quotient = (magnitude + half) >> exponent;
  return (int32_t)(x < 0 ? -quotient : quotient);
}

/* MultiplyByQuantizedMultiplier: x * multiplier * 2^(shift - 31). */
static inline int32_t requantized(int32_t x, int32_t multiplier, int32_t shift) {
  const uint32_t left = (uint32_t)x << (shift > 0 ? shift : 0);
  return divided_by_power(high_product((int32_t)left, multiplier), shift > 0 ? 0 : -shift);
}

static inline int32_t limited(int32_t x, int32_t min, int32_t max) {
  return x < min ? min : (x > max ? max : x);
}

static inline bool is_between(int32_t x, int32_t min, int32_t max) { return min <= x && x <= max; }

static inline bool is_input_offset(int32_t offset) { return is_between(offset, -127, 128); }

static inline bool is_output_offset(int32_t offset) { return is_between(offset, -128, 127); }

/* Scratch belongs to the function that gets it. */
static inline void scribble(void *buffer, int32_t bytes) {
  for (int32_t i = 0; i < bytes; i++) ((uint8_t *)buffer)[i] = 0xCC;
}

#endif
