/* SPDX-License-Identifier: Apache-2.0
 * The USART of STM32F0, F3, F7, L4 and later (RM0385, section 31.8). */
#include "board.h"
#include "platform.h"
#include "stm32_pins.h"

#define USART_CR1 (*(volatile uint32_t *)(BOARD_UART_BASE + 0x00u))
#define USART_CR3 (*(volatile uint32_t *)(BOARD_UART_BASE + 0x08u))
#define USART_BRR (*(volatile uint32_t *)(BOARD_UART_BASE + 0x0Cu))
#define USART_ISR (*(volatile uint32_t *)(BOARD_UART_BASE + 0x1Cu))
#define USART_RDR (*(volatile uint32_t *)(BOARD_UART_BASE + 0x24u))
#define USART_TDR (*(volatile uint32_t *)(BOARD_UART_BASE + 0x28u))
#define USART_CR1_UE (1u << 0)
#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_CR1_PCE (1u << 10) /* even parity, as PS is 0 */
#define USART_CR1_M0 (1u << 12)  /* 9 bits, the parity bit among them */
#define USART_CR3_OVRDIS (1u << 12) /* a missed byte must not stop reception */
#if BOARD_UART_EVEN_PARITY
#define USART_CR1_FORMAT (USART_CR1_M0 | USART_CR1_PCE)
#else
#define USART_CR1_FORMAT 0u
#endif
#define USART_ISR_RXNE (1u << 5)
#define USART_ISR_TXE (1u << 7)

void uart_setup(void) {
  BOARD_UART_ENABLE_REGISTER |= 1u << BOARD_UART_ENABLE_BIT;
  use_alternate_function(BOARD_UART_TX_PORT, BOARD_UART_TX_PIN, BOARD_UART_PIN_FUNCTION);
  use_alternate_function(BOARD_UART_RX_PORT, BOARD_UART_RX_PIN, BOARD_UART_PIN_FUNCTION);
  pull_up(BOARD_UART_RX_PORT, BOARD_UART_RX_PIN);
  USART_CR1 = 0; /* its format is set while it is off, and a bootloader in ROM may have used it */
  USART_BRR = (BOARD_UART_CLOCK_HZ + BOARD_UART_BAUD / 2u) / BOARD_UART_BAUD;
  USART_CR3 = USART_CR3_OVRDIS;
  USART_CR1 = USART_CR1_FORMAT | USART_CR1_UE | USART_CR1_TE | USART_CR1_RE;
}

bool uart_has_byte(void) { return (USART_ISR & USART_ISR_RXNE) != 0; }

bool uart_wait(void) { return uart_has_byte(); }

uint8_t uart_take(void) { return (uint8_t)USART_RDR; }

void uart_write(uint8_t byte) {
  while ((USART_ISR & USART_ISR_TXE) == 0) {
  }
  USART_TDR = byte;
}
