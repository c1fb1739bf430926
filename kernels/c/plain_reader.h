/* SPDX-License-Identifier: Apache-2.0
 * The characters of a text as they are, for the files of tokenizers; normal_reader.h has the same
 * functions for normalized text. */
#ifndef LM_PLAIN_READER_H
#define LM_PLAIN_READER_H

#include "utf8.h"

/* A copy reads on by itself. */
typedef struct {
  lm_text text;
  size_t at;
} lm_reader;

static bool lm_is_read(const lm_reader *reader) { return reader->at >= reader->text.bytes; }

static uint32_t lm_read_char(lm_reader *reader) {
  return lm_decode_utf8(reader->text, &reader->at);
}

#endif
