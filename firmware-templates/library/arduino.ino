// SPDX-License-Identifier: Apache-2.0
// Runs the model on every line from the serial monitor (115200 baud, line ending: newline).
#include <lm2mcu.h>
#include <lm2mcu_model.h>

// All the memory that the model needs.
alignas(16) static uint8_t arena[LM2MCU_ARENA_BYTES];

void setup() {
  Serial.begin(115200);
}

void loop() {
  if (Serial.available() == 0) return;
  const String text = Serial.readStringUntil('\n');
  lm2mcu_tokens tokens;
  lm2mcu_result result;
  if (lm2mcu_tokenize(arena, text.c_str(), text.length(), nullptr, 0, &tokens) != LM2MCU_OK ||
      lm2mcu_run(arena, &result) != LM2MCU_OK) {
    Serial.println("error");
    return;
  }
  const lm2mcu_card *card = lm2mcu_model_card();
  for (int32_t row = 0; row < result.rows; row++) {
    const int16_t *values = result.values + row * result.columns;
    if (card->labels != nullptr) {
      Serial.println(card->labels[lm2mcu_best(values, result.columns)]);
      continue;
    }
    for (int32_t i = 0; i < result.columns; i++) {
      Serial.print(values[i]);
      Serial.print(i + 1 < result.columns ? "," : "\n");
    }
  }
}
