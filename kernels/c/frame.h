/* SPDX-License-Identifier: Apache-2.0
 * Texts with the tokens around them. The file of a tokenizer that includes this defines how one
 * text is tokenized. */
#ifndef LM_FRAME_H
#define LM_FRAME_H

#include <string.h>

#include "text.h"

/* Where the tokens of one text go; those beyond the capacity are only counted. */
typedef struct {
  uint16_t *ids; /* (capacity) */
  int32_t capacity;
  int32_t count;
} lm_token_list;

static void lm_emit(lm_token_list *list, uint32_t token) {
  if (list->count < list->capacity) list->ids[list->count] = (uint16_t)token;
  list->count++;
}

/* Returns how many tokens there are; without `count_all` it may stop past the capacity.
 * tokenizer: what the file that includes this was given. */
static int32_t lm_tokenize_text(const void *tokenizer, lm_text text, uint16_t *ids,
                                int32_t capacity, bool count_all);

static int32_t lm_min(int32_t a, int32_t b) { return a < b ? a : b; }

/*
 * Writes text, or text and pair where `pair.data` is not NULL, with the tokens around them to
 * ids[0..max_tokens). Too long pairs are cut as Hugging Face's `longest_first` does. 0 tokens where
 * max_tokens has no room for the tokens around.
 */
static lm_tokens lm_tokenize_framed(const void *tokenizer, const lm_frame *frame, lm_text text,
                                    lm_text pair, uint16_t *ids, int32_t max_tokens) {
  lm_tokens result = {0, 0, true};
  const bool has_pair = pair.data != NULL;
  const int32_t between = has_pair ? frame->between : 0;
  const int32_t room = max_tokens - frame->before - between - frame->after;
  if (room < 0) return result;

  uint16_t *const text_ids = ids + frame->before;
  int32_t first = lm_tokenize_text(tokenizer, text, text_ids, room, has_pair);
  const int32_t written = lm_min(first, room);
  int32_t second = 0;
  if (has_pair) {
    second = lm_tokenize_text(tokenizer, pair, text_ids + written + between, room - written, true);
  }

  result.truncated = first > room - second;
  if (result.truncated && has_pair) {
    /* The longer gives way until both are equally long; they share the rest, the odd one to it. */
    const int32_t shorter = lm_min(lm_min(first, second), room / 2);
    first = first > second ? room - shorter : shorter;
    second = room - first;
    /* Where the first gave way, the pair moves down and has more room: it is read again. */
    if (first != written) {
      lm_tokenize_text(tokenizer, pair, text_ids + first + between, second, false);
    }
  }
  first = lm_min(first, room);
  const int32_t texts = first + between + second;
  const uint16_t *const around = frame->tokens;
  memcpy(ids, around, frame->before * sizeof *ids);
  memcpy(text_ids + first, around + frame->before, (size_t)between * sizeof *ids);
  memcpy(text_ids + texts, around + frame->before + frame->between, frame->after * sizeof *ids);
  result.tokens = frame->before + texts + frame->after;
  const bool is_split = has_pair && frame->segment_break >= 0;
  result.segment_start = is_split ? frame->before + first + frame->segment_break : result.tokens;
  return result;
}

#endif
