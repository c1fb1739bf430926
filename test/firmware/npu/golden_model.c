/* A stand-in for a compiled model: the first id is the number of a golden job (goldens.c), whose
 * inputs are put into the arena, and whose outputs are compared there. Values of the result:
 *   0: bytes that differ   1: bytes that were compared
 * A second id changes the job: 1 a word of its stream, 2 a region, which then is on the stack, 3 a
 * region, which then is not aligned, 4 its payload, which ends too early.
 */
#include <string.h>

#include "goldens.h"
#include "lm2mcu.h"
#include "lm2mcu_model.h"
#include "npu/npu.h"

enum { AS_IT_IS, DAMAGED, ON_STACK, UNALIGNED, CUT };

#define STATE_BYTES 256

typedef struct {
  int32_t job;
  int32_t change;
  int16_t values[2];
} state;

static const lm2mcu_card card = {
    .name = "goldens",
    .target = "test",
    .sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    .kind = LM2MCU_EMBEDDING,
    .max_tokens = LM2MCU_MAX_TOKENS,
    .outputs = 2,
    .output_scale = 1.0f,
    .arena_bytes = LM2MCU_ARENA_BYTES,
    .text_offset = STATE_BYTES,
};

const lm2mcu_card *lm2mcu_model_card(void) { return &card; }

lm2mcu_status lm2mcu_tokenize(void *arena, const char *text, size_t text_bytes,
                              const char *pair_or_null, size_t pair_bytes, lm2mcu_tokens *tokens) {
  (void)arena, (void)text, (void)text_bytes, (void)pair_or_null, (void)pair_bytes, (void)tokens;
  return LM2MCU_ERROR_BAD_TOKEN;
}

lm2mcu_status lm2mcu_set_tokens(void *arena, const int32_t *ids, int32_t count,
                                int32_t segment_start) {
  (void)segment_start;
  if (count < 1 || ids[0] >= (int32_t)golden_count) return LM2MCU_ERROR_BAD_TOKEN;
  *(state *)arena = (state){.job = ids[0], .change = count > 1 ? ids[1] : AS_IT_IS};
  return LM2MCU_OK;
}

static lm2mcu_status run_job(const golden *one, int32_t change, uint8_t *memory) {
  /* The job's own, where it is changed: behind the memory that it works on. */
  uint8_t *copy = memory + one->arena_bytes;
  uint64_t on_stack[2] __attribute__((aligned(16))) = {0};
  lm_npu_job job = {.payload = one->payload, .payload_bytes = one->payload_bytes, .bases = 3};
  uint32_t sizes[3] = {one->constants_bytes, one->arena_bytes, one->arena_bytes};
  /* Vela's scratch memory is the arena. */
  void *bases[3] = {(void *)(uintptr_t)one->constants, memory, memory};
  memset(memory, 0xA5, one->arena_bytes);
  for (uint32_t i = 0; i < one->input_count; i++) {
    memcpy(memory + one->inputs[i].offset, one->inputs[i].bytes, one->inputs[i].count);
  }
  if (change == DAMAGED) {
    memcpy(copy, one->payload, one->payload_bytes);
    memset(copy + one->payload_bytes - 16, 0xEE, 4);
    job.payload = copy;
  }
  if (change == ON_STACK) {
    bases[2] = on_stack;
    sizes[2] = sizeof on_stack;
  }
  if (change == UNALIGNED) bases[1] = memory + 8;
  if (change == CUT) job.payload_bytes -= 16;
  return lm_npu_run(&job, bases, sizes) ? LM2MCU_OK : LM2MCU_ERROR_NPU;
}

lm2mcu_status lm2mcu_run(void *arena, lm2mcu_result *result) {
  state *model = arena;
  uint8_t *memory = (uint8_t *)arena + STATE_BYTES;
  const golden *one = &goldens[model->job];
  const lm2mcu_status status = run_job(one, model->change, memory);
  int16_t different = 0;
  int16_t compared = 0;
  for (uint32_t i = 0; i < one->output_count; i++) {
    for (uint32_t at = 0; at < one->outputs[i].count; at++) {
      different = (int16_t)(different + (memory[one->outputs[i].offset + at] != one->outputs[i].bytes[at]));
    }
    compared = (int16_t)(compared + (int16_t)one->outputs[i].count);
  }
  model->values[0] = different;
  model->values[1] = compared;
  *result = (lm2mcu_result){.rows = 1, .columns = 2, .values = model->values};
  return status;
}

int32_t lm2mcu_best(const int16_t *values, int32_t columns) {
  (void)values, (void)columns;
  return 0;
}
