/* SPDX-License-Identifier: Apache-2.0
 * The normalizer of Unigram tokenizers, for their file: pairs, folds, rules for short clusters. */
#ifndef LM_UNIGRAM_NORMALIZE_H
#define LM_UNIGRAM_NORMALIZE_H

#include "runs.h"
#include "trie.h"
#include "unigram.h"
#include "utf8.h"

/* toolchain/tokenizer/unigram/clusters.ts: clusterClasses. */
enum {
  CLUSTER_OTHER,
  CLUSTER_EXTEND,
  CLUSTER_PREPEND,
  CLUSTER_CONTROL,
  CLUSTER_LEADING_JAMO,
  CLUSTER_VOWEL_JAMO,
  CLUSTER_TRAILING_JAMO,
  CLUSTER_SYLLABLE
};

/* toolchain/tokenizer/unigram/charsmap.ts: mostClusterBytes. */
#define MOST_CLUSTER_BYTES 5

/* toolchain/tokenizer/unigram/compile-normalizer.ts: leads. */
enum { LEADS_BYTES = 32 };

typedef struct {
  const lm_unigram_normalizer *rules;
  uint8_t cluster[MOST_CLUSTER_BYTES]; /* UTF-8 of the cluster being read, while it is short */
  uint8_t cluster_bytes;               /* 0: none is, or it is long */
  bool is_long;                        /* characters go by themselves */
  bool has_last;
  uint32_t last;                       /* the character before */
} unigram_normalizer;

/* Takes a character of the normalized text; the file that includes this defines it. */
static void put_normalized(unigram_normalizer *n, uint32_t code_point);

/* A text that NUL ends. */
static void put_replacement(unigram_normalizer *n, const uint8_t *replacement) {
  const lm_text text = {replacement, SIZE_MAX};
  for (size_t at = 0; replacement[at] != 0;) put_normalized(n, lm_decode_utf8(text, &at));
}

static bool has_lead(const uint8_t *leads, uint8_t byte) {
  return leads[byte >> 3] >> (byte & 7) & 1;
}

static const uint8_t *replacement_of(const lm_unigram_normalizer *r, uint32_t number) {
  return r->replacement_text + r->replacements[number];
}

/* What the shortest of the strings that `bytes` begin with becomes, NUL-ended; NULL: there is none. */
static const uint8_t *find_replacement(const lm_unigram_normalizer *r, uint32_t offset,
                                       uint32_t first, const uint8_t *bytes, uint32_t count) {
  lm_trie_walk walk = {{r->codes, r->labels}, r->trie + offset, first, 0};
  uint32_t number;
  return lm_next_prefix(&walk, bytes, count, &number) == 0 ? NULL : replacement_of(r, number);
}

static const uint8_t *rule_of(const lm_unigram_normalizer *r, const uint8_t *bytes,
                              uint32_t count) {
  if (!has_lead(r->leads + LEADS_BYTES, bytes[0])) return NULL;
  return find_replacement(r, r->rules_offset, r->rules_first, bytes, count);
}

/* One character, whatever is beside it. */
static void put_ruled(unigram_normalizer *n, const uint8_t *bytes, uint32_t count) {
  const uint8_t *replaced = rule_of(n->rules, bytes, count);
  if (replaced != NULL) {
    put_replacement(n, replaced);
  } else {
    size_t at = 0;
    put_normalized(n, lm_decode_utf8((lm_text){bytes, count}, &at));
  }
}

static uint32_t char_bytes(uint8_t lead) {
  return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

static void put_each(unigram_normalizer *n) {
  for (uint32_t at = 0; at < n->cluster_bytes;) {
    const uint32_t bytes = char_bytes(n->cluster[at]);
    put_ruled(n, n->cluster + at, bytes);
    at += bytes;
  }
  n->cluster_bytes = 0;
}

/* A short cluster as a whole: what its shortest beginning with a rule becomes. */
static void end_cluster(unigram_normalizer *n) {
  const lm_unigram_normalizer *r = n->rules;
  n->is_long = false;
  if (n->cluster_bytes == 0) return;
  const uint32_t first = char_bytes(n->cluster[0]);
  const uint8_t *replaced = rule_of(r, n->cluster, first);
  if (replaced == NULL && n->cluster_bytes > first) {
    replaced = find_replacement(r, r->sequences_offset, r->sequences_first, n->cluster,
                                n->cluster_bytes);
  }
  if (replaced != NULL) {
    n->cluster_bytes = 0;
    put_replacement(n, replaced);
  } else {
    put_each(n);
  }
}

static uint32_t cluster_class(const lm_unigram_normalizer *r, uint32_t code_point) {
  return r->run_classes[lm_find_run(r->planes, r->run_starts, code_point)];
}

/* Whether two neighbours are in one cluster (UAX 29). */
static bool is_joined(const lm_unigram_normalizer *r, uint32_t before, uint32_t after) {
  if (before == '\r' && after == '\n') return true;
  if (before < 0x80 && after < 0x80) return false;
  const uint32_t left = cluster_class(r, before);
  const uint32_t right = cluster_class(r, after);
  if (left == CLUSTER_CONTROL || right == CLUSTER_CONTROL) return false;
  if (right == CLUSTER_EXTEND || left == CLUSTER_PREPEND) return true;
  const bool is_open = left == CLUSTER_SYLLABLE && (before - 0xAC00) % 28 == 0;
  switch (right) {
    case CLUSTER_LEADING_JAMO:
    case CLUSTER_SYLLABLE: return left == CLUSTER_LEADING_JAMO;
    case CLUSTER_VOWEL_JAMO:
      return left == CLUSTER_LEADING_JAMO || left == CLUSTER_VOWEL_JAMO || is_open;
    case CLUSTER_TRAILING_JAMO:
      return left == CLUSTER_VOWEL_JAMO || left == CLUSTER_TRAILING_JAMO ||
             left == CLUSTER_SYLLABLE;
    default: return false;
  }
}

/* Adds a character to its cluster. */
static void put_folded(unigram_normalizer *n, uint32_t code_point) {
  if (!n->rules->has_rules) {
    put_normalized(n, code_point);
    return;
  }
  if (!n->has_last || !is_joined(n->rules, n->last, code_point)) end_cluster(n);
  n->has_last = true;
  n->last = code_point;
  uint8_t bytes[LM_MAX_CHAR_BYTES];
  const uint16_t count = lm_encode_utf8(code_point, bytes);
  if (n->is_long || n->cluster_bytes + count > MOST_CLUSTER_BYTES) {
    n->is_long = true;
    put_each(n);
    put_ruled(n, bytes, count);
    return;
  }
  memcpy(n->cluster + n->cluster_bytes, bytes, count);
  n->cluster_bytes = (uint8_t)(n->cluster_bytes + count);
}

/* Decomposes the character, strips marks and lower-cases, then goes on. */
static void put_read(unigram_normalizer *n, uint32_t code_point) {
  const lm_unigram_normalizer *r = n->rules;
  uint8_t bytes[LM_MAX_CHAR_BYTES];
  const uint16_t count = lm_encode_utf8(code_point, bytes);
  const uint8_t *folded =
      has_lead(r->leads, bytes[0]) ? find_replacement(r, 0, 0, bytes, count) : NULL;
  if (folded == NULL) {
    put_folded(n, code_point);
    return;
  }
  const lm_text text = {folded, SIZE_MAX};
  for (size_t at = 0; folded[at] != 0;) put_folded(n, lm_decode_utf8(text, &at));
}

#endif
