/* SPDX-License-Identifier: Apache-2.0
 * Characters from and to UTF-8, for the files of tokenizers; each uses both functions. */
#ifndef LM_UTF8_H
#define LM_UTF8_H

#include "text.h"

#define LM_REPLACEMENT 0xFFFDu

/* WHATWG's UTF-8 decoder: https://encoding.spec.whatwg.org/#utf-8-decoder */
static uint32_t lm_decode_utf8(lm_text text, size_t *at) {
  const uint8_t lead = text.data[(*at)++];
  if (lead < 0x80) return lead;
  if (lead < 0xC2 || lead > 0xF4) return LM_REPLACEMENT;
  const int following = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
  /* The second byte is restricted: no overlong forms, no surrogates, nothing past U+10FFFF. */
  uint8_t lower = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  uint8_t upper = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  uint32_t code_point = lead & (0x3Fu >> following);
  for (int i = 0; i < following; i++) {
    if (*at == text.bytes) return LM_REPLACEMENT;
    const uint8_t byte = text.data[*at];
    if (byte < lower || byte > upper) return LM_REPLACEMENT;
    code_point = code_point << 6 | (byte & 0x3Fu);
    lower = 0x80;
    upper = 0xBF;
    (*at)++;
  }
  return code_point;
}

/* UTF-8; at most 4 bytes at `to`. Returns how many. */
static uint16_t lm_encode_utf8(uint32_t code_point, uint8_t *to) {
  if (code_point < 0x80) {
    to[0] = (uint8_t)code_point;
    return 1;
  }
  const uint16_t following = code_point < 0x800 ? 1 : code_point < 0x10000 ? 2 : 3;
  for (uint16_t i = following; i > 0; i--) {
    to[i] = (uint8_t)(0x80 | (code_point & 0x3F));
    code_point >>= 6;
  }
  to[0] = (uint8_t)(0xF0u << (3 - following) | code_point);
  return following + 1;
}

#endif
