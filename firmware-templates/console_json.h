/* SPDX-License-Identifier: Apache-2.0
 * Writes JSON to the serial line: a part of console.c, which is compiled as one.
 */
#ifndef CONSOLE_JSON_H
#define CONSOLE_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "platform.h"

static void write_text(const char *text) {
  while (*text != '\0') uart_write((uint8_t)*text++);
}

static void write_hex_digit(uint32_t digit) {
  uart_write((uint8_t)"0123456789abcdef"[digit & 15u]);
}

/* Text is UTF-8 already: only quotes, backslashes and control characters need escaping. */
static void write_character(uint8_t byte) {
  if (byte < 0x20u) {
    write_text("\\u00");
    write_hex_digit(byte >> 4);
    write_hex_digit(byte);
    return;
  }
  if (byte == '"' || byte == '\\') uart_write('\\');
  uart_write(byte);
}

static void write_string(const char *text) {
  write_text("\"");
  for (; *text != '\0'; text++) write_character((uint8_t)*text);
  write_text("\"");
}

static void write_key(const char *key) {
  write_string(key);
  write_text(":");
}

enum { UINT64_DIGITS = 20 };

/* Decimal digits, leading zeros included, without the 64-bit division that the core lacks. */
static void split_digits(uint64_t value, char digits[UINT64_DIGITS]) {
  static const uint64_t powers[UINT64_DIGITS] = {
      10000000000000000000u, 1000000000000000000u, 100000000000000000u, 10000000000000000u,
      1000000000000000u, 100000000000000u, 10000000000000u, 1000000000000u, 100000000000u,
      10000000000u, 1000000000u, 100000000u, 10000000u, 1000000u, 100000u, 10000u, 1000u, 100u,
      10u, 1u};
  for (int32_t i = 0; i < UINT64_DIGITS; i++) {
    digits[i] = '0';
    while (value >= powers[i]) {
      value -= powers[i];
      digits[i]++;
    }
  }
}

static void write_unsigned(uint64_t value) {
  char digits[UINT64_DIGITS];
  split_digits(value, digits);
  int32_t first = 0;
  while (first < UINT64_DIGITS - 1 && digits[first] == '0') first++;
  for (int32_t i = first; i < UINT64_DIGITS; i++) uart_write((uint8_t)digits[i]);
}

static void write_signed(int32_t value) {
  if (value < 0) uart_write('-');
  write_unsigned(value < 0 ? 0u - (uint32_t)value : (uint32_t)value);
}

static void write_hex(uint32_t value) {
  write_text("\"0x");
  for (int32_t shift = 28; shift >= 0; shift -= 4) write_hex_digit(value >> shift);
  write_text("\"");
}

/* A positive float with the 9 significant digits that identify it, in integer arithmetic:
 * value = mantissa * 2^binary * 10^decimal, and binary is brought to 0 step by step, keeping at
 * least 56 bits of the mantissa. Zero, negative, infinite and above 2^63: null. */
static void write_float(float value) {
  union {
    float value;
    uint32_t bits;
  } word = {.value = value};
  const uint32_t field = word.bits >> 23; /* with the sign as bit 8 */
  uint64_t mantissa = word.bits & 0x7FFFFFu;
  if (field > 0) mantissa |= 0x800000u;
  int32_t binary = (int32_t)(field > 0 ? field : 1u) - 150;
  if (mantissa == 0 || field > 189u) {
    write_text("null");
    return;
  }
  int32_t decimal = 0;
  for (; binary > 0; binary--) mantissa <<= 1;
  while (binary < 0) {
    for (; mantissa < (UINT64_C(1) << 60); decimal--) mantissa *= 10u;
    const int32_t shift = binary < -4 ? 4 : -binary;
    mantissa = (mantissa + (UINT64_C(1) << (shift - 1))) >> shift;
    binary += shift;
  }
  char digits[UINT64_DIGITS];
  split_digits(mantissa, digits);
  int32_t first = 0;
  while (digits[first] == '0') first++;
  int32_t last = first + 8;
  if (last + 1 < UINT64_DIGITS && digits[last + 1] >= '5') {
    int32_t carry = last;
    while (carry >= 0 && digits[carry] == '9') digits[carry--] = '0';
    if (carry >= 0) digits[carry]++;
    if (carry < first) first--;
  }
  if (last >= UINT64_DIGITS) last = UINT64_DIGITS - 1;
  while (last > first && digits[last] == '0') last--;
  uart_write((uint8_t)digits[first]);
  if (last > first) uart_write('.');
  for (int32_t i = first + 1; i <= last; i++) uart_write((uint8_t)digits[i]);
  write_text("e");
  write_signed(decimal + UINT64_DIGITS - 1 - first);
}

static void write_error(const char *code, const char *message, uint32_t limit) {
  write_text("{\"error\":{");
  write_key("code");
  write_string(code);
  write_text(",");
  write_key("message");
  write_string(message);
  if (limit > 0) {
    write_text(",");
    write_key("limit");
    write_unsigned(limit);
  }
  write_text("}}");
}

#endif
