/* A stand-in for a compiled model, small enough to check by hand.
 *
 * A token per byte, no special tokens, tokens beyond LM2MCU_MAX_TOKENS cut. Values of a row, with
 * weights from the sections that a real model uses:
 *   0: sum of the ids of segment 0 * encoder_weight   1: sum of segment 1 * encoder_weight
 *   2: last id - embedding_bias
 * Token classification has a row per token: id, -id, 100. A first id of 1000000 and up makes
 * lm2mcu_run do something that tests look at.
 */
#include "lm2mcu.h"
#include "lm2mcu_model.h"

#ifdef __ARM_FEATURE_MVE
#include <arm_mve.h>
#endif

#define COLUMNS 3

enum {
  ID_RUN_INSTRUCTIONS = 1000000, /* 1000 times the next id */
  ID_FAULT,
  ID_HANG,
  ID_USE_STACK,     /* as many bytes as the next id */
  ID_SET_SCALE,     /* output_scale becomes the float with these bits */
  ID_BREAK_CANARY,  /* as a stack overflow would */
  ID_PROBE          /* writes and reads the word at (id 1 << 16 | id 2): value 0 is 1 if it holds */
};

__attribute__((section(".lm2mcu.encoder"))) const volatile int32_t encoder_weight[64] = {2};
__attribute__((section(".lm2mcu.embedding"))) const volatile int32_t embedding_bias[64] = {5};
static volatile int32_t in_data = 7; /* 0 unless startup copies .data */
static volatile int32_t in_bss;      /* not 0 unless startup clears .bss */
extern uint32_t __stack_limit[];

typedef struct {
  int32_t count;
  int32_t segment_start;
  int32_t ids[LM2MCU_MAX_TOKENS];
  int16_t values[LM2MCU_MAX_TOKENS * COLUMNS];
} state;

static const char *const labels[] = {"games \"quoted\"", "caf\xc3\xa9", "tab\there"};

static lm2mcu_card card = {
    .name = "fake",
    .target = "test",
    .sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    .kind = FAKE_KIND,
    .max_tokens = LM2MCU_MAX_TOKENS,
    .outputs = COLUMNS,
    .output_scale = 0.0123f,
    .labels = FAKE_LABEL_COUNT > 0 ? labels : NULL,
    .label_count = FAKE_LABEL_COUNT,
    .arena_bytes = LM2MCU_ARENA_BYTES,
    .text_offset = 256,
};

_Static_assert(sizeof(state) <= 256, "the text would overwrite the state");

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

/* 1000 instructions a turn: 998 nops, subs, bne. */
FAKE_FAST __attribute__((noinline)) static void run_instructions(int32_t turns) {
  __asm volatile(
      "1:\n"
      ".rept 998\n"
      "nop\n"
      ".endr\n"
      "subs %0, %0, #1\n"
      "bne.w 1b\n"
      : "+r"(turns)
      :
      : "cc");
}

static __attribute__((noinline)) void use_stack(int32_t bytes) {
  uint8_t block[512];
  for (int32_t i = 0; i < (bytes < 512 ? bytes : 512); i++) block[i] = (uint8_t)i;
  __asm volatile("" ::"r"(block) : "memory");
}

static bool probe(int32_t high, int32_t low) {
  volatile uint32_t *word = (volatile uint32_t *)(((uint32_t)high << 16) | (uint32_t)low);
  const uint32_t before = *word;
  *word = 0x5A5A1234u;
  const bool holds = *word == 0x5A5A1234u;
  *word = before;
  return holds;
}

static void obey(const int32_t *ids, int16_t *values) {
  switch (ids[0]) {
    case ID_RUN_INSTRUCTIONS:
      run_instructions(ids[1]);
      break;
    case ID_FAULT: /* an undefined instruction: UsageFault on every core */
      __asm volatile("udf #0");
      break;
    case ID_HANG:
      for (;;) __asm volatile("");
    case ID_USE_STACK:
      use_stack(ids[1]);
      break;
    case ID_SET_SCALE: {
      union {
        int32_t bits;
        float value;
      } scale = {.bits = ids[1]};
      card.output_scale = scale.value;
      break;
    }
    case ID_BREAK_CANARY:
      __stack_limit[0] = 0;
      break;
    case ID_PROBE:
      values[0] = probe(ids[1], ids[2]);
      break;
    default:
      break;
  }
}

lm2mcu_status lm2mcu_run(void *arena, lm2mcu_result *result) {
  state *model = arena;
  const bool is_per_token = card.kind == LM2MCU_TOKEN_CLASSIFICATION;
  result->rows = is_per_token ? model->count : 1;
  result->columns = COLUMNS;
  result->values = model->values;
  if (model->count > 0 && model->ids[0] >= ID_RUN_INSTRUCTIONS) {
    obey(model->ids, model->values);
    return LM2MCU_OK;
  }
  if (is_per_token) {
    for (int32_t i = 0; i < model->count; i++) {
      model->values[i * COLUMNS] = (int16_t)model->ids[i];
      model->values[i * COLUMNS + 1] = (int16_t)-model->ids[i];
      model->values[i * COLUMNS + 2] = 100;
    }
    return LM2MCU_OK;
  }
  int32_t sums[2] = {0, 0};
  for (int32_t i = 0; i < model->count; i++) sums[i >= model->segment_start] += model->ids[i];
  const int32_t last = model->count > 0 ? FAKE_LAST(model->ids[model->count - 1]) : 0;
  model->values[0] = (int16_t)(sums[0] * encoder_weight[0]);
  model->values[1] = (int16_t)(sums[1] * encoder_weight[0]);
  model->values[2] = (int16_t)(last - embedding_bias[0] + (in_data - 7) + in_bss);
  return LM2MCU_OK;
}

int32_t lm2mcu_best(const int16_t *values, int32_t columns) {
  int32_t best = 0;
  for (int32_t i = 1; i < columns; i++) {
    if (values[i] > values[best]) best = i;
  }
  return best;
}
