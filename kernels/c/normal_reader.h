/* SPDX-License-Identifier: Apache-2.0
 * The characters of a text in a normal form of Unicode (UAX 15), for the files of tokenizers.
 *
 * No text is stored: marks behind a starter are put in order by reading them again for each combining
 * class among them, and what a starter takes in is found once to compose it, and again to skip it. So
 * any number of marks is read exactly, in the memory of one reader. */
#ifndef LM_NORMAL_READER_H
#define LM_NORMAL_READER_H

#include "normal_form.h"
#include "runs.h"
#include "utf8.h"

/* toolchain/tokenizer/compile-normal-form.ts: formClasses, mappedFirst. */
enum { LM_FORM_STARTER = 0, LM_FORM_JOINING = 61, LM_FORM_SYLLABLE = 62, LM_FORM_MAPPED = 63 };

/* Unicode: no character is decomposed canonically into more. */
enum { LM_MOST_PARTS = 4 };

#define LM_NO_CHAR UINT32_MAX

/* A place in the decomposed text. */
typedef struct {
  size_t at;     /* of the character in the text */
  uint32_t part; /* of what it is decomposed into */
} lm_part_place;

/* A copy reads on by itself. */
typedef struct {
  const lm_normal_form *form;
  lm_text text;
  lm_part_place next;
  lm_part_place run; /* where the marks begin that are being put in order */
  uint32_t rank;     /* of those of them that come next; 0: none are */
  uint32_t starter;  /* that marks behind it may still belong to; LM_NO_CHAR: none */
  uint32_t last_rank; /* of the mark behind it that was kept last; 0: none was */
} lm_reader;

static lm_reader lm_read_from(const lm_normal_form *form, lm_text text, size_t at) {
  const lm_part_place start = {at, 0};
  return (lm_reader){form, text, start, start, 0, LM_NO_CHAR, 0};
}

/* The arithmetic and its constants are the standard's: Unicode 3.12. */
enum { LM_S_BASE = 0xAC00, LM_L_BASE = 0x1100, LM_V_BASE = 0x1161, LM_T_BASE = 0x11A7 };
enum { LM_L_COUNT = 19, LM_V_COUNT = 21, LM_T_COUNT = 28 };
enum { LM_S_COUNT = LM_L_COUNT * LM_V_COUNT * LM_T_COUNT };

static uint32_t lm_syllable_part(uint32_t code_point, uint32_t part) {
  const uint32_t syllable = code_point - LM_S_BASE;
  const uint32_t trailing = syllable % LM_T_COUNT;
  switch (part) {
    case 0: return LM_L_BASE + syllable / (LM_V_COUNT * LM_T_COUNT);
    case 1: return LM_V_BASE + syllable / LM_T_COUNT % LM_V_COUNT;
    case 2: return trailing == 0 ? LM_NO_CHAR : LM_T_BASE + trailing;
    default: return LM_NO_CHAR;
  }
}

static uint32_t lm_sequence_part(const lm_normal_form *f, uint32_t row, uint32_t part) {
  const lm_text text = {f->text, SIZE_MAX};
  for (size_t at = f->rows[row]; f->text[at] != 0; part--) {
    const uint32_t code_point = lm_decode_utf8(text, &at);
    if (part == 0) return code_point;
  }
  return LM_NO_CHAR;
}

/* The row of a character, where it has one, and its place in the run. */
static bool lm_find_row(const lm_normal_form *f, uint32_t code_point, uint32_t *row,
                        uint32_t *offset) {
  const uint32_t run = lm_find_run(f->planes, f->run_starts, code_point);
  *row = f->run_values[run];
  if (*row < LM_FORM_MAPPED) return false;
  *row -= LM_FORM_MAPPED;
  *offset = (code_point & 0xFFFF) - f->run_starts[run];
  if (*row < f->first_single) return true;
  *row += *offset;
  *offset = 0;
  return true;
}

static uint32_t lm_tail_of(const lm_normal_form *f, uint32_t row) {
  return row < f->first_stable ? 0 : f->tails[f->tail_of[row - f->first_stable]];
}

/* What is `part` of what a character is decomposed into; LM_NO_CHAR: there are not so many. */
static uint32_t lm_decomposed_part(const lm_normal_form *f, uint32_t code_point, uint32_t part) {
  uint32_t tails[LM_MOST_PARTS];
  uint32_t count = 0;
  for (;;) {
    uint32_t row;
    uint32_t offset;
    if (!lm_find_row(f, code_point, &row, &offset)) {
      if (row == LM_FORM_SYLLABLE) return lm_syllable_part(code_point, part);
      break;
    }
    if (row >= f->first_sequence) return lm_sequence_part(f, row, part);
    const uint32_t tail = lm_tail_of(f, row);
    const uint32_t target = f->rows[row] + offset;
    if (tail == 0 && target == (code_point & 0xFFFF)) break; /* becomes itself */
    if (tail != 0) tails[count++] = tail;
    code_point = (tail & 0xFF0000) | target;
  }
  if (part == 0) return code_point;
  return part <= count ? tails[count - part] : LM_NO_CHAR;
}

/* The first of the two characters that a composite is made of, by the low 16 bits. */
static uint32_t lm_first_of(const lm_normal_form *f, uint32_t composite) {
  uint32_t row;
  uint32_t offset;
  return lm_find_row(f, composite, &row, &offset) ? f->rows[row] : LM_NO_CHAR;
}

/* The character that two become, or LM_NO_CHAR. */
static uint32_t lm_compose(const lm_normal_form *f, uint32_t first, uint32_t second) {
  const uint32_t lead = first - LM_L_BASE;
  const uint32_t vowel = second - LM_V_BASE;
  if (lead < LM_L_COUNT && vowel < LM_V_COUNT) {
    return LM_S_BASE + (lead * LM_V_COUNT + vowel) * LM_T_COUNT;
  }
  const uint32_t syllable = first - LM_S_BASE;
  const uint32_t trailing = second - LM_T_BASE;
  if (syllable < LM_S_COUNT && syllable % LM_T_COUNT == 0 && trailing - 1 < LM_T_COUNT - 1) {
    return first + trailing;
  }
  uint32_t tail = 1;
  uint32_t end = f->composing_tails + 1u;
  while (tail < end) {
    const uint32_t middle = (tail + end) / 2;
    if (f->tails[middle] < second) {
      tail = middle + 1;
    } else {
      end = middle;
    }
  }
  if (tail > f->composing_tails || f->tails[tail] != second || first >> 16 != second >> 16) {
    return LM_NO_CHAR;
  }
  const uint32_t plane = second & 0xFF0000;
  uint32_t from = f->groups[tail - 1];
  uint32_t to = f->groups[tail];
  while (from < to) {
    const uint32_t middle = (from + to) / 2;
    const uint32_t composite = plane | f->composites[middle];
    const uint32_t its_first = lm_first_of(f, composite);
    if (its_first == (first & 0xFFFF)) return composite;
    if (its_first < (first & 0xFFFF)) {
      from = middle + 1;
    } else {
      to = middle;
    }
  }
  return LM_NO_CHAR;
}

/* The next character of the decomposed text, LM_NO_CHAR at the end. */
static uint32_t lm_read_part(const lm_reader *reader, lm_part_place *place) {
  while (place->at < reader->text.bytes) {
    size_t behind = place->at;
    const uint32_t code_point = lm_decode_utf8(reader->text, &behind);
    const uint32_t part = lm_decomposed_part(reader->form, code_point, place->part);
    if (part == LM_NO_CHAR || part == code_point) {
      *place = (lm_part_place){behind, 0};
    } else {
      place->part++;
    }
    if (part != LM_NO_CHAR) return part;
  }
  return LM_NO_CHAR;
}

/* Of a character of the decomposed text: the rank of its combining class; 0: a starter. */
static uint32_t lm_rank_of(const lm_normal_form *f, uint32_t code_point) {
  if (code_point == LM_NO_CHAR) return 0;
  const uint32_t value = f->run_values[lm_find_run(f->planes, f->run_starts, code_point)];
  return value < LM_FORM_JOINING ? value : 0;
}

/* The lowest rank above `rank` among the marks there, 0: there is none; `end` is behind the marks. */
static uint32_t lm_next_rank(const lm_reader *reader, lm_part_place from, uint32_t rank,
                             lm_part_place *end) {
  uint32_t lowest = 0;
  for (;;) {
    *end = from;
    const uint32_t next = lm_rank_of(reader->form, lm_read_part(reader, &from));
    if (next == 0) return lowest;
    if (next > rank && (lowest == 0 || next < lowest)) lowest = next;
  }
}

/* The next character of the decomposed text in canonical order, LM_NO_CHAR at the end. It stays where
 * it is, but is found at once from there on; `behind` is the place behind it. */
static uint32_t lm_next_ordered(lm_reader *reader, lm_part_place *behind) {
  for (;;) {
    lm_part_place place = reader->next;
    *behind = place;
    uint32_t code_point = lm_read_part(reader, behind);
    uint32_t rank = lm_rank_of(reader->form, code_point);
    if (reader->rank == 0 && rank != 0) {
      reader->run = place;
      reader->rank = lm_next_rank(reader, place, 0, behind);
      continue;
    }
    while (rank != 0 && rank != reader->rank) {
      place = *behind;
      code_point = lm_read_part(reader, behind);
      rank = lm_rank_of(reader->form, code_point);
    }
    if (rank == reader->rank) {
      reader->next = place;
      return code_point;
    }
    reader->rank = lm_next_rank(reader, reader->run, reader->rank, &place);
    reader->next = reader->rank == 0 ? place : reader->run;
  }
}

static uint32_t lm_read_ordered(lm_reader *reader) {
  lm_part_place behind;
  const uint32_t code_point = lm_next_ordered(reader, &behind);
  reader->next = behind;
  return code_point;
}

/* Passes what the starter takes in, up to what it does not, which stays where it is (Unicode D117). */
static void lm_take_in(lm_reader *reader) {
  for (;;) {
    lm_part_place behind;
    const uint32_t code_point = lm_next_ordered(reader, &behind);
    const uint32_t rank = lm_rank_of(reader->form, code_point);
    if (!reader->form->composes || reader->starter == LM_NO_CHAR || code_point == LM_NO_CHAR ||
        (reader->last_rank != 0 && reader->last_rank >= rank)) {
      return;
    }
    const uint32_t composite = lm_compose(reader->form, reader->starter, code_point);
    if (composite == LM_NO_CHAR) return;
    reader->next = behind;
    reader->starter = composite;
  }
}

/* What the starter becomes with all marks behind it. */
static uint32_t lm_composed_starter(lm_reader ahead) {
  while (ahead.form->composes) {
    lm_take_in(&ahead);
    const uint32_t rank = lm_rank_of(ahead.form, lm_read_ordered(&ahead));
    if (rank == 0) break;
    ahead.last_rank = rank;
  }
  return ahead.starter;
}

static bool lm_is_printable(uint32_t code_point) { return code_point >= 0x20 && code_point < 0x7F; }

/* Whether it begins with a starter that belongs to nothing before it, and stays as it is where the
 * like of it follows. */
static bool lm_is_stable(const lm_normal_form *f, uint32_t code_point) {
  if (lm_is_printable(code_point)) return true;
  uint32_t row;
  uint32_t offset;
  if (lm_find_row(f, code_point, &row, &offset)) {
    return row >= f->first_stable && row < f->first_pair;
  }
  return row == LM_FORM_STARTER || (row == LM_FORM_SYLLABLE && f->composes);
}

/* Whether the next character stays as it is: so does most text. It is passed then. */
static bool lm_pass_stable(lm_reader *reader) {
  size_t at = reader->next.at;
  if (reader->rank != 0 || reader->next.part != 0 || at >= reader->text.bytes) return false;
  const uint32_t code_point = lm_decode_utf8(reader->text, &at);
  if (!lm_is_stable(reader->form, code_point)) return false;
  size_t behind = at;
  if (at < reader->text.bytes &&
      !lm_is_stable(reader->form, lm_decode_utf8(reader->text, &behind))) {
    return false;
  }
  reader->starter = code_point;
  reader->next.at = at;
  return true;
}

static bool lm_is_read(const lm_reader *reader) {
  const size_t at = reader->next.at;
  if (at < reader->text.bytes && lm_is_printable(reader->text.data[at]) &&
      reader->next.part == 0) {
    return false;
  }
  lm_reader ahead = *reader;
  lm_part_place behind;
  return !lm_pass_stable(&ahead) && lm_next_ordered(&ahead, &behind) == LM_NO_CHAR;
}

static uint32_t lm_read_char(lm_reader *reader) {
  if (lm_pass_stable(reader)) return reader->starter;
  uint32_t code_point = lm_read_ordered(reader);
  reader->last_rank = lm_rank_of(reader->form, code_point);
  if (reader->last_rank == 0) {
    reader->starter = code_point;
    code_point = lm_composed_starter(*reader);
  }
  lm_take_in(reader);
  return code_point;
}

#endif
