/* SPDX-License-Identifier: Apache-2.0
 * What a generated text may be: which tokens may follow, state by state. Compiled by
 * toolchain/constrain/constraint.ts. */
#ifndef LM_CONSTRAINT_H
#define LM_CONSTRAINT_H

#include <stdbool.h>

#include "sampler.h"

typedef struct {
  const uint16_t *tokens;     /* (listed) ascending; NULL: all of the vocabulary */
  const uint8_t *classes;     /* (listed, class_bytes) of each of these tokens, low byte first */
  const uint16_t *rows;       /* (states) the row of edges of each state; state 0 is the start */
  const uint16_t *row_starts; /* (rows + 1) the first edge of each row */
  const uint8_t *edge_classes; /* (edges, class_bytes) */
  const uint16_t *edge_steps; /* (edges) next state - state, modulo 2^16 */
  const uint16_t *distances;  /* (states) the fewest tokens to a complete text; 0: it is one */
  int32_t listed;
  uint16_t first_single; /* classes from there on have one token each */
  uint8_t class_bytes;   /* 1 or 2 */
  bool has_end;          /* some tokens end a text */
} lm_constraint;

typedef struct {
  const lm_constraint *constraint;
  const lm_sampling *sampling;
  int16_t *logits;     /* (vocabulary) overwritten; any, where one token alone is permitted */
  int32_t most_tokens; /* that may follow, this one among them */
} lm_permitted_choice;

/* No token is permitted. */
#define LM_NO_TOKEN (-1)

/* A token, behind which the state then is. `allowed`: scratch, false for each class. */
int32_t lm_choose_permitted(const lm_permitted_choice *p, bool *allowed, uint16_t *state,
                            uint32_t *random_state);

/* Whether one token is permitted, so that no logits are read. */
bool lm_is_forced(const lm_constraint *c, uint16_t state);

/* Whether nothing can follow. */
bool lm_is_over(const lm_constraint *c, uint16_t state);

#endif
