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

#define LM_MAX_CHAR_BYTES 4

/* The tokens around texts. */
typedef struct {
  const uint16_t *tokens;  /* (before + between + after) */
  uint8_t before;
  uint8_t between;
  uint8_t after;
  int8_t segment_break;    /* tokens of `between` in segment 0; -1: all is segment 0 */
} lm_frame;

/* Texts that are one token, found before all else. */
typedef struct {
  const uint8_t *entries;  /* length, flags, compact index (low byte first), bytes, ..., 0 */
  uint8_t lead_min;        /* the first bytes of the texts lie in min..max */
  uint8_t lead_max;
} lm_specials;

#endif
