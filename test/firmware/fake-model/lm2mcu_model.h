/* What tests vary of the fake model: see fake_model.c. */
#ifndef LM2MCU_MODEL_H
#define LM2MCU_MODEL_H

#define LM2MCU_ARENA_BYTES 6144
#define LM2MCU_MAX_TOKENS 16

#define FAKE_KIND LM2MCU_CLASSIFICATION
#define FAKE_LABEL_COUNT 3
#define FAKE_FAST
#define FAKE_LAST(id) (id)

#endif
