/* SPDX-License-Identifier: Apache-2.0
 * Tables of a normal form of Unicode: toolchain/tokenizer/compile-normal-form.ts says what they are. */
#ifndef LM_NORMAL_FORM_H
#define LM_NORMAL_FORM_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
  const uint16_t *planes;      /* (18) first run of each plane of 65,536 code points, and the end */
  const uint16_t *run_starts;  /* (runs) low 16 bits of the first code point */
  const uint16_t *run_values;  /* (runs) a class, or the row of the first code point */
  const uint16_t *rows;        /* what characters become, by kind: shifted, single, ... */
  const uint8_t *tail_of;      /* (stable, pairs) which of the tails is the second character */
  const uint32_t *tails;       /* 0: none; those that compose, in order; others */
  const uint8_t *text;         /* UTF-8 of sequences, each ended by NUL */
  const uint16_t *composites;  /* low 16 bits; by tail, then by first character */
  const uint16_t *groups;      /* (composing_tails + 1) first composite of each tail */
  uint16_t first_single;       /* rows */
  uint16_t first_stable;
  uint16_t first_pair;
  uint16_t first_sequence;
  uint8_t composing_tails;
  bool composes;
} lm_normal_form;

#endif
