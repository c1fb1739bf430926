/* SPDX-License-Identifier: Apache-2.0
 * Alif Ensemble E3, E5 and E7: the secure enclave has raised the core's clock before it starts the
 * core; the UART still needs its clock and its pins.
 *
 * Registers and bits as in Alif's device family pack (soc.h, sys_ctrl_uart.h, pinconf.c of
 * alif_ensemble-cmsis-dfp). */
#include "board.h"
#include "platform.h"

#define EXPMST0_CTRL (*(volatile uint32_t *)0x4902F000u)
#define UART_CTRL (*(volatile uint32_t *)0x4902F008u)
#define EXPMST0_CTRL_IPCLK_FORCE (1u << 31)
#define EXPMST0_CTRL_PCLK_FORCE (1u << 30)
/* A bit for each UART: its clock is on, and is SYST_PCLK. */
#define UART_CTRL_CLK_ENA(number) (1u << (number))
#define UART_CTRL_SEL_PCLK(number) (1u << (8u + (number)))
#define UART0_BASE 0x49018000u
#define UART_BYTES 0x1000u

/* A word for each of the eight pins of a port: the function, and behind it the pad. */
#define PINMUX(pin) (*(volatile uint32_t *)(0x1A603000u + 4u * (pin)))
#define PAD_READ_ENABLE (1u << 16)

void clock_setup(void) {
  const uint32_t number = (BOARD_UART_BASE - UART0_BASE) / UART_BYTES;
  EXPMST0_CTRL |= EXPMST0_CTRL_IPCLK_FORCE | EXPMST0_CTRL_PCLK_FORCE;
  UART_CTRL |= UART_CTRL_CLK_ENA(number) | UART_CTRL_SEL_PCLK(number);
  PINMUX(BOARD_UART_RX_PIN) = BOARD_UART_PIN_FUNCTION | PAD_READ_ENABLE;
  PINMUX(BOARD_UART_TX_PIN) = BOARD_UART_PIN_FUNCTION;
}
