/* SPDX-License-Identifier: Apache-2.0
 * Texts and what tokenizers make of them. Text is UTF-8 and may hold NUL and malformed bytes; each
 * maximal malformed part counts as U+FFFD, as in the WHATWG decoder. */
#ifndef LM_TEXT_H
#define LM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  int32_t tokens;         /* ids written, those around the texts included */
  int32_t segment_start;  /* first token of segment 1; `tokens` where there is no pair */
  bool truncated;         /* tokens were left out to keep to max_tokens */
} lm_tokens;

/* UTF-8; `data` NULL: no text. */
typedef struct {
  const uint8_t *data;
  size_t bytes;
} lm_text;

#define LM_REPLACEMENT 0xFFFDu
#define LM_MAX_CHAR_BYTES 4

/* WHATWG's UTF-8 decoder: https://encoding.spec.whatwg.org/#utf-8-decoder */
static inline uint32_t lm_decode_utf8(lm_text text, size_t *at) {
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
static inline uint16_t lm_encode_utf8(uint32_t code_point, uint8_t *to) {
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
