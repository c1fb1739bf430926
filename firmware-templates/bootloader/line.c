/* SPDX-License-Identifier: Apache-2.0
 * SysTick counts hundredths of a second, so that no frame that breaks off holds the line for ever. */
#include "line.h"

#include "board.h"
#include "platform.h"
#include "protocol.h"

/* ARMv7-M Architecture Reference Manual (DDI 0403), B3.2 and B3.3. */
#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)
#define SYST_CSR_ENABLE (1u << 0)
#define SYST_CSR_TICKINT (1u << 1)
#define SYST_CSR_CLKSOURCE (1u << 2)
#define SCB_ICSR (*(volatile uint32_t *)0xE000ED04u)
#define ICSR_PENDSTCLR (1u << 25)

enum { PAUSE_TICKS = LINE_TICKS_PER_SECOND, DRAIN_TICKS = 10 };

static volatile uint32_t ticks;

void SysTick_Handler(void);
void SysTick_Handler(void) { ticks = ticks + 1; }

void counter_setup(void) {
  SYST_RVR = BOARD_CLOCK_HZ / LINE_TICKS_PER_SECOND - 1u;
  SYST_CVR = 0;
  SYST_CSR = SYST_CSR_CLKSOURCE | SYST_CSR_TICKINT | SYST_CSR_ENABLE;
}

void line_stop(void) {
  SYST_CSR = 0;
  SCB_ICSR = ICSR_PENDSTCLR;
}

static bool read_within(uint32_t most_ticks, uint8_t *byte) {
  const uint32_t start = ticks;
  while (!uart_wait()) {
    if (ticks - start >= most_ticks) return false;
  }
  *byte = uart_take();
  return true;
}

bool link_read(uint8_t *byte) { return read_within(PAUSE_TICKS, byte); }

void link_write(uint8_t byte) { uart_write(byte); }

/* Afterwards what the UART's queue holds is on the line, and a host that closes its port on the last
 * answer does not throw away the application's first line with it. */
static void drain(void) {
  const uint32_t start = ticks;
  while (ticks - start < DRAIN_TICKS) wait_for_interrupt();
}

bool line_sync_within(uint32_t most_ticks) {
  const uint32_t start = ticks;
  for (uint32_t passed = 0; passed < most_ticks; passed = ticks - start) {
    uint8_t byte;
    if (read_within(most_ticks - passed, &byte) && byte == PROTOCOL_SYNC) return true;
  }
  return false;
}

void line_serve(void) {
  protocol_greet();
  while (!protocol_serve()) {
  }
  drain();
}
