/* SPDX-License-Identifier: Apache-2.0
 * STM32F4 and STM32F7 on the internal 16 MHz oscillator, as after reset, whatever a bootloader in ROM
 * made of it before (RCC: see RM0385, 5.3; compiled only, not compared with it). The flash's wait
 * states may stay: too many do no harm. */
#include "platform.h"
#include "stm32_pins.h"

#define RCC_CR_HSION (1u << 0)
#define RCC_CR_HSIRDY (1u << 1)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CFGR_SWS_MASK (3u << 2)

void clock_setup(void) {
  RCC_CR |= RCC_CR_HSION;
  while ((RCC_CR & RCC_CR_HSIRDY) == 0) {
  }
  RCC_CFGR = 0; /* HSI, and no bus divided */
  while ((RCC_CFGR & RCC_CFGR_SWS_MASK) != 0) {
  }
  RCC_CR &= ~RCC_CR_PLLON;
}
