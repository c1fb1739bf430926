/* SPDX-License-Identifier: Apache-2.0
 * Cortex-M55: Helium and floating point, low-overhead loops, branch prediction, caches. */
#include "platform.h"

/* Armv8-M Architecture Reference Manual (DDI 0553), D1.2: CPACR, CCR. */
#define SCB_CCR (*(volatile uint32_t *)0xE000ED14u)
#define SCB_CPACR (*(volatile uint32_t *)0xE000ED88u)
#define CPACR_CP10_CP11_FULL (0xFu << 20)
#define CCR_LOB (1u << 19) /* without it LE falls back to a plain branch */

void core_setup(void) {
  SCB_CPACR |= CPACR_CP10_CP11_FULL;
  SCB_CCR |= CCR_LOB;
  __asm volatile("dsb\n isb" ::: "memory");
}
