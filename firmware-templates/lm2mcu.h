/* SPDX-License-Identifier: Apache-2.0
 * The interface between a compiled model and the program that uses it: the console of this
 * firmware, or your own main().
 *
 * The caller owns all memory: one arena, 16-byte aligned, of LM2MCU_ARENA_BYTES (lm2mcu_model.h).
 * There is no heap, no global state besides constants, and nothing here prints.
 *
 *   arena  | tokens, state ...        | free for text until lm2mcu_run        |
 *          0                          text_offset                 arena_bytes
 *
 * One answer is: lm2mcu_tokenize or lm2mcu_set_tokens, then lm2mcu_run. The result lies in the
 * arena and is valid until the next call.
 */
#ifndef LM2MCU_H
#define LM2MCU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
  LM2MCU_OK = 0,
  /* More token ids than max_tokens (text is cut instead, see lm2mcu_tokens). */
  LM2MCU_ERROR_TOO_LONG,
  /* A token id outside the vocabulary, no token at all, or a segment start outside the ids. */
  LM2MCU_ERROR_BAD_TOKEN,
  /* The arena is not 16-byte aligned, or lm2mcu_run came before any tokens. */
  LM2MCU_ERROR_ARENA,
  /* The NPU refused a job or failed; npu/npu.h has a function that says why. */
  LM2MCU_ERROR_NPU
} lm2mcu_status;

typedef enum {
  LM2MCU_CLASSIFICATION,
  LM2MCU_TOKEN_CLASSIFICATION,
  LM2MCU_EMBEDDING,
  LM2MCU_GENERATION
} lm2mcu_kind;

typedef struct {
  const char *name;
  const char *target; /* the board it was planned for */
  const char *sha256; /* of the compiled graph, 64 hexadecimal digits */
  lm2mcu_kind kind;
  int32_t max_tokens;
  int32_t outputs;    /* values per row of the result */
  float output_scale; /* real value = integer * output_scale */
  const char *const *labels; /* (label_count); NULL: none */
  int32_t label_count;
  const char *constraint; /* what generated texts meet: "json-schema", ...; NULL: anything */
  uint32_t arena_bytes;
  /* Arena bytes from here on are free for text, or for token ids, until lm2mcu_run. A multiple of
   * 4, with at least 4 * max_tokens bytes behind it, so that max_tokens ids can lie there. */
  uint32_t text_offset;
} lm2mcu_card;

typedef struct {
  int32_t tokens; /* special tokens included */
  bool truncated; /* the text had more than max_tokens */
} lm2mcu_tokens;

typedef struct {
  int32_t rows; /* 1, or the number of tokens */
  int32_t columns;
  const int16_t *values; /* (rows, columns), in the arena */
} lm2mcu_result;

const lm2mcu_card *lm2mcu_model_card(void);

/* Tokenizes UTF-8 text, or a text pair where pair_or_null is given, into the arena. Both may lie
 * in the arena behind text_offset; neither needs a terminating zero. */
lm2mcu_status lm2mcu_tokenize(void *arena, const char *text, size_t text_bytes,
                              const char *pair_or_null, size_t pair_bytes, lm2mcu_tokens *tokens);

/* Takes compact token ids as they are, special tokens included. Ids from segment_start on belong
 * to the second segment; segment_start == count: one segment. ids may lie in the arena behind
 * text_offset. */
lm2mcu_status lm2mcu_set_tokens(void *arena, const int32_t *ids, int32_t count,
                                int32_t segment_start);

lm2mcu_status lm2mcu_run(void *arena, lm2mcu_result *result);

/* Index of the largest value, the first of equals. */
int32_t lm2mcu_best(const int16_t *values, int32_t columns);

/* ---- A model that generates (LM2MCU_GENERATION) ----
 *
 * lm2mcu_run gives the logits of the token after the last one. lm2mcu_choose takes one by them,
 * lm2mcu_append puts it behind the others, and the next lm2mcu_run computes no more than that token:
 * the arena keeps what is known of those before, as long as nobody else writes to it. */

typedef struct {
  uint32_t temperature; /* in 1/1000; 0: always the token of the largest logit */
  int32_t top_k;        /* only so many tokens, those of the largest logits; 0: all */
  uint32_t top_p;       /* in 1/1000: only as many as have that share together; 1000: all */
} lm2mcu_sampling;

/* One text as it is written; {.random_state = seed} begins it. */
typedef struct {
  uint32_t random_state; /* any number; the same seed gives the same tokens everywhere */
  uint16_t place;        /* where it is in what the build permits */
} lm2mcu_writing;

/* The next token, by the result of lm2mcu_run, which it uses up. most_tokens: so many may follow,
 * this one among them; a build with a constraint permits only what can be complete with as many.
 * -1: such a build permits no token here. */
int32_t lm2mcu_choose(const lm2mcu_result *result, const lm2mcu_sampling *sampling,
                      int32_t most_tokens, lm2mcu_writing *writing);

/* Whether lm2mcu_choose needs another lm2mcu_run: where one token alone is permitted, it does not, and
 * the next run computes several tokens at once. */
bool lm2mcu_needs_run(const lm2mcu_writing *writing);

/* Whether the text is at its end, for nothing that is permitted can follow. */
bool lm2mcu_is_over(const lm2mcu_writing *writing);

/* Whether the text is one that the build permits; any is where there is no constraint. */
bool lm2mcu_is_complete(const lm2mcu_writing *writing);

lm2mcu_status lm2mcu_append(void *arena, int32_t id);

/* Room for the bytes of a token. */
#define LM2MCU_TOKEN_BYTES 256

/* What a token stands for, in bytes of UTF-8 that may end inside a character; how many. None for special
 * tokens, and for tokenizers that cannot tell. */
int32_t lm2mcu_spell(int32_t id, uint8_t *bytes);

/* All tokens so far. */
const uint16_t *lm2mcu_token_ids(const void *arena);

/* Whether the model says so by this token. */
bool lm2mcu_ends_text(int32_t id);

#ifdef __cplusplus
}
#endif

#endif
