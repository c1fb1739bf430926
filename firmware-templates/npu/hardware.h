/* SPDX-License-Identifier: Apache-2.0
 * How ethos-u.c reaches the NPU of a chip: its registers, its interrupt, and the data cache between
 * the core and what the NPU reads and writes. */
#ifndef LM2MCU_NPU_HARDWARE_H
#define LM2MCU_NPU_HARDWARE_H

#include <stdbool.h>
#include <stdint.h>

#include "board.h"
#include "sleep.h"

static inline volatile uint32_t *npu_register(uint32_t offset) {
  return (volatile uint32_t *)(BOARD_NPU_BASE + offset);
}

static inline uint32_t npu_read(uint32_t offset) { return *npu_register(offset); }

/* What was written to memory before is there when the register changes. */
static inline void npu_write(uint32_t offset, uint32_t value) {
  __asm volatile("dsb" ::: "memory");
  *npu_register(offset) = value;
}

/* Where the NPU sees it: as the core does. */
static inline uint32_t npu_address(const void *pointer) { return (uint32_t)(uintptr_t)pointer; }

/* Until the NPU's interrupt, or another one: `raised` are the bits of the register that tell it. */
static inline void npu_sleep(uint32_t offset, uint32_t raised) {
  sleep_begin(BOARD_NPU_INTERRUPT);
  if ((npu_read(offset) & raised) == 0) wait_for_interrupt();
  sleep_end(BOARD_NPU_INTERRUPT);
}

/* Armv8-M Architecture Reference Manual (DDI 0553), D1.2: CCR, DCCIMVAC. Lines are those of the
 * Cortex-M55. */
#define NPU_SCB_CCR (*(volatile uint32_t *)0xE000ED14u)
#define NPU_SCB_DCCIMVAC (*(volatile uint32_t *)0xE000EF70u)
#define NPU_CCR_DC (1u << 16)
#define NPU_CACHE_LINE 32u

/* Nothing of it is in the data cache any more, and all that the core wrote is in memory. */
static inline void npu_uncache(const void *start, uint32_t bytes) {
  if ((NPU_SCB_CCR & NPU_CCR_DC) == 0 || bytes == 0) return;
  const uint32_t end = npu_address(start) + bytes;
  __asm volatile("dsb" ::: "memory");
  for (uint32_t line = npu_address(start) & ~(NPU_CACHE_LINE - 1u); line < end;
       line += NPU_CACHE_LINE) {
    NPU_SCB_DCCIMVAC = line;
  }
  __asm volatile("dsb\n isb" ::: "memory");
}

#endif
