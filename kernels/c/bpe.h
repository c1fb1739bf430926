/* SPDX-License-Identifier: Apache-2.0
 * BPE over bytes on the device: texts to tokens, and tokens to bytes.
 *
 * Ids are compact indexes: positions in the order the compiler stores the embedding rows in
 * (`idOrder` of toolchain/tokenizer/bpe/compile.ts): tokens of bytes, merged tokens, special ones.
 * Special tokens written in the text become the special token, as Hugging Face does. */
#ifndef LM_BPE_H
#define LM_BPE_H

#include "text.h"
#ifdef LM_NORMALIZES
#include "normal_form.h"
#endif

/* Base tokens that are merged at once: toolchain/tokenizer/bpe/tokenizer.ts, windowTokens. */
#define LM_BPE_WINDOW 256

/* Most bytes of a token, and of a special one. */
#define LM_BPE_TOKEN_BYTES 256

/* toolchain/tokenizer/bpe/tokenizer.ts: SplitRule. */
typedef enum { LM_BPE_WHOLE, LM_BPE_GPT2, LM_BPE_CL100K, LM_BPE_MARKS } lm_bpe_words;

/* toolchain/tokenizer/bpe/tokenizer.ts: prefixRules. */
typedef enum {
  LM_BPE_NO_PREFIX,
  LM_BPE_PREFIX_MISSING,
  LM_BPE_PREFIX_MISSING_FIRST,
  LM_BPE_PREFIX
} lm_bpe_prefix;

/* A vocabulary, compiled: see toolchain/tokenizer/bpe/compile.ts. */
typedef struct {
  const uint16_t *planes;        /* (18) first run of each plane of 65,536 code points, and the end */
  const uint16_t *run_starts;    /* (runs) low 16 bits of the first code point */
  const uint8_t *run_classes;    /* (runs) */
  const uint16_t *byte_tokens;   /* (256) 0xFFFF: the byte vanishes */
  const uint16_t *merges;        /* (merge_rows, 2) tokens; the first row that applies is merged */
  const uint16_t *order;         /* (merge_rows) rows, sorted by their tokens */
  const uint16_t *results;       /* (merge_rows) NULL: row r makes token first_merged + r */
  const uint16_t *rows_of;       /* (merged tokens, parts) a row that makes it; NULL likewise */
  lm_specials specials;
  lm_frame frame;
  uint16_t merge_rows;
  uint16_t first_merged;         /* compact index of the first merged token */
  uint16_t merged_end;           /* and behind the last */
  uint16_t first_part;           /* from there on: beginnings of characters, no tokens */
  uint8_t words;                 /* lm_bpe_words */
  uint8_t most_digits;           /* of a piece; 0: any number */
  bool isolates_digits;          /* each digit is a piece */
  uint8_t prefix;                /* lm_bpe_prefix */
  bool marks_spaces;             /* spaces are read as U+2581 */
#ifdef LM_NORMALIZES
  lm_normal_form normal_form;    /* of what is between special tokens */
#endif
} lm_bpe;

/*
 * Writes text, or text and pair where `pair.data` is not NULL, with the tokens around them to
 * ids[0..max_tokens). Too long pairs are cut as Hugging Face's `longest_first` does. 0 tokens where
 * max_tokens has no room for the tokens around. Needs no memory but the stack, under 1,500 bytes, and
 * under 2,000 where texts are normalized.
 */
lm_tokens lm_bpe_tokenize(const lm_bpe *t, lm_text text, lm_text pair, uint16_t *ids,
                          int32_t max_tokens);

/*
 * Writes what a token stands for to bytes[0..LM_BPE_TOKEN_BYTES) and returns how many: part of a
 * character, it may be. Special tokens stand for nothing. Under 600 bytes of stack.
 */
int32_t lm_bpe_spell(const lm_bpe *t, uint32_t token, uint8_t *bytes);

#endif
