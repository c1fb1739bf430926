/* SPDX-License-Identifier: Apache-2.0
 * What the console does for a model that generates: a part of console.c, which is compiled as one.
 */
#ifndef CONSOLE_GENERATION_H
#define CONSOLE_GENERATION_H

typedef struct {
  int32_t most_tokens;
  lm2mcu_sampling sampling;
  uint32_t seed;
} settings_of_console;

static settings_of_console settings = {.most_tokens = 64, .sampling = {.top_p = 1000}};

/* Numbers, with a space between them; false: there is something else. */
static bool read_numbers(const line *request, uint32_t *numbers, int32_t count) {
  int32_t read = 0;
  for (size_t i = 0; i < request->bytes; read++) {
    if (read == count) return false;
    uint64_t number = 0;
    const size_t first = i;
    for (; i < request->bytes && request->text[i] != ' '; i++) {
      if (request->text[i] < '0' || request->text[i] > '9' || i - first == 10u) return false;
      number = number * 10u + (uint64_t)(request->text[i] - '0');
    }
    if (i == first || number > UINT32_MAX) return false;
    numbers[read] = (uint32_t)number;
    if (i < request->bytes) i++;
  }
  return read == count;
}

static void answer_sample(const line *request) {
  uint32_t numbers[5];
  if (!read_numbers(request, numbers, 5) || numbers[0] > INT32_MAX || numbers[2] > INT32_MAX ||
      numbers[3] > 1000u) {
    write_error("bad-sampling", "expected #sample tokens temperature top-k top-p seed", 0);
    return;
  }
  settings = (settings_of_console){
      .most_tokens = (int32_t)numbers[0],
      .sampling = {numbers[1], (int32_t)numbers[2], numbers[3]},
      .seed = numbers[4],
  };
  write_text("{\"sampling\":true}");
}

static bool is_cancelled(void) {
  enum { CONTROL_C = 3 };
  return uart_has_byte() && uart_take() == CONTROL_C;
}

static void write_spelled(int32_t id) {
  uint8_t bytes[LM2MCU_TOKEN_BYTES];
  const int32_t count = lm2mcu_spell(id, bytes);
  for (int32_t i = 0; i < count; i++) write_character(bytes[i]);
}

/* Of all tokens from `first` on, and of one that found no room behind them. */
static void write_ids(int32_t first, int32_t count, int32_t last, bool has_last) {
  const uint16_t *ids = lm2mcu_token_ids(arena) + first;
  write_text(",\"generated\":[");
  for (int32_t i = 0; i < count; i++) {
    if (i > 0) write_text(",");
    write_signed(has_last && i == count - 1 ? last : ids[i]);
  }
  write_text("],\"stopped\":");
}

/* As many tokens as may follow: the last of them need not have room behind the others. */
static int32_t room_for(int32_t prompt, int32_t count) {
  const int32_t context = LM2MCU_MAX_TOKENS + 1 - prompt;
  return (context < settings.most_tokens ? context : settings.most_tokens) - count;
}

/* Writes the text as it comes. Ticks that it took, writing left out. */
static uint64_t generate(lm2mcu_result *result, int32_t prompt) {
  uint64_t ticks = 0;
  lm2mcu_writing writing = {.random_state = settings.seed};
  const char *stopped = NULL;
  int32_t count = 0, id = 0;
  bool is_kept = true;
  write_text("\"text\":\"");
  while (stopped == NULL) {
    const uint64_t start = counter_ticks();
    const int32_t next =
        lm2mcu_choose(result, &settings.sampling, room_for(prompt, count), &writing);
    if (next < 0) {
      stopped = "end";
      break;
    }
    id = next;
    count++;
    const bool ends = lm2mcu_ends_text(id) || lm2mcu_is_over(&writing);
    is_kept = !ends && lm2mcu_append(arena, id) == LM2MCU_OK;
    if (ends) stopped = "end";
    else if (!is_kept) stopped = "context";
    else if (count == settings.most_tokens) stopped = "length";
    else if (lm2mcu_needs_run(&writing) &&
             lm2mcu_run(arena, result) != LM2MCU_OK) stopped = "failed";
    ticks += counter_ticks() - start;
    write_spelled(id);
    if (stopped == NULL && is_cancelled()) stopped = "cancelled";
  }
  write_text("\"");
  write_ids(prompt, count, id, !is_kept);
  write_string(stopped);
  if (CONSTRAINED) {
    write_text(lm2mcu_is_complete(&writing) ? ",\"complete\":true" : ",\"complete\":false");
  }
  return ticks;
}

static uint64_t write_generation(lm2mcu_result *result, int32_t prompt) {
  if (settings.most_tokens > 0) return generate(result, prompt);
  write_result(lm2mcu_model_card(), result);
  return 0;
}

#endif
