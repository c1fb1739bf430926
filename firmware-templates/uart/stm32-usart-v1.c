/* SPDX-License-Identifier: Apache-2.0
 * The USART of STM32F1, F2 and F4 (RM0390, section 25.6). */
#include "board.h"
#include "platform.h"
#include "stm32_pins.h"

#define USART_SR (*(volatile uint32_t *)(BOARD_UART_BASE + 0x00u))
#define USART_DR (*(volatile uint32_t *)(BOARD_UART_BASE + 0x04u))
#define USART_BRR (*(volatile uint32_t *)(BOARD_UART_BASE + 0x08u))
#define USART_CR1 (*(volatile uint32_t *)(BOARD_UART_BASE + 0x0Cu))
#define USART_SR_RXNE (1u << 5)
#define USART_SR_TXE (1u << 7)
#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_CR1_UE (1u << 13)

void uart_setup(void) {
  BOARD_UART_ENABLE_REGISTER |= 1u << BOARD_UART_ENABLE_BIT;
  use_alternate_function(BOARD_UART_TX_PORT, BOARD_UART_TX_PIN, BOARD_UART_PIN_FUNCTION);
  use_alternate_function(BOARD_UART_RX_PORT, BOARD_UART_RX_PIN, BOARD_UART_PIN_FUNCTION);
  pull_up(BOARD_UART_RX_PORT, BOARD_UART_RX_PIN);
  USART_BRR = (BOARD_UART_CLOCK_HZ + BOARD_UART_BAUD / 2u) / BOARD_UART_BAUD;
  USART_CR1 = USART_CR1_UE | USART_CR1_TE | USART_CR1_RE;
}

bool uart_has_byte(void) { return (USART_SR & USART_SR_RXNE) != 0; }

bool uart_wait(void) { return uart_has_byte(); }

/* Reading SR then DR also clears an overrun (25.6.1). */
uint8_t uart_take(void) { return (uint8_t)USART_DR; }

void uart_write(uint8_t byte) {
  while ((USART_SR & USART_SR_TXE) == 0) {
  }
  USART_DR = byte;
}
