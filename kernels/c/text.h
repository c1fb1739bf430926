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

#endif
