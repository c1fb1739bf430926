/* SPDX-License-Identifier: Apache-2.0
 * A compressed trie of byte strings (toolchain/tokenizer/trie.ts), for the files of tokenizers. */
#ifndef LM_TRIE_H
#define LM_TRIE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* toolchain/tokenizer/trie.ts: shapeBits, streamCodes. */
enum { LM_SHAPE_TOKEN = 1, LM_SHAPE_CHILD = 2, LM_SHAPE_SIBLING = 4 };
enum { LM_CODE_LITERAL = 0, LM_CODE_SKIP = 1 };
enum { LM_SHAPE_SHIFT = 12, LM_LABEL_MASK = 0xFFF };

/* What codes of the stream stand for. */
typedef struct {
  const uint16_t *codes; /* (codes + 1) shape << 12 | offset of the label */
  const uint8_t *labels;
} lm_trie_codes;

/* A walk along the strings that are beginnings of one text, the shortest first. */
typedef struct {
  lm_trie_codes codes;
  const uint8_t *stream; /* the next node; NULL: the walk has ended */
  uint32_t token;        /* the number of the next string in the stream */
  uint32_t matched;      /* bytes of the text that were passed */
} lm_trie_walk;

typedef struct {
  const uint8_t *label;
  uint32_t label_bytes;
  uint32_t shape;
} lm_trie_node;

static const uint8_t *lm_read_node(lm_trie_codes codes, const uint8_t *stream,
                                   lm_trie_node *node) {
  const uint32_t code = *stream++;
  if (code == LM_CODE_LITERAL) {
    *node = (lm_trie_node){stream + 1, 1, stream[0]};
    return stream + 2;
  }
  const uint32_t entry = codes.codes[code];
  const uint32_t label = entry & LM_LABEL_MASK;
  *node = (lm_trie_node){codes.labels + label, (codes.codes[code + 1] & LM_LABEL_MASK) - label,
                         entry >> LM_SHAPE_SHIFT};
  return stream;
}

static const uint8_t *lm_read_varint(const uint8_t *stream, uint32_t *value) {
  *value = 0;
  for (uint32_t shift = 0;; shift += 7) {
    *value |= (*stream & 0x7Fu) << shift;
    if (*stream++ < 0x80) return stream;
  }
}

/* To the end of a list and all below it, counting the strings passed. */
static const uint8_t *lm_pass_children(lm_trie_codes codes, const uint8_t *stream,
                                       uint32_t *token) {
  for (uint32_t open_lists = 1; open_lists > 0;) {
    const uint32_t code = *stream++;
    if (code == LM_CODE_SKIP) { /* only before nodes with a sibling: the list stays open */
      uint32_t subtree_bytes;
      uint32_t subtree_tokens;
      stream = lm_read_varint(stream, &subtree_bytes);
      stream = lm_read_varint(stream, &subtree_tokens) + subtree_bytes;
      *token += subtree_tokens;
      continue;
    }
    uint32_t shape = (uint32_t)codes.codes[code] >> LM_SHAPE_SHIFT;
    if (code == LM_CODE_LITERAL) {
      shape = stream[0];
      stream += 2;
    }
    *token += shape & LM_SHAPE_TOKEN;
    if (shape & LM_SHAPE_CHILD) open_lists++;
    if (!(shape & LM_SHAPE_SIBLING)) open_lists--;
  }
  return stream;
}

/* The bytes of the next string that `bytes` begin with, and its number; 0: there is none. */
static uint32_t lm_next_prefix(lm_trie_walk *walk, const uint8_t *bytes, uint32_t length,
                               uint32_t *token) {
  while (walk->stream != NULL) {
    const uint8_t *subtree_end = NULL;
    uint32_t subtree_tokens = 0;
    if (*walk->stream == LM_CODE_SKIP) {
      uint32_t subtree_bytes;
      walk->stream = lm_read_varint(walk->stream + 1, &subtree_bytes);
      walk->stream = lm_read_varint(walk->stream, &subtree_tokens);
      subtree_end = walk->stream + subtree_bytes;
    }
    lm_trie_node node;
    walk->stream = lm_read_node(walk->codes, walk->stream, &node);
    const uint8_t *rest = bytes + walk->matched;
    if (node.label_bytes <= length - walk->matched && node.label[0] == rest[0] &&
        memcmp(node.label, rest, node.label_bytes) == 0) {
      walk->matched += node.label_bytes;
      if (!(node.shape & LM_SHAPE_CHILD) || walk->matched == length) walk->stream = NULL;
      if (node.shape & LM_SHAPE_TOKEN) {
        *token = walk->token++;
        return walk->matched;
      }
    } else if (!(node.shape & LM_SHAPE_SIBLING)) {
      walk->stream = NULL;
    } else if (subtree_end != NULL) {
      walk->stream = subtree_end;
      walk->token += subtree_tokens;
    } else {
      walk->token += node.shape & LM_SHAPE_TOKEN;
      if (node.shape & LM_SHAPE_CHILD) {
        walk->stream = lm_pass_children(walk->codes, walk->stream, &walk->token);
      }
    }
  }
  return 0;
}

#endif
