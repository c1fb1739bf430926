/* SPDX-License-Identifier: Apache-2.0
 * The bootloader: starts the application in the storage if it is whole, and takes a new one over the
 * console's UART (115200 baud, 8N1). It says nothing until it is asked.
 *
 *   reset ─ application asked to stay, or no valid image ─────────────▶ serve until GO
 *         └ else: listen for 0x7F, a moment ── 0x7F came ────────────▶ serve until GO
 *                                           └─ nothing came ─────────▶ start the application
 *   GO ─ reset ─▶ start the application without listening
 *
 * A power cut needs no care here: whatever it leaves is either a valid image or served.
 */
#include <stddef.h>

#include "board.h"
#include "handover.h"
#include "image.h"
#include "platform.h"
#include "protocol.h"
#include "storage.h"

/* ARMv7-M Architecture Reference Manual (DDI 0403), B3.2 and B3.3. */
#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)
#define SYST_CSR_ENABLE (1u << 0)
#define SYST_CSR_TICKINT (1u << 1)
#define SYST_CSR_CLKSOURCE (1u << 2)
#define SCB_ICSR (*(volatile uint32_t *)0xE000ED04u)
#define SCB_VTOR (*(volatile uint32_t *)0xE000ED08u)
#define ICSR_PENDSTCLR (1u << 25)

enum { TICKS_PER_SECOND = 100, LISTEN_TICKS = 20, PAUSE_TICKS = 100, DRAIN_TICKS = 10 };

static volatile uint32_t ticks;

void SysTick_Handler(void);
void SysTick_Handler(void) { ticks = ticks + 1; }

void counter_setup(void) {
  SYST_RVR = BOARD_CLOCK_HZ / TICKS_PER_SECOND - 1u;
  SYST_CVR = 0;
  SYST_CSR = SYST_CSR_CLKSOURCE | SYST_CSR_TICKINT | SYST_CSR_ENABLE;
}

/* Start over, and stay: whatever went wrong may go wrong again. */
void console_report_fault(const fault_report *report) {
  (void)report;
  handover_reset(HANDOVER_STAY);
}

/* ---- The line ---- */

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

static bool sync_comes_within(uint32_t most_ticks) {
  const uint32_t start = ticks;
  for (uint32_t passed = 0; passed < most_ticks; passed = ticks - start) {
    uint8_t byte;
    if (read_within(most_ticks - passed, &byte) && byte == PROTOCOL_SYNC) return true;
  }
  return false;
}

__attribute__((noreturn)) static void serve(bool is_synchronised) {
  while (!is_synchronised) is_synchronised = sync_comes_within(PAUSE_TICKS);
  protocol_greet();
  while (!protocol_serve()) {
  }
  drain();
  handover_reset(HANDOVER_START);
}

/* ---- The application ---- */

static void copy_code(const image_header *header) {
  const uint32_t *from = (const uint32_t *)(const void *)storage_at(header->segments[0].offset);
  uint32_t *to = (uint32_t *)(uintptr_t)header->run_address;
  for (uint32_t i = 0; i < header->copy_bytes / 4u; i++) to[i] = from[i];
}

/* As if it came out of reset: DDI 0403, B1.5.5. */
__attribute__((noreturn)) static void start(const image_header *header) {
  copy_code(header);
  SYST_CSR = 0;
  SCB_ICSR = ICSR_PENDSTCLR;
  const uint32_t *vectors = (const uint32_t *)(uintptr_t)header->run_address;
  SCB_VTOR = header->run_address;
  __asm volatile(
      "dsb\n isb\n"
      "msr msp, %0\n"
      "bx %1\n"
      :
      : "r"(vectors[0]), "r"(vectors[1])
      : "memory");
  __builtin_unreachable();
}

int main(void) {
  storage_setup();
  const uint32_t request = handover_take();
  const image_header *header = request == HANDOVER_STAY ? NULL : image_find();
  if (header == NULL) serve(false);
  if (request != HANDOVER_START && sync_comes_within(LISTEN_TICKS)) serve(true);
  start(header);
}
