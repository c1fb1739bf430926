/* SPDX-License-Identifier: Apache-2.0
 * Runs the model on every line of standard input; a TAB separates a text from its pair. Prints a line
 * for each row of the result: the label, where there is one, and the raw values.
 */
#include <stdio.h>
#include <string.h>

#include "lm2mcu.h"
#include "lm2mcu_model.h"

/* All the memory that the model needs. */
static uint8_t arena[LM2MCU_ARENA_BYTES] __attribute__((aligned(16)));

static void print_row(const lm2mcu_card *card, const int16_t *values, int32_t columns) {
  if (card->labels != NULL) printf("%s ", card->labels[lm2mcu_best(values, columns)]);
  for (int32_t i = 0; i < columns; i++) printf(i == 0 ? "%d" : ",%d", values[i]);
  printf("\n");
}

static lm2mcu_status answer(const char *text) {
  const char *tab = strchr(text, '\t');
  const size_t text_bytes = tab == NULL ? strlen(text) : (size_t)(tab - text);
  const char *pair = tab == NULL ? NULL : tab + 1;
  lm2mcu_tokens tokens;
  lm2mcu_status status =
      lm2mcu_tokenize(arena, text, text_bytes, pair, pair == NULL ? 0 : strlen(pair), &tokens);
  if (status != LM2MCU_OK) return status;
  lm2mcu_result result;
  status = lm2mcu_run(arena, &result);
  if (status != LM2MCU_OK) return status;
  for (int32_t row = 0; row < result.rows; row++) {
    print_row(lm2mcu_model_card(), result.values + row * result.columns, result.columns);
  }
  return LM2MCU_OK;
}

int main(void) {
  static char line[4096];
  while (fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\r\n")] = '\0';
    if (answer(line) != LM2MCU_OK) return 1;
  }
  return 0;
}
