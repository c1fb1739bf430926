/* SPDX-License-Identifier: Apache-2.0
 * The chip starts over, its peripherals too. */
#ifndef LM2MCU_RESET_H
#define LM2MCU_RESET_H

#include <stdint.h>

/* ARMv7-M Architecture Reference Manual (DDI 0403), B3.2.6. */
#define SCB_AIRCR (*(volatile uint32_t *)0xE000ED0Cu)
#define AIRCR_VECTKEY (0x05FAu << 16)
#define AIRCR_SYSRESETREQ (1u << 2)

__attribute__((noreturn)) static inline void chip_reset(void) {
  __asm volatile("dsb" ::: "memory");
  SCB_AIRCR = AIRCR_VECTKEY | AIRCR_SYSRESETREQ;
  for (;;) {
  }
}

#endif
