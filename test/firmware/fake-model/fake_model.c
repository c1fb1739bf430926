/* A stand-in for a compiled model, small enough to check by hand.
 *
 * A token per byte, special tokens none, tokens beyond LM2MCU_MAX_TOKENS cut. Logits, with the
 * weights read from the sections a real model uses:
 *   0: sum of the ids of segment 0 * encoder_weight   1: sum of segment 1 * encoder_weight
 *   2: last id - embedding_bias
 * Ids 1000000 and up drive the tests: see lm2mcu_run.
 */
#include "lm2mcu.h"
#include "lm2mcu_model.h"

void run_instructions(uint32_t blocks);

__attribute__((section(".lm2mcu.encoder"))) const volatile int32_t encoder_weight[64] = {2};
__attribute__((section(".lm2mcu.embedding"))) const volatile int32_t embedding_bias[64] = {5};

enum { ID_RUN_BLOCKS = 1000000, ID_FAULT, ID_HANG, ID_USE_STACK };

typedef struct {
  int32_t count;
  int32_t segment_start;
  int32_t ids[LM2MCU_MAX_TOKENS];
  int16_t logits[4];
} state;

static const char *const labels[] = {"games \"quoted\"", "caf\xc3\xa9", "tab\there"};

static const lm2mcu_card card = {
    .name = "fake",
    .target = "test",
    .sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    .kind = LM2MCU_CLASSIFICATION,
    .max_tokens = LM2MCU_MAX_TOKENS,
    .outputs = 3,
    .output_scale = 0.0123f,
    .labels = labels,
    .label_count = 3,
    .arena_bytes = LM2MCU_ARENA_BYTES,
    .text_offset = 128,
};

const lm2mcu_card *lm2mcu_model_card(void) { return &card; }

static void append(state *model, lm2mcu_tokens *tokens, const char *text, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) {
    if (model->count == LM2MCU_MAX_TOKENS) {
      tokens->truncated = true;
      return;
    }
    model->ids[model->count++] = (uint8_t)text[i];
  }
}

lm2mcu_status lm2mcu_tokenize(void *arena, const char *text, size_t text_bytes,
                              const char *pair_or_null, size_t pair_bytes, lm2mcu_tokens *tokens) {
  state *model = arena;
  model->count = 0;
  tokens->truncated = false;
  append(model, tokens, text, text_bytes);
  model->segment_start = model->count;
  if (pair_or_null != NULL) append(model, tokens, pair_or_null, pair_bytes);
  tokens->tokens = model->count;
  return LM2MCU_OK;
}

lm2mcu_status lm2mcu_set_tokens(void *arena, const int32_t *ids, int32_t count,
                                int32_t segment_start) {
  state *model = arena;
  if (count > LM2MCU_MAX_TOKENS) return LM2MCU_ERROR_TOO_LONG;
  if (count == 0) return LM2MCU_ERROR_BAD_TOKEN;
  for (int32_t i = 0; i < count; i++) model->ids[i] = ids[i];
  model->count = count;
  model->segment_start = segment_start;
  return LM2MCU_OK;
}

static __attribute__((noinline)) void use_stack(int32_t bytes) {
  uint8_t block[512];
  for (int32_t i = 0; i < (bytes < 512 ? bytes : 512); i++) block[i] = (uint8_t)i;
  __asm volatile("" ::"r"(block) : "memory");
}

lm2mcu_status lm2mcu_run(void *arena, lm2mcu_result *result) {
  state *model = arena;
  switch (model->ids[0]) {
    case ID_RUN_BLOCKS: /* 1000 instructions times the next id */
      run_instructions((uint32_t)model->ids[1]);
      break;
    case ID_FAULT: /* an undefined instruction: UsageFault on every core */
      __asm volatile("udf #0");
      break;
    case ID_HANG:
      for (;;) __asm volatile("");
    case ID_USE_STACK:
      use_stack(model->ids[1]);
      break;
    default:
      break;
  }
  int32_t sums[2] = {0, 0};
  for (int32_t i = 0; i < model->count; i++) sums[i >= model->segment_start] += model->ids[i];
  model->logits[0] = (int16_t)(sums[0] * encoder_weight[0]);
  model->logits[1] = (int16_t)(sums[1] * encoder_weight[0]);
  model->logits[2] =
      (int16_t)((model->count > 0 ? model->ids[model->count - 1] : 0) - embedding_bias[0]);
  result->rows = 1;
  result->columns = 3;
  result->values = model->logits;
  return LM2MCU_OK;
}

int32_t lm2mcu_best(const int16_t *values, int32_t columns) {
  int32_t best = 0;
  for (int32_t i = 1; i < columns; i++) {
    if (values[i] > values[best]) best = i;
  }
  return best;
}

/* 1000 instructions a turn: 998 nops, subs, bne (Thumb-2: one count each). */
void run_instructions(uint32_t blocks) {
  __asm volatile(
      "1:\n"
      ".rept 998\n"
      "nop\n"
      ".endr\n"
      "subs %0, %0, #1\n"
      "bne.w 1b\n"
      : "+r"(blocks)
      :
      : "cc");
}
