/* SPDX-License-Identifier: Apache-2.0
 * The UART of Nordic's nRF51 and nRF52 (nRF52840 Product Specification, section 6.33). Reception
 * is six bytes deep. */
#include "board.h"
#include "platform.h"

#define UART_TASKS_STARTRX (*(volatile uint32_t *)(BOARD_UART_BASE + 0x000u))
#define UART_TASKS_STARTTX (*(volatile uint32_t *)(BOARD_UART_BASE + 0x008u))
#define UART_EVENTS_RXDRDY (*(volatile uint32_t *)(BOARD_UART_BASE + 0x108u))
#define UART_EVENTS_TXDRDY (*(volatile uint32_t *)(BOARD_UART_BASE + 0x11Cu))
#define UART_ENABLE (*(volatile uint32_t *)(BOARD_UART_BASE + 0x500u))
#define UART_PSEL_TXD (*(volatile uint32_t *)(BOARD_UART_BASE + 0x50Cu))
#define UART_PSEL_RXD (*(volatile uint32_t *)(BOARD_UART_BASE + 0x514u))
#define UART_RXD (*(volatile uint32_t *)(BOARD_UART_BASE + 0x518u))
#define UART_TXD (*(volatile uint32_t *)(BOARD_UART_BASE + 0x51Cu))
#define UART_BAUDRATE (*(volatile uint32_t *)(BOARD_UART_BASE + 0x524u))
#define UART_ENABLE_ENABLED 4u
/* Baud * 2^32 / 16 MHz in the upper 20 bits: 0x01D7E000 for 115200, as in the manual's table. */
#define UART_BAUDRATE_VALUE \
  ((uint32_t)((((uint64_t)BOARD_UART_BAUD << 32) / 16000000u + 0x800u) & 0xFFFFF000u))

/* Port 0 only: P0.n is pin n. */
void uart_setup(void) {
  UART_PSEL_TXD = BOARD_UART_TX_PIN;
  UART_PSEL_RXD = BOARD_UART_RX_PIN;
  UART_BAUDRATE = UART_BAUDRATE_VALUE;
  UART_ENABLE = UART_ENABLE_ENABLED;
  UART_EVENTS_RXDRDY = 0;
  UART_EVENTS_TXDRDY = 0;
  UART_TASKS_STARTRX = 1;
  UART_TASKS_STARTTX = 1;
}

bool uart_has_byte(void) { return UART_EVENTS_RXDRDY != 0; }

bool uart_wait(void) { return uart_has_byte(); }

/* The event is cleared before the read: the byte behind it in the queue raises it again. */
uint8_t uart_take(void) {
  UART_EVENTS_RXDRDY = 0;
  return (uint8_t)UART_RXD;
}

void uart_write(uint8_t byte) {
  UART_TXD = byte;
  while (UART_EVENTS_TXDRDY == 0) {
  }
  UART_EVENTS_TXDRDY = 0;
}
