/* SPDX-License-Identifier: Apache-2.0
 * Unigram of texts as they are, but for pairs of characters that become one. */
#include "unigram.h"

#include "unigram_tokenize.h"

/* The next character of the text, or what it becomes with the one behind it. */
static uint32_t next_paired(const lm_unigram_normalizer *r, lm_text text, size_t *at) {
  for (const uint8_t *pair = r->pairs; pair[0] != 0; pair += 3) {
    if (text.data[*at] != pair[0] || *at + 1 == text.bytes || text.data[*at + 1] != pair[1]) {
      continue;
    }
    *at += 2;
    return pair[2];
  }
  return lm_decode_utf8(text, at);
}

static void read_part(part_reader *reader, lm_text part) {
  unigram_normalizer *const normalizer = &reader->normalizer;
  for (size_t at = 0; at < part.bytes && !is_full(reader);) {
    put_read(normalizer, next_paired(normalizer->rules, part, &at));
  }
  end_cluster(normalizer);
}
