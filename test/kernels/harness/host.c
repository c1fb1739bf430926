/* SPDX-License-Identifier: Apache-2.0
 * The host: cases from stdin, answers to stdout, the address sanitizer as guard. */
#include <sanitizer/asan_interface.h>
#include <stdio.h>

#include "harness.h"

int read_bytes(void *to, uint32_t size) { return fread(to, 1, size, stdin) == size; }

void write_bytes(const void *from, uint32_t size) { fwrite(from, 1, size, stdout); }

void guard(uint8_t *arena, uint32_t size, const region *regions, int32_t count) {
  ASAN_POISON_MEMORY_REGION(arena, size);
  for (int32_t i = 0; i < count; i++) {
    ASAN_UNPOISON_MEMORY_REGION(arena + regions[i].offset, (uint32_t)regions[i].size);
  }
}

void unguard(uint8_t *arena, uint32_t size) { ASAN_UNPOISON_MEMORY_REGION(arena, size); }

uint32_t read_counter(void) { return 0; }

int main(void) {
  run_cases();
  return 0;
}
