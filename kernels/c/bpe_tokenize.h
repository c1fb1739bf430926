/* SPDX-License-Identifier: Apache-2.0
 * BPE in order of detail: texts, one text, one piece, the window, one merge; spelling. The files that
 * include this say before it how a text is read (lm_reader). */
#ifndef LM_BPE_TOKENIZE_H
#define LM_BPE_TOKENIZE_H

#include <string.h>

#include "frame.h"
#include "specials.h"
#include "utf8.h"

static lm_reader lm_reader_of(const lm_bpe *t, lm_text text, size_t at);

/* toolchain/tokenizer/bpe/split.ts: characterClasses. */
enum { CLASS_OTHER, CLASS_LETTER, CLASS_NUMBER, CLASS_SPACE, CLASS_END };

#define NO_TOKEN 0xFFFFu
#define NO_ROW 0xFFFFu

lm_tokens lm_bpe_tokenize(const lm_bpe *t, lm_text text, lm_text pair, uint16_t *ids,
                          int32_t max_tokens) {
  return lm_tokenize_framed(t, &t->frame, text, pair, ids, max_tokens);
}

/* Part of a text, with a space before it or not. */
typedef struct {
  lm_reader reader; /* its text ends where the part does */
  bool has_space;
  bool marks_spaces;
} cursor;

#define WORD_MARK 0x2581u

/* The base tokens of a piece, or of as much of it as is merged at once. */
typedef struct {
  uint16_t tokens[LM_BPE_WINDOW]; /* (count) */
  uint16_t rows[LM_BPE_WINDOW];   /* (count - 1) which row merges a token with the next; scratch */
  int32_t count;
} merge_window;

static bool takes_prefix(const lm_bpe *t, const cursor *part, bool is_first);
static bool is_at_end(const cursor *at);
static uint32_t pass_piece(const lm_bpe *t, cursor *at);
static uint32_t next_char(cursor *at);
static void push_char(const lm_bpe *t, merge_window *window, lm_token_list *list,
                      uint32_t code_point);
static void merge(const lm_bpe *t, merge_window *window);
static void give_away(const lm_bpe *t, lm_token_list *list, uint16_t token);

static int32_t lm_tokenize_text(const void *tokenizer, lm_text text, uint16_t *ids,
                                int32_t capacity, bool count_all) {
  const lm_bpe *const t = tokenizer;
  lm_token_list list = {ids, capacity, 0};
  merge_window window;
  window.count = 0;
  bool has_special = true;
  for (size_t at = 0; has_special;) {
    lm_found_special special = {text.bytes, text.bytes, 0};
    has_special = lm_find_special(&t->specials, text, at, &special);
    const lm_reader reader = lm_reader_of(t, (lm_text){text.data, special.start}, at);
    cursor part = {reader, false, t->marks_spaces};
    part.has_space = at < special.start && takes_prefix(t, &part, at == 0);
    while (!is_at_end(&part)) {
      if (!count_all && list.count > capacity) return list.count;
      cursor piece = part;
      for (uint32_t chars = pass_piece(t, &piece); chars > 0; chars--) {
        push_char(t, &window, &list, next_char(&part));
      }
      merge(t, &window);
      for (int32_t i = 0; i < window.count; i++) give_away(t, &list, window.tokens[i]);
      window.count = 0;
    }
    if (has_special) lm_emit(&list, special.token);
    at = special.end;
  }
  return list.count;
}

static uint32_t class_of(const lm_bpe *t, uint32_t code_point) {
  return t->run_classes[lm_find_run(t->planes, t->run_starts, code_point)];
}

static bool is_at_end(const cursor *at) { return !at->has_space && lm_is_read(&at->reader); }

static uint32_t next_char(cursor *at) {
  uint32_t code_point = ' ';
  if (at->has_space) {
    at->has_space = false;
  } else {
    code_point = lm_read_char(&at->reader);
  }
  return at->marks_spaces && code_point == ' ' ? WORD_MARK : code_point;
}

/* Whether a part that is not empty is read with a space before it. */
static bool takes_prefix(const lm_bpe *t, const cursor *part, bool is_first) {
  if (t->prefix == LM_BPE_PREFIX) return true;
  if (t->prefix == LM_BPE_NO_PREFIX) return false;
  if (t->prefix == LM_BPE_PREFIX_MISSING_FIRST && !is_first) return false;
  cursor copy = *part;
  return next_char(&copy) != (t->marks_spaces ? WORD_MARK : ' ');
}

/* A character, or the end of the part, where nothing was read. */
typedef struct {
  uint32_t code_point;
  uint32_t class;
} classed_char;

static classed_char peek(const lm_bpe *t, const cursor *at) {
  if (is_at_end(at)) return (classed_char){0, CLASS_END};
  cursor copy = *at;
  const uint32_t code_point = next_char(&copy);
  return (classed_char){code_point, class_of(t, code_point)};
}

static bool is_line_break(uint32_t code_point) { return code_point == '\n' || code_point == '\r'; }

static uint32_t contraction_chars(const lm_bpe *t, cursor at);
static bool leads(const lm_bpe *t, classed_char first, uint32_t next_class);
static uint32_t pass_spaces(const lm_bpe *t, cursor *at);

/* Characters of the piece here: toolchain/tokenizer/bpe/split.ts has the expressions. */
static uint32_t pass_piece(const lm_bpe *t, cursor *at) {
  uint32_t chars = 0;
  if (t->words == LM_BPE_WHOLE) {
    for (; !is_at_end(at); chars++) next_char(at);
    return chars;
  }
  if (t->words == LM_BPE_MARKS) {
    do {
      next_char(at);
      chars++;
    } while (!is_at_end(at) && peek(t, at).code_point != WORD_MARK);
    return chars;
  }
  const classed_char first = peek(t, at);
  if (t->isolates_digits && first.class == CLASS_NUMBER) return 1;
  chars = contraction_chars(t, *at);
  if (chars > 0) return chars;

  cursor behind = *at;
  next_char(&behind);
  uint32_t run_class = first.class;
  const uint32_t next_class = peek(t, &behind).class;
  if (leads(t, first, next_class)) {
    *at = behind;
    run_class = next_class;
    chars = 1;
  }
  if (run_class == CLASS_SPACE) return pass_spaces(t, at);
  const uint32_t most = run_class == CLASS_NUMBER ? t->most_digits : 0;
  for (uint32_t run = 0; most == 0 || run < most; run++, chars++) {
    if (peek(t, at).class != run_class) break;
    next_char(at);
  }
  if (t->words == LM_BPE_CL100K && run_class == CLASS_OTHER) {
    for (; is_line_break(peek(t, at).code_point); chars++) next_char(at);
  }
  return chars;
}

/* Whether the first character belongs to a run of the class behind it. */
static bool leads(const lm_bpe *t, classed_char first, uint32_t next_class) {
  const bool is_cl100k = t->words == LM_BPE_CL100K;
  switch (next_class) {
    case CLASS_LETTER:
      if (!is_cl100k) return first.code_point == ' ';
      return first.class != CLASS_LETTER && first.class != CLASS_NUMBER &&
             !is_line_break(first.code_point);
    case CLASS_NUMBER: return !is_cl100k && !t->isolates_digits && first.code_point == ' ';
    case CLASS_OTHER: return first.code_point == ' ';
    default: return false;
  }
}

/* All up to the last line break, or all but the last where a word follows. */
static uint32_t pass_spaces(const lm_bpe *t, cursor *at) {
  uint32_t chars = 0;
  uint32_t to_break = 0;
  classed_char next = peek(t, at);
  for (; next.class == CLASS_SPACE; next = peek(t, at)) {
    next_char(at);
    chars++;
    if (is_line_break(next.code_point)) to_break = chars;
  }
  if (t->words == LM_BPE_CL100K && to_break > 0) return to_break;
  const bool ends_part =
      next.class == CLASS_END || (t->isolates_digits && next.class == CLASS_NUMBER);
  return ends_part || chars == 1 ? chars : chars - 1;
}

/* "'s", "'ll" and their like; 0: there is none here. */
static uint32_t contraction_chars(const lm_bpe *t, cursor at) {
  if (next_char(&at) != '\'') return 0;
  uint32_t letters[2] = {0, 0};
  for (int i = 0; i < 2 && !is_at_end(&at); i++) {
    letters[i] = next_char(&at);
    if (t->words != LM_BPE_CL100K) continue;
    if (letters[i] >= 'A' && letters[i] <= 'Z') letters[i] += 'a' - 'A';
    if (letters[i] == 0x17F) letters[i] = 's'; /* the long s */
  }
  switch (letters[0]) {
    case 's':
    case 't':
    case 'm':
    case 'd': return 2;
    case 'r':
    case 'v': return letters[1] == 'e' ? 3 : 0;
    case 'l': return letters[1] == 'l' ? 3 : 0;
    default: return 0;
  }
}

static void make_room(const lm_bpe *t, merge_window *window, lm_token_list *list);

/* Adds the tokens of its bytes. */
static void push_char(const lm_bpe *t, merge_window *window, lm_token_list *list,
                      uint32_t code_point) {
  uint8_t bytes[LM_MAX_CHAR_BYTES];
  const uint16_t count = lm_encode_utf8(code_point, bytes);
  for (uint16_t i = 0; i < count; i++) {
    const uint16_t token = t->byte_tokens[bytes[i]];
    if (token == NO_TOKEN) continue;
    if (window->count == LM_BPE_WINDOW) make_room(t, window, list);
    window->tokens[window->count++] = token;
  }
}

static int32_t expand(const lm_bpe *t, uint16_t token, uint16_t *base);

/* Gives away the tokens of the first half of a full window, one at least; the others fall apart
 * again, for what follows them may merge otherwise. */
static void make_room(const lm_bpe *t, merge_window *window, lm_token_list *list) {
  merge(t, window);
  int32_t settled = 0; /* base tokens */
  int32_t read = 0;
  for (; read < window->count; read++) {
    settled += expand(t, window->tokens[read], window->rows);
    if (read > 0 && settled > LM_BPE_WINDOW / 2) break;
    give_away(t, list, window->tokens[read]);
  }
  int32_t start = LM_BPE_WINDOW; /* every token has a base token or more: none is overwritten */
  for (int32_t i = window->count - 1; i >= read; i--) {
    const int32_t parts = expand(t, window->tokens[i], window->rows);
    start -= parts;
    memcpy(window->tokens + start, window->rows, (size_t)parts * sizeof *window->tokens);
  }
  window->count = LM_BPE_WINDOW - start;
  memmove(window->tokens, window->tokens + start,
          (size_t)window->count * sizeof *window->tokens);
}

static uint16_t find_row(const lm_bpe *t, uint16_t left, uint16_t right);

/* The pair with the first row, the leftmost of several, until no pair has one. */
static void merge(const lm_bpe *t, merge_window *window) {
  uint16_t *const tokens = window->tokens;
  uint16_t *const rows = window->rows;
  for (int32_t i = 0; i + 1 < window->count; i++) rows[i] = find_row(t, tokens[i], tokens[i + 1]);
  for (;;) {
    uint16_t row = NO_ROW;
    int32_t at = 0;
    for (int32_t i = 0; i + 1 < window->count; i++) {
      if (rows[i] < row) {
        row = rows[i];
        at = i;
      }
    }
    if (row == NO_ROW) return;
    tokens[at] = t->results != NULL ? t->results[row] : (uint16_t)(t->first_merged + row);
    window->count--;
    const size_t moved = (size_t)(window->count - at - 1) * sizeof *tokens;
    memmove(tokens + at + 1, tokens + at + 2, moved);
    memmove(rows + at, rows + at + 1, moved);
    if (at > 0) rows[at - 1] = find_row(t, tokens[at - 1], tokens[at]);
    if (at + 1 < window->count) rows[at] = find_row(t, tokens[at], tokens[at + 1]);
  }
}

static uint16_t find_row(const lm_bpe *t, uint16_t left, uint16_t right) {
  uint32_t start = 0;
  uint32_t end = t->merge_rows;
  while (start < end) {
    const uint32_t middle = (start + end) / 2;
    const uint16_t row = t->order[middle];
    const uint16_t *pair = t->merges + 2 * (size_t)row;
    if (pair[0] == left && pair[1] == right) return row;
    if (pair[0] < left || (pair[0] == left && pair[1] < right)) {
      start = middle + 1;
    } else {
      end = middle;
    }
  }
  return NO_ROW;
}

/* The base tokens that a token was merged of; at most a window of them. */
static int32_t expand(const lm_bpe *t, uint16_t token, uint16_t *base) {
  int32_t count = 1;
  base[0] = token;
  for (int32_t i = 0; i < count;) {
    const uint16_t merged = base[i];
    const bool is_part = merged >= t->first_part;
    if (!is_part && (merged < t->first_merged || merged >= t->merged_end)) {
      i++;
      continue;
    }
    const uint16_t behind = is_part ? (uint16_t)(t->first_part - t->merged_end) : 0;
    const uint16_t index = (uint16_t)(merged - behind - t->first_merged);
    const uint16_t *pair = t->merges + 2 * (size_t)(t->rows_of != NULL ? t->rows_of[index] : index);
    memmove(base + i + 2, base + i + 1, (size_t)(count - i - 1) * sizeof *base);
    base[i] = pair[0];
    base[i + 1] = pair[1];
    count++;
  }
  return count;
}

/* What is only the beginning of a character falls apart again: it has at most three bytes. */
static void give_away(const lm_bpe *t, lm_token_list *list, uint16_t token) {
  uint16_t base[LM_MAX_CHAR_BYTES];
  const int32_t count = token >= t->first_part ? expand(t, token, base) : 1;
  if (token < t->first_part) base[0] = token;
  for (int32_t i = 0; i < count; i++) lm_emit(list, base[i]);
}

static const uint8_t *special_of(const lm_bpe *t, uint32_t token);
static int32_t unmark_spaces(uint8_t *bytes, int32_t count);

int32_t lm_bpe_spell(const lm_bpe *t, uint32_t token, uint8_t *bytes) {
  const uint8_t *special = special_of(t, token);
  if (special != NULL) {
    if (special[1] & LM_IS_SPECIAL) return 0;
    memcpy(bytes, special + LM_SPECIAL_HEADER, special[0]);
    return special[0];
  }
  if (token >= t->merged_end) return 0;
  uint16_t base[LM_BPE_WINDOW];
  const int32_t count = expand(t, (uint16_t)token, base);
  for (int32_t i = 0; i < count; i++) {
    uint32_t byte = 0;
    while (byte < 0xFF && t->byte_tokens[byte] != base[i]) byte++;
    bytes[i] = (uint8_t)byte;
  }
  return t->marks_spaces ? unmark_spaces(bytes, count) : count;
}

/* U+2581 is a space again. */
static int32_t unmark_spaces(uint8_t *bytes, int32_t count) {
  int32_t kept = 0;
  for (int32_t i = 0; i < count; i++) {
    const bool is_mark =
        i + 2 < count && bytes[i] == 0xE2 && bytes[i + 1] == 0x96 && bytes[i + 2] == 0x81;
    bytes[kept++] = is_mark ? ' ' : bytes[i];
    if (is_mark) i += 2;
  }
  return kept;
}

/* The entry of a special token, or NULL. */
static const uint8_t *special_of(const lm_bpe *t, uint32_t token) {
  const uint8_t *special = t->specials.entries;
  for (; special[0] != 0; special += special[0] + LM_SPECIAL_HEADER) {
    if ((special[2] | (uint32_t)special[3] << 8) == token) return special;
  }
  return NULL;
}

#endif
