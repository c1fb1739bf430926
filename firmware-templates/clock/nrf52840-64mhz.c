/* SPDX-License-Identifier: Apache-2.0
 * nRF52840: the core always runs at 64 MHz. Starts the crystal, which the UART's timing deserves,
 * and the flash instruction cache (Product Specification: CLOCK, NVMC ICACHECNF). */
#include "platform.h"

#define CLOCK_TASKS_HFCLKSTART (*(volatile uint32_t *)0x40000000u)
#define CLOCK_EVENTS_HFCLKSTARTED (*(volatile uint32_t *)0x40000100u)
#define NVMC_ICACHECNF (*(volatile uint32_t *)0x4001E540u)
#define NVMC_ICACHECNF_CACHEEN 1u

void clock_setup(void) {
  CLOCK_EVENTS_HFCLKSTARTED = 0;
  CLOCK_TASKS_HFCLKSTART = 1;
  while (CLOCK_EVENTS_HFCLKSTARTED == 0) {
  }
  NVMC_ICACHECNF = NVMC_ICACHECNF_CACHEEN;
}
