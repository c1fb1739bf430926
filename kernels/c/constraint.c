/* SPDX-License-Identifier: Apache-2.0
 * The twin of toolchain/generate/constrained.ts. The logits of permitted tokens move to the front, in
 * their order, and the sampler sees no others. */
#include "constraint.h"

#include <stddef.h>

enum { END_CLASS = 1 }; /* toolchain/constrain/constraint.ts */

static inline uint32_t read_class(const uint8_t *classes, bool is_wide, int32_t index) {
  if (!is_wide) return classes[index];
  return classes[2 * index] | (uint32_t)classes[2 * index + 1] << 8;
}

static inline uint32_t class_of_edge(const lm_constraint *c, int32_t edge) {
  return read_class(c->edge_classes, c->class_bytes == 2, edge);
}

/* Edges from `first` to `end`. */
typedef struct {
  int32_t first;
  int32_t end;
} edge_range;

static inline edge_range edges_of(const lm_constraint *c, uint16_t state) {
  const uint16_t *const starts = c->row_starts + c->rows[state];
  return (edge_range){starts[0], starts[1]};
}

static inline uint16_t state_behind(const lm_constraint *c, uint16_t state, int32_t edge) {
  return (uint16_t)(state + c->edge_steps[edge]);
}

/* Allows the classes whose next state can become complete in time. */
static void allow_classes(const lm_permitted_choice *p, uint16_t state, bool *allowed) {
  const lm_constraint *const c = p->constraint;
  const int32_t distance = c->distances[state];
  const int32_t most = (p->most_tokens > distance ? p->most_tokens : distance) - 1;
  const edge_range edges = edges_of(c, state);
  for (int32_t edge = edges.first; edge < edges.end; edge++) {
    if (c->distances[state_behind(c, state, edge)] > most) continue;
    allowed[class_of_edge(c, edge)] = true;
  }
  if (c->has_end && distance == 0) allowed[END_CLASS] = true;
}

/* Moves the permitted logits to the front; how many, and the index of the last. */
static int32_t gather(const lm_permitted_choice *p, const bool *allowed, int32_t *last) {
  const lm_constraint *const c = p->constraint;
  const uint8_t *const classes = c->classes;
  const uint16_t *const tokens = c->tokens;
  const bool is_wide = c->class_bytes == 2;
  const int32_t listed = c->listed;
  int16_t *const logits = p->logits;
  int32_t count = 0, found = 0;
  for (int32_t i = 0; i < listed; i++) {
    if (!allowed[read_class(classes, is_wide, i)]) continue;
    logits[count++] = logits[tokens == NULL ? i : tokens[i]];
    found = i;
  }
  *last = found;
  return count;
}

/* The index of the permitted token before which there are so many. */
static int32_t nth_allowed(const lm_constraint *c, const bool *allowed, int32_t before) {
  const uint8_t *const classes = c->classes;
  const bool is_wide = c->class_bytes == 2;
  for (int32_t i = 0;; i++) {
    if (allowed[read_class(classes, is_wide, i)] && before-- == 0) return i;
  }
}

static uint16_t next_state(const lm_constraint *c, uint16_t state, uint32_t class) {
  const edge_range edges = edges_of(c, state);
  for (int32_t edge = edges.first; edge < edges.end; edge++) {
    if (class_of_edge(c, edge) == class) return state_behind(c, state, edge);
  }
  return state; /* the end */
}

int32_t lm_choose_permitted(const lm_permitted_choice *p, bool *allowed, uint16_t *state,
                            uint32_t *random_state) {
  const lm_constraint *const c = p->constraint;
  allow_classes(p, *state, allowed);
  int32_t index = 0;
  const int32_t count = gather(p, allowed, &index);
  if (count == 0) return LM_NO_TOKEN;
  if (count > 1) {
    const int32_t chosen = lm_choose_token(p->sampling, p->logits, count, random_state);
    index = nth_allowed(c, allowed, chosen);
  }
  *state = next_state(c, *state, read_class(c->classes, c->class_bytes == 2, index));
  return c->tokens == NULL ? index : c->tokens[index];
}

bool lm_is_forced(const lm_constraint *c, uint16_t state) {
  const edge_range edges = edges_of(c, state);
  return edges.end - edges.first == 1 && c->distances[state] > 0 &&
         class_of_edge(c, edges.first) >= c->first_single;
}

bool lm_is_over(const lm_constraint *c, uint16_t state) {
  const edge_range edges = edges_of(c, state);
  return edges.first == edges.end;
}
