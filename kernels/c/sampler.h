/* SPDX-License-Identifier: Apache-2.0
 * Chooses the next token from a row of logits, in integers: the same on every machine. */
#ifndef LM_SAMPLER_H
#define LM_SAMPLER_H

#include <stdint.h>

typedef struct {
  uint32_t step;        /* powers of two that a step of the logits is worth, in 1/2^32 */
  uint32_t temperature; /* in 1/1000; 0: always the largest logit */
  int32_t top_k;        /* 0: all */
  uint32_t top_p;       /* in 1/1000; 1000: all */
} lm_sampling;

/* At most 65,535 logits. The random state begins as any seed. */
int32_t lm_choose_token(const lm_sampling *p, const int16_t *logits, int32_t count,
                        uint32_t *random_state);

#endif
