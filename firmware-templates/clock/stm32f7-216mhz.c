/* SPDX-License-Identifier: Apache-2.0
 * STM32F74x/75x at 216 MHz from the internal 16 MHz oscillator: needs no crystal, and its 1 % is
 * good enough for a UART. RM0385: 4.1.4 over-drive, 5.3 RCC, 3.3.2 flash latency (7 wait states at
 * 2.7-3.6 V). APB1 54 MHz, APB2 108 MHz. */
#include "platform.h"
#include "stm32_pins.h"

#define PWR_CR1 (*(volatile uint32_t *)0x40007000u)
#define PWR_CSR1 (*(volatile uint32_t *)0x40007004u)
#define FLASH_ACR (*(volatile uint32_t *)0x40023C00u)
#define RCC_APB1ENR_PWREN (1u << 28)
#define PWR_CR1_VOS_SCALE1 (3u << 14)
#define PWR_CR1_ODEN (1u << 16)
#define PWR_CR1_ODSWEN (1u << 17)
#define PWR_CSR1_ODRDY (1u << 16)
#define PWR_CSR1_ODSWRDY (1u << 17)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define FLASH_ACR_LATENCY_7WS 7u
#define FLASH_ACR_PRFTEN (1u << 8)
#define FLASH_ACR_ARTEN (1u << 9)
/* 16 MHz / M 8 * N 216 = 432 MHz; / P 2 (coded 0) = 216 MHz; / Q 9 = 48 MHz. PLLSRC 0: HSI. Bits
 * 31:28 are reserved and keep their reset value of 2. */
#define PLLCFGR_216MHZ (8u | (216u << 6) | (0u << 16) | (9u << 24) | (2u << 28))
#define RCC_CFGR_SW_PLL 2u
#define RCC_CFGR_SWS_MASK (3u << 2)
#define RCC_CFGR_SWS_PLL (2u << 2)
#define RCC_CFGR_PPRE1_DIV4 (5u << 10)
#define RCC_CFGR_PPRE2_DIV2 (4u << 13)

void clock_setup(void) {
  RCC_APB1ENR |= RCC_APB1ENR_PWREN;
  (void)RCC_APB1ENR;
  PWR_CR1 |= PWR_CR1_VOS_SCALE1;
  RCC_PLLCFGR = PLLCFGR_216MHZ;
  RCC_CR |= RCC_CR_PLLON;
  PWR_CR1 |= PWR_CR1_ODEN;
  while ((PWR_CSR1 & PWR_CSR1_ODRDY) == 0) {
  }
  PWR_CR1 |= PWR_CR1_ODSWEN;
  while ((PWR_CSR1 & PWR_CSR1_ODSWRDY) == 0) {
  }
  FLASH_ACR = FLASH_ACR_LATENCY_7WS | FLASH_ACR_PRFTEN | FLASH_ACR_ARTEN;
  while ((FLASH_ACR & 0xFu) != FLASH_ACR_LATENCY_7WS) {
  }
  while ((RCC_CR & RCC_CR_PLLRDY) == 0) {
  }
  RCC_CFGR = RCC_CFGR_PPRE1_DIV4 | RCC_CFGR_PPRE2_DIV2; /* before the buses get faster */
  RCC_CFGR |= RCC_CFGR_SW_PLL;
  while ((RCC_CFGR & RCC_CFGR_SWS_MASK) != RCC_CFGR_SWS_PLL) {
  }
}
