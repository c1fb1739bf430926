/* SPDX-License-Identifier: Apache-2.0
 * The CMSDK APB UART of Arm's MPS2 and MPS3 boards (Cortex-M System Design Kit TRM, DDI 0479,
 * section 4.3). One byte deep in each direction. Waiting for a byte sleeps, so that an idle
 * emulator costs its host nothing. */
#include "board.h"
#include "platform.h"
#include "sleep.h"

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

void uart_setup(void) {
  UART_BAUDDIV = BOARD_UART_CLOCK_HZ / BOARD_UART_BAUD;
  UART_CTRL = CTRL_TX_EN | CTRL_RX_EN | CTRL_RX_INTEN;
}

bool uart_has_byte(void) { return (UART_STATE & STATE_RXFULL) != 0; }

bool uart_wait(void) {
  if (uart_has_byte()) return true;
  sleep_begin(BOARD_UART_RX_INTERRUPT);
  if (!uart_has_byte()) wait_for_interrupt();
  UART_INTCLEAR = INT_RX;
  sleep_end(BOARD_UART_RX_INTERRUPT);
  return uart_has_byte();
}

uint8_t uart_take(void) { return (uint8_t)UART_DATA; }

void uart_write(uint8_t byte) {
  while ((UART_STATE & STATE_TXFULL) != 0) {
  }
  UART_DATA = byte;
}
