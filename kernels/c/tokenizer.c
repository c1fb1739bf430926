/* The tokenizer in order of detail: texts, one text, one word, one piece, one character. */
#include "tokenizer.h"

#include <string.h>

#include "frame.h"
#include "runs.h"
#include "trie.h"
#include "utf8.h"

/* toolchain/tokenizer/char-map.ts: actionKinds. */
enum {
  ACTION_SHIFT,
  ACTION_SPACE,
  ACTION_DROP,
  ACTION_BOUNDARY,
  ACTION_TABLE,
  ACTION_SEQUENCE,
  ACTION_HANGUL,
  ACTION_MARK
};
enum { ACTION_KIND_MASK = 7, ACTION_ISOLATED = 8, ACTION_ARGUMENT = 16 };
enum { ASCII_DROPPED = 0, ASCII_SPACE = 0x20, ASCII_ISOLATED = 0x80 };

enum { SEQUENCE_COLUMNS = 4 };

/* The word being read, normalized. */
typedef struct {
  uint8_t bytes[LM_MAX_WORD_CHARS * LM_MAX_CHAR_BYTES]; /* UTF-8 */
  uint16_t length;    /* bytes */
  uint16_t run_start; /* offset of the marks that a mark added now is put in order with */
  uint8_t chars;
  uint8_t max_chars;
  bool too_long; /* more than max_chars, which are kept */
} word_buffer;

lm_tokens lm_tokenize(const lm_tokenizer *t, lm_text text, lm_text pair, uint16_t *ids,
                      int32_t max_tokens) {
  return lm_tokenize_framed(t, &t->frame, text, pair, ids, max_tokens);
}

static const uint8_t *find_special(const lm_tokenizer *t, lm_text text, size_t at);
static void read_character(const lm_tokenizer *t, word_buffer *word, lm_token_list *list,
                           uint32_t code_point);
static void end_word(const lm_tokenizer *t, word_buffer *word, lm_token_list *list);

static void clear_word(word_buffer *word) {
  word->length = 0;
  word->run_start = 0;
  word->chars = 0;
  word->too_long = false;
}

static int32_t lm_tokenize_text(const void *tokenizer, lm_text text, uint16_t *ids,
                                int32_t capacity, bool count_all) {
  const lm_tokenizer *const t = tokenizer;
  lm_token_list list = {ids, capacity, 0};
  word_buffer word;
  word.max_chars = t->max_word_chars;
  clear_word(&word);
  for (size_t at = 0; at < text.bytes && (count_all || list.count <= capacity);) {
    const uint8_t *special = find_special(t, text, at);
    if (special == NULL) {
      read_character(t, &word, &list, lm_decode_utf8(text, &at));
      continue;
    }
    end_word(t, &word, &list);
    at += special[0];
    const uint8_t *index = special + 1 + special[0];
    lm_emit(&list, index[0] | (uint32_t)index[1] << 8);
  }
  end_word(t, &word, &list);
  return list.count;
}

/* The longest special token that the text has here, or NULL. */
static const uint8_t *find_special(const lm_tokenizer *t, lm_text text, size_t at) {
  const uint8_t lead = text.data[at];
  if (lead < t->special_lead_min || lead > t->special_lead_max) return NULL;
  const uint8_t *special = t->specials; /* the longest first */
  for (; special[0] != 0; special += special[0] + 3) {
    if (special[0] <= text.bytes - at && memcmp(text.data + at, special + 1, special[0]) == 0) {
      return special;
    }
  }
  return NULL;
}

static uint32_t longest_token(const lm_tokenizer *t, bool continues, const uint8_t *bytes,
                              uint32_t length, uint32_t *token);

/* WordPiece: the longest token first, again and again; one unknown piece spoils the whole word. */
static void end_word(const lm_tokenizer *t, word_buffer *word, lm_token_list *list) {
  const int32_t count = list->count;
  bool is_known = !word->too_long;
  for (uint32_t start = 0; is_known && start < word->length;) {
    uint32_t token = 0;
    const uint32_t length =
        longest_token(t, start > 0, word->bytes + start, word->length - start, &token);
    is_known = length > 0;
    start += length;
    lm_emit(list, token);
  }
  if (!is_known) {
    list->count = count;
    lm_emit(list, t->unknown);
  }
  clear_word(word);
}

/* The size of the longest token that `bytes` begin with, 0 if there is none. */
static uint32_t longest_token(const lm_tokenizer *t, bool continues, const uint8_t *bytes,
                              uint32_t length, uint32_t *token) {
  lm_trie_walk walk = {{t->codes, t->labels},
                       t->trie + (continues ? t->continuation_offset : 0),
                       continues ? t->continuation_first : 0,
                       0};
  uint32_t longest = 0;
  for (;;) {
    const uint32_t next = lm_next_prefix(&walk, bytes, length, token);
    if (next == 0) return longest;
    longest = next;
  }
}

typedef struct {
  uint32_t code_point;
  int32_t action;
} mapped_character;

static mapped_character map_character(const lm_character_map *map, uint32_t code_point);
static void append(const lm_character_map *map, word_buffer *word, uint32_t code_point);
static void append_mark(const lm_character_map *map, word_buffer *word, uint32_t code_point,
                        int32_t rank);
static void append_sequence(const lm_character_map *map, word_buffer *word, uint32_t code_point);
static void append_hangul(word_buffer *word, uint32_t code_point);
static void append_starter(word_buffer *word, uint32_t code_point);

/* Adds the character, normalized, to the word, or ends the word, or both. */
static void read_character(const lm_tokenizer *t, word_buffer *word, lm_token_list *list,
                           uint32_t code_point) {
  const lm_character_map *map = &t->characters;
  const mapped_character mapped = map_character(map, code_point);
  const bool is_isolated = mapped.action & ACTION_ISOLATED;
  if (is_isolated) end_word(t, word, list);
  switch (mapped.action & ACTION_KIND_MASK) {
    case ACTION_SPACE: end_word(t, word, list); break;
    case ACTION_DROP: break;
    case ACTION_BOUNDARY: word->run_start = word->length; break;
    case ACTION_SEQUENCE: append_sequence(map, word, code_point); break;
    case ACTION_HANGUL: append_hangul(word, code_point); break;
    case ACTION_MARK:
      append_mark(map, word, code_point, mapped.action / ACTION_ARGUMENT);
      break;
    default: append_starter(word, mapped.code_point); break;
  }
  if (is_isolated) end_word(t, word, list);
}

static mapped_character map_character(const lm_character_map *map, uint32_t code_point) {
  if (code_point < 0x80) {
    const uint8_t entry = map->ascii[code_point];
    if (entry == ASCII_DROPPED) return (mapped_character){0, ACTION_DROP};
    if (entry == ASCII_SPACE) return (mapped_character){0, ACTION_SPACE};
    return (mapped_character){entry & 0x7Fu, entry & ASCII_ISOLATED ? ACTION_ISOLATED : 0};
  }
  const uint32_t run = lm_find_run(map->planes, map->run_starts, code_point);
  const int32_t action = map->actions[map->run_actions[run]];
  const int32_t argument = (action - (action & (ACTION_ARGUMENT - 1))) / ACTION_ARGUMENT;
  if ((action & ACTION_KIND_MASK) == ACTION_TABLE) {
    code_point = map->table[(uint32_t)argument + (code_point & 0xFFFF) - map->run_starts[run]];
  } else if ((action & ACTION_KIND_MASK) == ACTION_SHIFT) {
    code_point += (uint32_t)argument;
  }
  return (mapped_character){code_point, action};
}

/* Whether there is room for one more; if not, the word will be unknown. */
static bool takes_one_more(word_buffer *word) {
  if (word->chars == word->max_chars) word->too_long = true;
  return !word->too_long;
}

/* Any character but a mark that is kept and put in order. */
static void append_starter(word_buffer *word, uint32_t code_point) {
  if (!takes_one_more(word)) return;
  word->length = (uint16_t)(word->length + lm_encode_utf8(code_point, word->bytes + word->length));
  word->run_start = word->length;
  word->chars++;
}

/* Canonical order (Unicode D109): before the marks of the run that have a higher rank. */
static void append_mark(const lm_character_map *map, word_buffer *word, uint32_t code_point,
                        int32_t rank) {
  if (!takes_one_more(word)) return;
  uint16_t at = word->length;
  while (at > word->run_start) {
    size_t before = at - 1u;
    while ((word->bytes[before] & 0xC0) == 0x80) before--;
    size_t next = before;
    const lm_text run = {word->bytes, at};
    const mapped_character mark = map_character(map, lm_decode_utf8(run, &next));
    if (mark.action / ACTION_ARGUMENT <= rank) break;
    at = (uint16_t)before;
  }
  uint8_t encoded[LM_MAX_CHAR_BYTES];
  const uint16_t bytes = lm_encode_utf8(code_point, encoded);
  memmove(word->bytes + at + bytes, word->bytes + at, (size_t)(word->length - at));
  memcpy(word->bytes + at, encoded, bytes);
  word->length = (uint16_t)(word->length + bytes);
  word->chars++;
}

static void append(const lm_character_map *map, word_buffer *word, uint32_t code_point) {
  const int32_t action = map_character(map, code_point).action;
  if ((action & ACTION_KIND_MASK) == ACTION_MARK) {
    append_mark(map, word, code_point, action / ACTION_ARGUMENT);
  } else {
    append_starter(word, code_point);
  }
}

static void append_sequence(const lm_character_map *map, word_buffer *word, uint32_t code_point) {
  uint32_t row = 0;
  uint32_t end = map->sequence_rows;
  while (end - row > 1) {
    const uint32_t middle = (row + end) / 2;
    if (map->sequences[middle * SEQUENCE_COLUMNS] <= code_point) {
      row = middle;
    } else {
      end = middle;
    }
  }
  const uint32_t *sequence = map->sequences + row * SEQUENCE_COLUMNS;
  for (uint32_t i = 1; i < SEQUENCE_COLUMNS && sequence[i] != 0; i++) {
    append(map, word, sequence[i]);
  }
}

/* The arithmetic and its constants are the standard's: Unicode 3.12, Hangul Syllable Decomposition. */
static void append_hangul(word_buffer *word, uint32_t code_point) {
  enum { S_BASE = 0xAC00, L_BASE = 0x1100, V_BASE = 0x1161, T_BASE = 0x11A7 };
  enum { V_COUNT = 21, T_COUNT = 28 };
  const uint32_t syllable = code_point - S_BASE;
  const uint32_t trailing = syllable % T_COUNT;
  append_starter(word, L_BASE + syllable / (V_COUNT * T_COUNT));
  append_starter(word, V_BASE + syllable / T_COUNT % V_COUNT);
  if (trailing != 0) append_starter(word, T_BASE + trailing);
}
