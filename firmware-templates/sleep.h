/* SPDX-License-Identifier: Apache-2.0
 * Sleeping until a peripheral asks for attention. Its interrupt wakes the core but is never taken:
 * it is enabled only while PRIMASK is set. */
#ifndef LM2MCU_SLEEP_H
#define LM2MCU_SLEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "platform.h"

/* DDI 0403, B3.4: a bit per interrupt. */
#define NVIC_REGISTER(offset, interrupt) \
  (*(volatile uint32_t *)(0xE000E000u + (offset) + 4u * ((interrupt) / 32u)))
#define NVIC_ISER(interrupt) NVIC_REGISTER(0x100u, interrupt)
#define NVIC_ICER(interrupt) NVIC_REGISTER(0x180u, interrupt)
#define NVIC_ICPR(interrupt) NVIC_REGISTER(0x280u, interrupt)

/* Between the two calls, and while the event has not come: wait_for_interrupt(). */
static inline void sleep_begin(uint32_t interrupt) {
  __asm volatile("cpsid i" ::: "memory");
  NVIC_ISER(interrupt) = 1u << (interrupt % 32u);
}

static inline void sleep_end(uint32_t interrupt) {
  NVIC_ICER(interrupt) = 1u << (interrupt % 32u);
  NVIC_ICPR(interrupt) = 1u << (interrupt % 32u);
  __asm volatile("cpsie i\n isb" ::: "memory");
}

#endif
