/* SPDX-License-Identifier: Apache-2.0
 * The console: a line of UTF-8 text in, one line of JSON out. Any serial terminal will do.
 *
 *   some text            classify (tag, embed) it; a TAB separates a text from its pair
 *   #text some text      the same, for text that looks like one of the commands
 *   #ids 3 17 | 42 8     compact token ids, special tokens included; | begins the second segment
 *   ?                    the model card
 *   !boot                back into the bootloader, where there is one
 *
 * A model that generates goes on from the text, or the ids, with one token after the other:
 *
 *   #sample 40 800 50 950 7   at most 40 tokens, temperature 0.8, top-k 50, top-p 0.95, seed 7
 *
 * holds for all texts behind it. The answer's line has the text as it comes; Ctrl-C ends it after the
 * next token. With at most 0 tokens the logits are the answer.
 *
 * At start it says {"ready":"<model>"}, so that a host knows when to begin. A line ends with LF, CR
 * or CR LF. It is read straight into the model's arena, behind text_offset, so that no other memory
 * is needed; ids are converted while they arrive. What does not fit is swallowed up to the line's
 * end and answered with an error.
 */
#include "console_json.h"
#include "lm2mcu.h"
#include "lm2mcu_model.h"
#include "npu/npu.h"
#include "platform.h"

/* Where there is a linker script, it places the arena. */
#ifdef LM2MCU_SECTIONS
#define ARENA_ATTRIBUTES __attribute__((aligned(16), section(".lm2mcu.arena")))
#else
#define ARENA_ATTRIBUTES __attribute__((aligned(16)))
#endif
static uint8_t arena[LM2MCU_ARENA_BYTES] ARENA_ATTRIBUTES;

#ifdef LM2MCU_GENERATES
enum { GENERATES = 1 };
#else
enum { GENERATES = 0 };
#endif

#ifdef LM2MCU_CONSTRAINED
enum { CONSTRAINED = 1 };
#else
enum { CONSTRAINED = 0 };
#endif

typedef enum {
  LINE_TEXT,
  LINE_IDS,
  LINE_SAMPLE,
  LINE_CARD,
  LINE_BOOT,
  LINE_TOO_LONG,
  LINE_BAD_IDS
} line_kind;

typedef struct {
  line_kind kind;
  const char *text; /* (bytes), in the arena */
  size_t bytes;
  const int32_t *ids; /* (count), in the arena */
  int32_t count;
  int32_t segment_start;
} line;

static line read_line(void);
static void answer_tokens(const line *request);
static void answer_sample(const line *request);
static void answer_card(void);
static void answer_boot(void);

int main(void) {
  write_text("{\"ready\":");
  write_string(lm2mcu_model_card()->name);
  write_text("}\n");
  for (;;) {
    const line request = read_line();
    switch (request.kind) {
      case LINE_TEXT:
      case LINE_IDS:
        answer_tokens(&request);
        break;
      case LINE_SAMPLE:
        answer_sample(&request);
        break;
      case LINE_CARD:
        answer_card();
        break;
      case LINE_BOOT:
        answer_boot();
        break;
      case LINE_TOO_LONG:
        write_error("line-too-long", "the line does not fit in the memory free for text",
                    LM2MCU_ARENA_BYTES - lm2mcu_model_card()->text_offset);
        break;
      case LINE_BAD_IDS:
        write_error("bad-ids", "expected #ids and numbers, with at most one |", 0);
        break;
    }
    write_text("\n");
  }
}

/* ---- Reading a line ---- */

static const char ids_command[] = "#ids";
static const char text_command[] = "#text ";
static const char boot_command[] = "!boot";
static const char sample_command[] = "#sample ";

/* Line feed ends a line whatever it came as. */
static char read_character(void) {
  static bool after_return;
  for (;;) {
    const char character = (char)uart_read();
    const bool second_half = character == '\n' && after_return;
    after_return = character == '\r';
    if (!second_half) return after_return ? '\n' : character;
  }
}

static bool starts_with(const char *text, size_t bytes, const char *start, size_t start_bytes) {
  if (bytes < start_bytes) return false;
  for (size_t i = 0; i < start_bytes; i++) {
    if (text[i] != start[i]) return false;
  }
  return true;
}

/* From behind "#ids" to the end of the line. The ids overwrite the command. */
static line read_ids(char first, int32_t *ids, size_t capacity_bytes) {
  const int32_t capacity = (int32_t)(capacity_bytes / sizeof(int32_t));
  line result = {.kind = LINE_IDS, .ids = ids, .segment_start = -1};
  int32_t number = -1; /* none begun */
  for (char character = first;; character = read_character()) {
    if (character >= '0' && character <= '9') {
      const int32_t digit = character - '0';
      if (number > (INT32_MAX - digit) / 10) result.kind = LINE_BAD_IDS;
      else number = (number < 0 ? 0 : number) * 10 + digit;
      continue;
    }
    if (number >= 0 && result.count == capacity) result.kind = LINE_TOO_LONG;
    else if (number >= 0) ids[result.count++] = number;
    number = -1;
    if (character == '\n') break;
    if (character == '|' && result.segment_start < 0) result.segment_start = result.count;
    else if (character != ' ') result.kind = LINE_BAD_IDS;
  }
  if (result.segment_start < 0) result.segment_start = result.count;
  return result;
}

static line read_line(void) {
  const uint32_t text_offset = lm2mcu_model_card()->text_offset;
  char *text = (char *)arena + text_offset;
  const size_t capacity = LM2MCU_ARENA_BYTES - text_offset;
  line result = {.kind = LINE_TEXT, .text = text};
  for (;;) {
    const char character = read_character();
    if (result.bytes == sizeof ids_command - 1 && (character == ' ' || character == '\n') &&
        starts_with(text, result.bytes, ids_command, sizeof ids_command - 1)) {
      return read_ids(character, (int32_t *)(void *)text, capacity);
    }
    if (character == '\n') break;
    if (result.bytes == capacity) result.kind = LINE_TOO_LONG;
    else text[result.bytes++] = character;
  }
  if (result.kind != LINE_TEXT) return result;
  if (result.bytes == 1 && text[0] == '?') result.kind = LINE_CARD;
  if (result.bytes == sizeof boot_command - 1 &&
      starts_with(text, result.bytes, boot_command, sizeof boot_command - 1)) {
    result.kind = LINE_BOOT;
  }
  if (GENERATES && starts_with(text, result.bytes, sample_command, sizeof sample_command - 1)) {
    result.kind = LINE_SAMPLE;
    result.text += sizeof sample_command - 1;
    result.bytes -= sizeof sample_command - 1;
  }
  if (starts_with(text, result.bytes, text_command, sizeof text_command - 1)) {
    result.text += sizeof text_command - 1;
    result.bytes -= sizeof text_command - 1;
  }
  return result;
}

/* ---- Answers ---- */

static void write_npu_error(void) {
  const lm_npu_failure failure = lm_npu_last_failure();
  write_text("{\"error\":{\"code\":\"npu\",\"message\":");
  write_string(failure.message);
  write_text(",\"npu\":{\"status\":");
  write_hex(failure.status);
  write_text(",\"word\":");
  write_unsigned(failure.word);
  write_text("}}}");
}

static lm2mcu_status take_tokens(const line *request, lm2mcu_tokens *tokens) {
  if (request->kind == LINE_IDS) {
    tokens->tokens = request->count;
    tokens->truncated = false;
    return lm2mcu_set_tokens(arena, request->ids, request->count, request->segment_start);
  }
  for (size_t i = 0; i < request->bytes; i++) {
    if (request->text[i] != '\t') continue;
    return lm2mcu_tokenize(arena, request->text, i, request->text + i + 1, request->bytes - i - 1,
                           tokens);
  }
  return lm2mcu_tokenize(arena, request->text, request->bytes, NULL, 0, tokens);
}

static void write_status(lm2mcu_status status) {
  switch (status) {
    case LM2MCU_OK:
      break;
    case LM2MCU_ERROR_TOO_LONG:
      write_error("too-long", "more tokens than the model was built for", LM2MCU_MAX_TOKENS);
      break;
    case LM2MCU_ERROR_BAD_TOKEN:
      write_error("bad-token", "no token, an unknown token id or a wrong segment start", 0);
      break;
    case LM2MCU_ERROR_ARENA:
      write_error("arena", "the arena is not aligned or holds no tokens", 0);
      break;
    case LM2MCU_ERROR_NPU:
      write_npu_error();
      break;
  }
}

static void write_values(const char *key, const lm2mcu_result *result) {
  write_key(key);
  write_text("[");
  for (int32_t i = 0; i < result->rows * result->columns; i++) {
    if (i > 0) write_text(",");
    write_signed(result->values[i]);
  }
  write_text("]");
}

static void write_label(const lm2mcu_card *card, const int16_t *values, int32_t columns) {
  write_string(card->labels[lm2mcu_best(values, columns)]);
}

static void write_result(const lm2mcu_card *card, const lm2mcu_result *result) {
  switch (card->kind) {
    case LM2MCU_CLASSIFICATION:
      if (card->labels != NULL) {
        write_key("label");
        write_label(card, result->values, result->columns);
        write_text(",");
      }
      write_values("logits", result);
      break;
    case LM2MCU_TOKEN_CLASSIFICATION:
      if (card->labels != NULL) {
        write_key("tokenLabels");
        for (int32_t row = 0; row < result->rows; row++) {
          write_text(row == 0 ? "[" : ",");
          write_label(card, result->values + row * result->columns, result->columns);
        }
        write_text("],");
      }
      write_values("logits", result);
      break;
    case LM2MCU_EMBEDDING:
      write_values("embedding", result);
      break;
    case LM2MCU_GENERATION:
      write_values("logits", result);
      break;
  }
}

static void write_work(uint64_t start, uint64_t tokenized, uint64_t end, uint64_t generated) {
  if (counter_unit[0] != 'i') write_text("\"instructions\":null,");
  write_key(counter_unit);
  write_text("{\"tokenizer\":");
  write_unsigned(counter_units(tokenized - start));
  write_text(",\"inference\":");
  write_unsigned(counter_units(end - tokenized));
  if (generated > 0) {
    write_text(",\"generation\":");
    write_unsigned(counter_units(generated));
  }
  write_text("}");
}

#ifdef LM2MCU_GENERATES
#include "console_generation.h"
#else

static void answer_sample(const line *request) { (void)request; }

static uint64_t write_generation(lm2mcu_result *result, int32_t prompt) {
  (void)prompt;
  write_result(lm2mcu_model_card(), result);
  return 0;
}

#endif

static void answer_tokens(const line *request) {
  lm2mcu_tokens tokens = {0};
  lm2mcu_result result = {0};
  const uint64_t start = counter_ticks();
  lm2mcu_status status = take_tokens(request, &tokens);
  const uint64_t tokenized = counter_ticks();
  if (status == LM2MCU_OK) status = lm2mcu_run(arena, &result);
  const uint64_t end = counter_ticks();
  if (status != LM2MCU_OK) {
    write_status(status);
    return;
  }
  if (stack_measure().overflowed) {
    write_error("stack-overflow", "the stack was too small: this answer cannot be trusted",
                stack_measure().available_bytes);
    return;
  }
  write_text("{\"tokens\":");
  write_signed(tokens.tokens);
  write_text(tokens.truncated ? ",\"truncated\":true," : ",\"truncated\":false,");
  const uint64_t generated = write_generation(&result, tokens.tokens);
  write_text(",");
  write_work(start, tokenized, end, generated);
  write_text("}");
}

static const char *kind_name(lm2mcu_kind kind) {
  switch (kind) {
    case LM2MCU_CLASSIFICATION:
      return "classification";
    case LM2MCU_TOKEN_CLASSIFICATION:
      return "token-classification";
    case LM2MCU_EMBEDDING:
      return "embedding";
    case LM2MCU_GENERATION:
      return "generation";
  }
  return "";
}

static void answer_card(void) {
  const lm2mcu_card *card = lm2mcu_model_card();
  const stack_use stack = stack_measure();
  write_text("{\"name\":");
  write_string(card->name);
  write_text(",\"target\":");
  write_string(card->target);
  write_text(",\"sha256\":");
  write_string(card->sha256);
  write_text(",\"kind\":");
  write_string(kind_name(card->kind));
  write_text(",\"maxTokens\":");
  write_signed(card->max_tokens);
  write_text(",\"outputs\":");
  write_signed(card->outputs);
  write_text(",\"outputScale\":");
  write_float(card->output_scale);
  write_text(",\"labels\":");
  for (int32_t i = 0; i < card->label_count; i++) {
    write_text(i == 0 ? "[" : ",");
    write_string(card->labels[i]);
  }
  write_text(card->label_count > 0 ? "]" : "null");
  if (CONSTRAINED) {
    write_text(",\"constraint\":");
    write_string(card->constraint);
  }
  write_text(",\"arenaBytes\":");
  write_unsigned(card->arena_bytes);
  write_text(",\"textBytes\":");
  write_unsigned(card->arena_bytes - card->text_offset);
  write_text(",\"stack\":{\"availableBytes\":");
  write_unsigned(stack.available_bytes);
  write_text(",\"peakBytes\":");
  write_unsigned(stack.peak_bytes);
  write_text("},\"counter\":");
  write_string(counter_unit);
  write_text("}");
}

/* The reset comes when the answer has left. */
static void answer_boot(void) {
  if (!bootloader_is_there()) {
    write_error("no-bootloader", "this firmware was not started by a bootloader", 0);
    return;
  }
  write_text("{\"boot\":\"bootloader\"}\n");
  bootloader_enter();
}

/* Begins a line of its own, since the fault may have come in the middle of one. */
void console_report_fault(const fault_report *report) {
  static const char *const names[] = {"HardFault", "MemManage", "BusFault", "UsageFault",
                                      "SecureFault"};
  write_text("\n{\"fault\":{\"kind\":");
  if (report->exception >= 3u && report->exception <= 7u) {
    write_string(names[report->exception - 3u]);
  } else {
    write_unsigned(report->exception);
  }
  write_text(",\"pc\":");
  write_hex(report->pc);
  write_text(",\"lr\":");
  write_hex(report->lr);
  write_text(",\"cfsr\":");
  write_hex(report->cfsr);
  write_text(",\"hfsr\":");
  write_hex(report->hfsr);
  write_text(",\"address\":");
  write_hex(report->address);
  write_text(report->stack_overflowed ? ",\"stackOverflowed\":true}}\n"
                                      : ",\"stackOverflowed\":false}}\n");
}
