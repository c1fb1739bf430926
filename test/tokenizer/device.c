/* Tokenizes the records of stdin: three uint32 (text bytes, pair bytes or all ones, max_tokens), the
 * text, the pair. Answers tokens, segment_start, truncated as int32 and the ids as uint16. Buffers
 * are allocated to size, so that the sanitizer sees any byte read or written beyond them. With an
 * argument it spells every token instead. */
#include <stdio.h>
#include <stdlib.h>

#include "constants.h"

static uint8_t *read_bytes(size_t bytes) {
  uint8_t *data = malloc(bytes > 0 ? bytes : 1);
  if (data == NULL || fread(data, 1, bytes, stdin) != bytes) exit(2);
  return data;
}

#ifdef spell
/* The bytes of every token: how many, as int32, and they. */
static int spell_all(void) {
  for (uint32_t token = 0; token < TOKENS; token++) {
    uint8_t bytes[LM_BPE_TOKEN_BYTES];
    const int32_t count = spell(&tokenizer, token, bytes);
    fwrite(&count, sizeof count, 1, stdout);
    fwrite(bytes, 1, (size_t)count, stdout);
  }
  return 0;
}
#else
static int spell_all(void) { return 2; }
#endif

int main(int argc, char **argv) {
  (void)argv;
  if (argc > 1) return spell_all();
  uint32_t header[3];
  while (fread(header, sizeof header, 1, stdin) == 1) {
    const bool has_pair = header[1] != UINT32_MAX;
    const lm_text text = {read_bytes(header[0]), header[0]};
    lm_text pair = {NULL, 0};
    if (has_pair) {
      pair.bytes = header[1];
      pair.data = read_bytes(header[1]);
    }
    uint16_t *ids = malloc(header[2] * sizeof *ids + 1);
    if (ids == NULL) exit(2);
    const lm_tokens result = tokenize(&tokenizer, text, pair, ids, (int32_t)header[2]);
    const int32_t answer[3] = {result.tokens, result.segment_start, result.truncated};
    fwrite(answer, sizeof answer, 1, stdout);
    fwrite(ids, sizeof *ids, (size_t)result.tokens, stdout);
    free(ids);
    free((void *)(uintptr_t)text.data);
    free((void *)(uintptr_t)pair.data);
  }
  return 0;
}
