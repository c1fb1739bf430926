/* SPDX-License-Identifier: Apache-2.0
 * What the test harness of the kernels needs from the machine it runs on. */
#ifndef HARNESS_H
#define HARNESS_H

#include <stdint.h>

/* Bytes of an arena that a case allows its kernel to touch. */
typedef struct {
  int32_t offset;
  int32_t size;
} region;

/* Fills `to`; returns 0 at the end of the cases. */
int read_bytes(void *to, uint32_t size);
void write_bytes(const void *from, uint32_t size);

/* Until `unguard`, touching other bytes of the arena is an error, where the machine can tell. */
void guard(uint8_t *arena, uint32_t size, const region *regions, int32_t count);
void unguard(uint8_t *arena, uint32_t size);

/* Counts down; 24 bits. */
uint32_t read_counter(void);

void run_cases(void);

#endif
