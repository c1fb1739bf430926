/*
 * BERT's tokenizer on the device: clean-up, accents, lower case, punctuation, CJK, WordPiece.
 *
 * Ids are compact indexes: positions in the order the compiler stores the embedding rows in
 * (`idOrder` of toolchain/tokenizer/compile.ts). Malformed parts of a text vanish like U+FFFD.
 * Special tokens written in the text ("[SEP]") become the special token, as Hugging Face does.
 */
#ifndef LM_TOKENIZER_H
#define LM_TOKENIZER_H

#include "text.h"

/* Most characters of a word, after normalization; longer ones are unknown. */
#define LM_MAX_WORD_CHARS 100

/* What becomes of a code point: see toolchain/tokenizer/char-map.ts. */
typedef struct {
  const uint8_t *ascii;        /* (128) */
  const uint16_t *planes;      /* (18) first run of each plane of 65,536 code points, and the end */
  const uint16_t *run_starts;  /* (runs) low 16 bits of the first code point */
  const uint8_t *run_actions;  /* (runs) index into actions */
  const int32_t *actions;      /* (actions) kind | isolated << 3 | argument << 4 */
  const uint16_t *table;       /* code points that dense runs become */
  const uint32_t *sequences;   /* (sequence_rows, 4) code point, then what it becomes; sorted */
  uint16_t sequence_rows;
} lm_character_map;

/* A vocabulary, compiled: see toolchain/tokenizer/trie.ts. */
typedef struct {
  lm_character_map characters;
  const uint8_t *trie;           /* nodes in preorder */
  const uint16_t *codes;         /* (codes + 1) shape << 12 | offset of the label */
  const uint8_t *labels;
  uint32_t continuation_offset;  /* where in `trie` the tokens that continue a word begin */
  uint16_t continuation_first;   /* the compact index of the first of them */
  const uint8_t *specials;       /* length, bytes, compact index (low byte first), ..., 0 */
  uint8_t special_lead_min;      /* the first bytes of the specials lie in min..max */
  uint8_t special_lead_max;
  uint8_t max_word_chars;        /* at most LM_MAX_WORD_CHARS */
  uint16_t unknown;              /* compact index */
  lm_frame frame;
} lm_tokenizer;

/*
 * Writes [CLS] text [SEP], and pair [SEP] where `pair.data` is not NULL, to ids[0..max_tokens).
 * Too long pairs are cut as Hugging Face's `longest_first` does. 0 tokens where max_tokens has no
 * room for the special tokens. Needs no memory but the stack, under 800 bytes of it on Cortex-M.
 */
lm_tokens lm_tokenize(const lm_tokenizer *t, lm_text text, lm_text pair, uint16_t *ids,
                      int32_t max_tokens);

#endif
