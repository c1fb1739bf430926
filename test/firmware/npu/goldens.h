/* Golden jobs, as goldens.c has them. */
#ifndef GOLDENS_H
#define GOLDENS_H

#include <stdint.h>

typedef struct {
  uint32_t offset; /* in the arena */
  uint32_t count;
  const uint8_t *bytes;
} golden_tensor;

typedef struct {
  const uint8_t *payload;
  uint32_t payload_bytes;
  const uint8_t *constants;
  uint32_t constants_bytes;
  uint32_t arena_bytes;
  uint32_t input_count;
  const golden_tensor *inputs;
  uint32_t output_count;
  const golden_tensor *outputs;
} golden;

extern const uint32_t golden_count;
extern const golden goldens[];

#endif
