/* SPDX-License-Identifier: Apache-2.0
 * Unigram in order of detail: texts, one text, one part, one character, one word, its best path. The
 * files that include this say how the characters of a part are read. */
#ifndef LM_UNIGRAM_TOKENIZE_H
#define LM_UNIGRAM_TOKENIZE_H

#include <string.h>

#include "frame.h"
#include "specials.h"
#include "unigram_normalize.h"

#define WORD_MARK 0x2581u
#define NO_TOKEN 0xFFFFu

lm_tokens lm_unigram_tokenize(const lm_unigram *t, lm_text text, lm_text pair, uint16_t *ids,
                              int32_t max_tokens) {
  return lm_tokenize_framed(t, &t->frame, text, pair, ids, max_tokens);
}

/* The word being read, or as much of it as is looked at together, and the best paths in it. */
typedef struct {
  uint8_t bytes[LM_UNIGRAM_WINDOW]; /* UTF-8 */
  uint32_t length;
  bool is_after_unknown;
  /* By the bytes before it; then, for the best path, token << 16 | bytes of the piece there. */
  int64_t best[LM_UNIGRAM_WINDOW + 1];
  uint16_t tokens[LM_UNIGRAM_WINDOW + 1]; /* the last piece of the best path up to there */
  uint16_t sizes[LM_UNIGRAM_WINDOW + 1];  /* and its bytes; 0: none ends there */
} word_window;

/* A part of a text between special tokens, being read. */
typedef struct {
  unigram_normalizer normalizer; /* first, so that its functions reach the reader */
  const lm_unigram *t;
  word_window *window;
  lm_token_list *list;
  uint32_t count;    /* characters of the normalized text */
  uint32_t kept;     /* without the white space at the end */
  int32_t most_tokens; /* reading stops past them */
  bool is_measured;  /* they are only counted */
  bool takes_prefix;
  bool is_at_start;  /* of the part, or behind white space that splits */
  bool is_after_space;
} part_reader;

static void read_part(part_reader *reader, lm_text part);
static void end_word(const lm_unigram *t, word_window *window, lm_token_list *list);

static int32_t lm_tokenize_text(const void *tokenizer, lm_text text, uint16_t *ids,
                                int32_t capacity, bool count_all) {
  const lm_unigram *const t = tokenizer;
  lm_token_list list = {ids, capacity, 0};
  word_window window;
  window.length = 0;
  window.is_after_unknown = false;
  bool has_special = true;
  const int32_t most_tokens = count_all ? INT32_MAX : capacity;
  for (size_t at = 0; has_special && list.count <= most_tokens;) {
    lm_found_special special = {text.bytes, text.bytes, 0};
    has_special = lm_find_special(&t->specials, text, at, &special);
    const lm_text part = {text.data + at, special.start - at};
    part_reader reader = {.t = t, .window = &window, .list = &list, .is_at_start = true};
    reader.normalizer.rules = &t->normalizer;
    reader.takes_prefix =
        t->prefix == LM_PREFIX_ALWAYS || (t->prefix == LM_PREFIX_FIRST && at == 0);
    reader.most_tokens = most_tokens;
    reader.kept = UINT32_MAX;
    if (t->normalizer.strips_right) {
      part_reader measured = reader;
      measured.is_measured = true;
      measured.kept = 0;
      read_part(&measured, part);
      reader.kept = measured.kept;
    }
    read_part(&reader, part);
    end_word(t, &window, &list);
    if (has_special) lm_emit(&list, special.token);
    at = special.end;
  }
  return list.count;
}

static bool is_full(const part_reader *reader) {
  return reader->list->count > reader->most_tokens;
}

static void push_char(const lm_unigram *t, word_window *window, lm_token_list *list,
                      uint32_t code_point);

static void put_normalized(unigram_normalizer *n, uint32_t code_point) {
  part_reader *const reader = (part_reader *)(void *)n;
  const lm_unigram *const t = reader->t;
  reader->count++;
  if (reader->is_measured) {
    if (!lm_is_white_space(code_point)) reader->kept = reader->count;
    return;
  }
  if (reader->count > reader->kept) return;
  const bool repeats = reader->is_after_space && code_point == ' ';
  reader->is_after_space = code_point == ' ';
  if (repeats && t->normalizer.collapses_spaces) return;
  if (t->splits_at_white_space && lm_is_white_space(code_point)) {
    end_word(t, reader->window, reader->list);
    reader->is_at_start = true;
    return;
  }
  if (code_point == ' ') code_point = WORD_MARK;
  const bool is_mark = code_point == WORD_MARK;
  if (reader->is_at_start && reader->takes_prefix && !is_mark) {
    push_char(t, reader->window, reader->list, WORD_MARK);
  }
  reader->is_at_start = false;
  if (is_mark && t->splits_at_marks) end_word(t, reader->window, reader->list);
  push_char(t, reader->window, reader->list, code_point);
}

static void emit_pieces(const lm_unigram *t, word_window *window, lm_token_list *list,
                        bool is_cut);

static void push_char(const lm_unigram *t, word_window *window, lm_token_list *list,
                      uint32_t code_point) {
  uint8_t bytes[LM_MAX_CHAR_BYTES];
  const uint16_t count = lm_encode_utf8(code_point, bytes);
  if (window->length + count > LM_UNIGRAM_WINDOW) emit_pieces(t, window, list, true);
  memcpy(window->bytes + window->length, bytes, count);
  window->length += count;
}

static void end_word(const lm_unigram *t, word_window *window, lm_token_list *list) {
  if (window->length > 0) emit_pieces(t, window, list, false);
  window->is_after_unknown = false;
}

static void find_best_path(const lm_unigram *t, word_window *window);

static uint32_t piece_bytes(const word_window *window, uint32_t at) {
  return (uint32_t)window->best[at] & 0xFFFF;
}

static uint32_t piece_token(const word_window *window, uint32_t at) {
  return (uint32_t)(window->best[at] >> 16);
}

/* Whether the unknown character, or the unknown token's own text, is there. */
static bool is_unknown(const lm_unigram *t, uint32_t token) {
  return token == NO_TOKEN || token == t->unknown;
}

/* Gives away the pieces of the window, where it is cut those of its first half, one at least; the
 * rest of it is looked at again. Neighbours that are unknown are one token, or all of their bytes. */
static void emit_pieces(const lm_unigram *t, word_window *window, lm_token_list *list,
                        bool is_cut) {
  find_best_path(t, window);
  uint32_t end = window->length; /* of the pieces given away */
  if (is_cut) {
    end = piece_bytes(window, 0);
    while (end < window->length &&
           end + piece_bytes(window, end) <= LM_UNIGRAM_WINDOW / 2) {
      end += piece_bytes(window, end);
    }
  }
  bool is_after_unknown = window->is_after_unknown && t->byte_tokens == NULL;
  for (uint32_t at = 0; at < end;) {
    const uint32_t token = piece_token(window, at);
    const uint32_t next = at + piece_bytes(window, at);
    const bool is_before_unknown = next < end && is_unknown(t, piece_token(window, next));
    if (!is_unknown(t, token)) {
      lm_emit(list, token);
    } else if (t->byte_tokens != NULL &&
               (token == NO_TOKEN || is_after_unknown || is_before_unknown)) {
      for (uint32_t i = at; i < next; i++) lm_emit(list, t->byte_tokens[window->bytes[i]]);
    } else if (!is_after_unknown) {
      lm_emit(list, t->unknown);
    }
    is_after_unknown = is_unknown(t, token);
    at = next;
  }
  window->is_after_unknown = is_after_unknown;
  window->length -= end;
  memmove(window->bytes, window->bytes + end, window->length);
}

static int32_t score_of(const lm_unigram *t, uint32_t token) {
  const uint32_t bit = token * t->score_bits;
  const uint32_t shift = bit & 31;
  const uint32_t *word = t->scores + (bit >> 5);
  const uint64_t both = word[0] | (uint64_t)word[1] << 32;
  const uint32_t mask = (1u << t->score_bits) - 1;
  return (int32_t)((uint32_t)t->score_base + ((uint32_t)(both >> shift) & mask));
}

/* The way to `end` over a piece that starts at `start`, where it is better than the one known. */
static void consider(word_window *window, uint32_t start, uint32_t size, uint32_t token,
                     int32_t score) {
  const uint32_t end = start + size;
  const int64_t sum = window->best[start] + score;
  if (window->sizes[end] != 0 && sum <= window->best[end]) return;
  window->best[end] = sum;
  window->tokens[end] = (uint16_t)token;
  window->sizes[end] = (uint16_t)size;
}

/* Viterbi's algorithm: of all ways to split the window into pieces the one with the best sum of
 * scores; the earlier start wins where sums are equal. */
static void find_best_path(const lm_unigram *t, word_window *window) {
  const uint32_t length = window->length;
  memset(window->sizes, 0, (length + 1) * sizeof *window->sizes);
  window->best[0] = 0;
  for (uint32_t start = 0; start < length;) {
    const uint32_t size = char_bytes(window->bytes[start]);
    bool is_known = false; /* a piece is this character alone */
    lm_trie_walk walk = {{t->codes, t->labels}, t->trie, 0, 0};
    uint32_t token = 0;
    for (uint32_t bytes; (bytes = lm_next_prefix(&walk, window->bytes + start, length - start,
                                                 &token)) > 0;) {
      consider(window, start, bytes, token, score_of(t, token));
      is_known = is_known || bytes == size;
    }
    if (!is_known) consider(window, start, size, NO_TOKEN, t->unknown_score);
    start += size;
  }
  for (uint32_t end = length; end > 0;) {
    const uint32_t size = window->sizes[end];
    const uint32_t token = window->tokens[end];
    end -= size;
    window->best[end] = (int64_t)((uint64_t)token << 16 | size);
  }
}

#endif
