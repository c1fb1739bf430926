/* SPDX-License-Identifier: Apache-2.0
 * The CMSDK APB UART of Arm's MPS2 and MPS3 boards (Cortex-M System Design Kit TRM, DDI 0479,
 * section 4.3). One byte deep in each direction. Waiting for a byte sleeps, so that an idle
 * emulator costs its host nothing. */
#include "board.h"
#include "platform.h"

#define UART_DATA (*(volatile uint32_t *)(BOARD_UART_BASE + 0x00u))
#define UART_STATE (*(volatile uint32_t *)(BOARD_UART_BASE + 0x04u))
#define UART_CTRL (*(volatile uint32_t *)(BOARD_UART_BASE + 0x08u))
#define UART_INTCLEAR (*(volatile uint32_t *)(BOARD_UART_BASE + 0x0Cu))
#define UART_BAUDDIV (*(volatile uint32_t *)(BOARD_UART_BASE + 0x10u))
#define STATE_TXFULL (1u << 0)
#define STATE_RXFULL (1u << 1)
#define CTRL_TX_EN (1u << 0)
#define CTRL_RX_EN (1u << 1)
#define CTRL_RX_INTEN (1u << 3)
#define INT_RX (1u << 1)

/* DDI 0403, B3.4: a bit per interrupt. */
#define NVIC_REGISTER(offset) \
  (*(volatile uint32_t *)(0xE000E000u + (offset) + 4u * (BOARD_UART_RX_INTERRUPT / 32u)))
#define NVIC_ISER NVIC_REGISTER(0x100u)
#define NVIC_ICER NVIC_REGISTER(0x180u)
#define NVIC_ICPR NVIC_REGISTER(0x280u)
#define NVIC_RX_BIT (1u << (BOARD_UART_RX_INTERRUPT % 32u))

void uart_setup(void) {
  UART_BAUDDIV = BOARD_UART_CLOCK_HZ / BOARD_UART_BAUD;
  UART_CTRL = CTRL_TX_EN | CTRL_RX_EN | CTRL_RX_INTEN;
}

/* The interrupt wakes the core but is never taken: it is enabled only while PRIMASK is set. */
static void sleep_until_byte(void) {
  __asm volatile("cpsid i" ::: "memory");
  NVIC_ISER = NVIC_RX_BIT;
  if ((UART_STATE & STATE_RXFULL) == 0) wait_for_interrupt();
  NVIC_ICER = NVIC_RX_BIT;
  UART_INTCLEAR = INT_RX;
  NVIC_ICPR = NVIC_RX_BIT;
  __asm volatile("cpsie i\n isb" ::: "memory");
}

uint8_t uart_read(void) {
  while ((UART_STATE & STATE_RXFULL) == 0) sleep_until_byte();
  return (uint8_t)UART_DATA;
}

void uart_write(uint8_t byte) {
  while ((UART_STATE & STATE_TXFULL) != 0) {
  }
  UART_DATA = byte;
}
