/* SPDX-License-Identifier: Apache-2.0
 * Special tokens written in a text, for the files of tokenizers. */
#ifndef LM_SPECIALS_H
#define LM_SPECIALS_H

#include <string.h>

#include "runs.h"
#include "text.h"
#include "utf8.h"

/* toolchain/tokenizer/added-tokens.ts: specialFlags. */
enum { LM_STRIPS_LEFT = 1, LM_STRIPS_RIGHT = 2, LM_IS_SPECIAL = 4, LM_IS_LATE = 8 };
enum { LM_SPECIAL_HEADER = 4 };

typedef struct {
  size_t start;
  size_t end;
  uint16_t token;
} lm_found_special;

/* Of those that are late, where only they are looked for. */
static bool lm_is_looked_for(uint8_t flags, bool late) {
#ifdef LM_NORMALIZES
  return ((flags & LM_IS_LATE) != 0) == late;
#else
  (void)flags;
  (void)late;
  return true; /* no late one overlaps with another: toolchain/tokenizer/added-tokens.ts */
#endif
}

/* The first special token from there on, the longest where several begin. */
static bool lm_find_in_pass(const lm_specials *specials, lm_text text, size_t from, bool late,
                            lm_found_special *found) {
  for (size_t at = from; at < text.bytes; at++) {
    const uint8_t lead = text.data[at];
    if (lead < specials->lead_min || lead > specials->lead_max) continue;
    const uint8_t *special = specials->entries; /* the longest first */
    for (; special[0] != 0; special += special[0] + LM_SPECIAL_HEADER) {
      const size_t bytes = special[0];
      if (bytes > text.bytes - at || !lm_is_looked_for(special[1], late) ||
          memcmp(text.data + at, special + LM_SPECIAL_HEADER, bytes) != 0) {
        continue;
      }
      *found = (lm_found_special){at, at + bytes, (uint16_t)(special[2] | special[3] << 8)};
      /* White space before it is found from its first byte on. */
      size_t space = special[1] & LM_STRIPS_LEFT ? from : at;
      for (size_t next = space; next < at;) {
        if (!lm_is_white_space(lm_decode_utf8(text, &next))) space = next;
      }
      found->start = space < at ? space : at;
      while ((special[1] & LM_STRIPS_RIGHT) && found->end < text.bytes) {
        size_t next = found->end;
        if (!lm_is_white_space(lm_decode_utf8(text, &next))) break;
        found->end = next;
      }
      return true;
    }
  }
  return false;
}

/* The first special token from there on; late ones are in what the others leave of the text. */
static bool lm_find_special(const lm_specials *specials, lm_text text, size_t from,
                            lm_found_special *found) {
  const bool is_found = lm_find_in_pass(specials, text, from, false, found);
#ifdef LM_NORMALIZES
  const lm_text rest = {text.data, found->start};
  return lm_find_in_pass(specials, rest, from, true, found) || is_found;
#else
  return is_found;
#endif
}

#endif
