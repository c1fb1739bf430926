/* SPDX-License-Identifier: Apache-2.0
 * SentencePiece's Unigram tokenizer on the device: texts to their most probable pieces.
 *
 * Ids are compact indexes: positions in the order the compiler stores the embedding rows in
 * (`idOrder` of toolchain/tokenizer/unigram/compile.ts): pieces in the order of their trie, others.
 * Special tokens written in the text become the special token, as Hugging Face does. */
#ifndef LM_UNIGRAM_H
#define LM_UNIGRAM_H

#include "text.h"
#ifdef LM_NORMALIZES
#include "normal_form.h"
#endif

/* Bytes of a word that are looked at together: toolchain/tokenizer/unigram/tokenizer.ts,
 * windowBytes. */
#define LM_UNIGRAM_WINDOW 256

/* What becomes of characters: see toolchain/tokenizer/unigram/compile-normalizer.ts. */
typedef struct {
  const uint8_t *pairs;          /* two characters of ASCII and what they become, ..., 0 */
  const uint8_t *leads;          /* (2, 32) a bit for each first byte of folds, and of rules */
  const uint8_t *trie;           /* folds, rules of one character, rules of several */
  const uint16_t *codes;         /* (codes + 1) shape << 12 | offset of the label */
  const uint8_t *labels;
  const uint16_t *replacements;  /* by number in the trie: where in replacement_text */
  const uint8_t *replacement_text; /* UTF-8, each ended by NUL */
  const uint16_t *planes;        /* (18) runs of classes for clusters; 0: no clusters are needed */
  const uint16_t *run_starts;
  const uint8_t *run_classes;
  uint32_t rules_offset;         /* where in `trie` the rules of one character begin */
  uint32_t sequences_offset;     /* and those of several */
  uint16_t rules_first;          /* the numbers of the first of them */
  uint16_t sequences_first;
  bool has_rules;
  bool strips_right;             /* white space at the end goes */
  bool collapses_spaces;         /* several spaces become one */
} lm_unigram_normalizer;

/* toolchain/tokenizer/unigram/tokenizer.ts: WordRule. */
typedef enum { LM_PREFIX_ALWAYS, LM_PREFIX_FIRST, LM_PREFIX_NEVER } lm_unigram_prefix;

/* A vocabulary, compiled: see toolchain/tokenizer/unigram/compile.ts. */
typedef struct {
  lm_unigram_normalizer normalizer;
  const uint8_t *trie;           /* the pieces */
  const uint16_t *codes;
  const uint8_t *labels;
  const uint32_t *scores;        /* score_bits of each piece, the low ones first, less score_base */
  const uint16_t *byte_tokens;   /* (256) for unknown characters; NULL: they are one token */
  lm_specials specials;
  lm_frame frame;
  int32_t score_base;
  int32_t unknown_score;
  uint16_t unknown;              /* compact index */
  uint8_t score_bits;            /* at most 31 */
  uint8_t prefix;                /* lm_unigram_prefix */
  bool splits_at_white_space;
  bool splits_at_marks;
#ifdef LM_NORMALIZES
  lm_normal_form normal_form;    /* of what is between special tokens */
#endif
} lm_unigram;

/*
 * Writes text, or text and pair where `pair.data` is not NULL, with the tokens around them to
 * ids[0..max_tokens). Too long pairs are cut as Hugging Face's `longest_first` does. 0 tokens where
 * max_tokens has no room for the tokens around. Needs no memory but the stack, under 4,400 bytes.
 */
lm_tokens lm_unigram_tokenize(const lm_unigram *t, lm_text text, lm_text pair, uint16_t *ids,
                              int32_t max_tokens);

#endif
