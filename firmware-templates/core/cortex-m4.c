/* SPDX-License-Identifier: Apache-2.0
 * Cortex-M4F and Cortex-M33: full access to the floating-point unit. */
#include "platform.h"

/* DDI 0403, B3.2.20: coprocessors 10 and 11. */
#define SCB_CPACR (*(volatile uint32_t *)0xE000ED88u)
#define CPACR_CP10_CP11_FULL (0xFu << 20)

void core_setup(void) {
  SCB_CPACR |= CPACR_CP10_CP11_FULL;
  __asm volatile("dsb\n isb" ::: "memory");
}
