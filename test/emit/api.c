/* Calls every function of lm2mcu.h rightly and wrongly; prints what came of it, a line each. */
#include <stdio.h>
#include <string.h>

#include "lm2mcu.h"
#include "lm2mcu_model.h"

static uint8_t arena[LM2MCU_ARENA_BYTES + 16] __attribute__((aligned(16)));

static void print_bytes(const char *text) {
  for (; *text != '\0'; text++) printf("%02x", (unsigned)(unsigned char)*text);
  printf("\n");
}

static void print_result(const lm2mcu_result *result) {
  printf("values");
  for (int32_t i = 0; i < result->rows * result->columns; i++) printf(" %d", result->values[i]);
  printf("\n");
}

int main(void) {
  static const int32_t ids[] = {1, 0, 2};
  static const int32_t bad_ids[] = {0, 1 << 20};
  static const uint8_t fills[] = {0x00, 0xFF, 0xAA};
  const lm2mcu_card *card = lm2mcu_model_card();
  lm2mcu_tokens tokens;
  lm2mcu_result result;

  print_bytes(card->name);
  for (int32_t i = 0; i < card->label_count; i++) print_bytes(card->labels[i]);
  for (int32_t i = 0; i < 3; i++) {
    memset(arena, fills[i], sizeof arena);
    printf("run before tokens %d\n", lm2mcu_run(arena, &result));
  }
  printf("unaligned %d %d %d\n", lm2mcu_run(arena + 4, &result),
         lm2mcu_set_tokens(arena + 4, ids, 3, 3), lm2mcu_tokenize(arena + 4, "", 0, NULL, 0, &tokens));
  printf("set no tokens %d\n", lm2mcu_set_tokens(arena, ids, 0, 0));
  printf("set too many %d\n", lm2mcu_set_tokens(arena, ids, LM2MCU_MAX_TOKENS + 1, 0));
  printf("set unknown %d\n", lm2mcu_set_tokens(arena, bad_ids, 2, 2));
  printf("set wrong segment %d %d\n", lm2mcu_set_tokens(arena, ids, 3, 4),
         lm2mcu_set_tokens(arena, ids, 3, -1));
  printf("run after errors %d\n", lm2mcu_run(arena, &result));
  printf("set %d\n", lm2mcu_set_tokens(arena, ids, 3, 2));
  printf("run %d\n", lm2mcu_run(arena, &result));
  print_result(&result);
  printf("run again %d\n", lm2mcu_run(arena, &result));
  printf("tokenize %d", lm2mcu_tokenize(arena, "hello", 5, NULL, 0, &tokens));
  printf(" %d\n", tokens.tokens >= 2 && !tokens.truncated);
  printf("run %d\n", lm2mcu_run(arena, &result));
  printf("best %d\n", lm2mcu_best((const int16_t[]){-3, 7, 7, -9}, 4));
  return 0;
}
