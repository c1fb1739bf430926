/* SPDX-License-Identifier: Apache-2.0
 * Unigram of texts in a normal form of Unicode. */
#include "unigram_normalized.h"

#include "normal_reader.h"

#include "unigram_tokenize.h"

static void read_part(part_reader *reader, lm_text part) {
  lm_reader text = lm_read_from(&reader->t->normal_form, part, 0);
  while (!lm_is_read(&text) && !is_full(reader)) {
    put_read(&reader->normalizer, lm_read_char(&text));
  }
  end_cluster(&reader->normalizer);
}
