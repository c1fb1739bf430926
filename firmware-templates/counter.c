/* SPDX-License-Identifier: Apache-2.0
 * A 64-bit count of the work done, exact to one SysTick tick.
 *
 * On a chip SysTick counts processor cycles. Under `qemu -icount shift=0` every instruction takes
 * one nanosecond of virtual time, so a tick is a fixed number of instructions (board file,
 * `counter`). SysTick has 24 bits and counts down; its interrupt, a handful of instructions every
 * 16,777,216 ticks, counts the periods.
 */
#include <stdint.h>

#include "board.h"
#include "platform.h"

/* ARMv7-M Architecture Reference Manual (DDI 0403), B3.3. */
#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)
#define SYST_CSR_ENABLE (1u << 0)
#define SYST_CSR_TICKINT (1u << 1)
#define SYST_CSR_CLKSOURCE (1u << 2)
#define SYST_MAX 0x00FFFFFFu

const char counter_unit[] = BOARD_COUNTER_UNIT;

static volatile uint32_t periods;

void SysTick_Handler(void);
void SysTick_Handler(void) { periods = periods + 1; }

void counter_setup(void) {
  SYST_RVR = SYST_MAX;
  SYST_CVR = 0;
  SYST_CSR = SYST_CSR_CLKSOURCE | SYST_CSR_TICKINT | SYST_CSR_ENABLE;
}

/* A period begins when the counter reaches 0, which is also when the interrupt is raised, so the
 * ticks since then are -SYST_CVR. Read again when the interrupt came in between. */
uint64_t counter_ticks(void) {
  uint32_t before;
  uint32_t ticks;
  do {
    before = periods;
    ticks = (0u - SYST_CVR) & SYST_MAX;
    __asm volatile("isb" ::: "memory");
  } while (before != periods);
  return ((uint64_t)before << 24) | ticks;
}

uint64_t counter_units(uint64_t ticks) {
  return ticks * BOARD_COUNTER_UNITS / BOARD_COUNTER_TICKS;
}
