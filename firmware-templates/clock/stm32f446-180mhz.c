/* SPDX-License-Identifier: Apache-2.0
 * STM32F446 at 180 MHz from the internal 16 MHz oscillator: needs no crystal, and its 1 % is good
 * enough for a UART. RM0390: 5.1.4 over-drive, 6.3 RCC, 3.4.1 flash latency (5 wait states at
 * 2.7-3.6 V). APB1 45 MHz, APB2 90 MHz. */
#include "platform.h"
#include "stm32_pins.h"

#define PWR_CR (*(volatile uint32_t *)0x40007000u)
#define PWR_CSR (*(volatile uint32_t *)0x40007004u)
#define FLASH_ACR (*(volatile uint32_t *)0x40023C00u)
#define RCC_APB1ENR_PWREN (1u << 28)
#define PWR_CR_VOS_SCALE1 (3u << 14)
#define PWR_CR_ODEN (1u << 16)
#define PWR_CR_ODSWEN (1u << 17)
#define PWR_CSR_ODRDY (1u << 16)
#define PWR_CSR_ODSWRDY (1u << 17)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define FLASH_ACR_LATENCY_5WS 5u
#define FLASH_ACR_PRFTEN (1u << 8)
#define FLASH_ACR_ICEN (1u << 9)
#define FLASH_ACR_DCEN (1u << 10)
/* 16 MHz / M 8 * N 180 = 360 MHz; / P 2 (coded 0) = 180 MHz; Q 8 and R 2 unused. PLLSRC 0: HSI. */
#define PLLCFGR_180MHZ (8u | (180u << 6) | (0u << 16) | (8u << 24) | (2u << 28))
#define RCC_CFGR_SW_PLL 2u
#define RCC_CFGR_SWS_MASK (3u << 2)
#define RCC_CFGR_SWS_PLL (2u << 2)
#define RCC_CFGR_PPRE1_DIV4 (5u << 10)
#define RCC_CFGR_PPRE2_DIV2 (4u << 13)

void clock_setup(void) {
  RCC_APB1ENR |= RCC_APB1ENR_PWREN;
  (void)RCC_APB1ENR;
  PWR_CR |= PWR_CR_VOS_SCALE1;
  RCC_PLLCFGR = PLLCFGR_180MHZ;
  RCC_CR |= RCC_CR_PLLON;
  while ((RCC_CR & RCC_CR_PLLRDY) == 0) {
  }
  PWR_CR |= PWR_CR_ODEN;
  while ((PWR_CSR & PWR_CSR_ODRDY) == 0) {
  }
  PWR_CR |= PWR_CR_ODSWEN;
  while ((PWR_CSR & PWR_CSR_ODSWRDY) == 0) {
  }
  FLASH_ACR = FLASH_ACR_LATENCY_5WS | FLASH_ACR_PRFTEN | FLASH_ACR_ICEN | FLASH_ACR_DCEN;
  while ((FLASH_ACR & 0xFu) != FLASH_ACR_LATENCY_5WS) {
  }
  RCC_CFGR = RCC_CFGR_PPRE1_DIV4 | RCC_CFGR_PPRE2_DIV2; /* before the buses get faster */
  RCC_CFGR |= RCC_CFGR_SW_PLL;
  while ((RCC_CFGR & RCC_CFGR_SWS_MASK) != RCC_CFGR_SWS_PLL) {
  }
}
