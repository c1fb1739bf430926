/* SPDX-License-Identifier: Apache-2.0
 * BPE of texts as they are. */
#include "bpe.h"

#include "plain_reader.h"

#include "bpe_tokenize.h"

static lm_reader lm_reader_of(const lm_bpe *t, lm_text text, size_t at) {
  (void)t;
  return (lm_reader){text, at};
}
