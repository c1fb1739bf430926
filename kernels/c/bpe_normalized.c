/* SPDX-License-Identifier: Apache-2.0
 * BPE of texts in a normal form of Unicode. */
#include "bpe_normalized.h"

#include "normal_reader.h"

#include "bpe_tokenize.h"

static lm_reader lm_reader_of(const lm_bpe *t, lm_text text, size_t at) {
  return lm_read_from(&t->normal_form, text, at);
}
