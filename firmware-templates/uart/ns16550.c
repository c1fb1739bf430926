/* SPDX-License-Identifier: Apache-2.0
 * A 16550A whose registers lie 4 bytes apart, as in Aspeed's chips (PC16550D datasheet, section 8), and
 * as DesignWare's UART has them. Both queues are 16 bytes deep at least. Waiting for a byte sleeps. */
#include "board.h"
#include "platform.h"
#include "sleep.h"

#define UART_REGISTER(index) (*(volatile uint32_t *)(BOARD_UART_BASE + 4u * (index)))
#define UART_RBR UART_REGISTER(0u) /* read */
#define UART_THR UART_REGISTER(0u) /* write */
#define UART_DLL UART_REGISTER(0u) /* while LCR_DLAB */
#define UART_DLM UART_REGISTER(1u) /* while LCR_DLAB */
#define UART_IER UART_REGISTER(1u)
#define UART_FCR UART_REGISTER(2u)
#define UART_LCR UART_REGISTER(3u)
#define UART_LSR UART_REGISTER(5u)
#define IER_RECEIVED (1u << 0)
#define FCR_ENABLE_AND_CLEAR 0x07u
#define LCR_8N1 0x03u
#define LCR_DLAB (1u << 7)
#define LSR_DATA_READY (1u << 0)
#define LSR_THR_EMPTY (1u << 5)

static void set_rate(void) {
  const uint32_t divisor =
      (BOARD_UART_CLOCK_HZ + 8u * BOARD_UART_BAUD) / (16u * BOARD_UART_BAUD);
  UART_LCR = LCR_8N1 | LCR_DLAB;
  UART_DLL = divisor & 0xFFu;
  UART_DLM = divisor >> 8;
}

void uart_setup(void) {
  if (BOARD_UART_CLOCK_HZ != 0) set_rate();
  UART_LCR = LCR_8N1;
  UART_FCR = FCR_ENABLE_AND_CLEAR;
  UART_IER = IER_RECEIVED;
}

bool uart_has_byte(void) { return (UART_LSR & LSR_DATA_READY) != 0; }

bool uart_wait(void) {
  if (uart_has_byte()) return true;
  sleep_begin(BOARD_UART_RX_INTERRUPT);
  if (!uart_has_byte()) wait_for_interrupt();
  sleep_end(BOARD_UART_RX_INTERRUPT);
  return uart_has_byte();
}

uint8_t uart_take(void) { return (uint8_t)UART_RBR; }

void uart_write(uint8_t byte) {
  while ((UART_LSR & LSR_THR_EMPTY) == 0) {
  }
  UART_THR = byte;
}
