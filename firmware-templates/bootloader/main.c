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
#include "line.h"
#include "platform.h"
#include "storage.h"

/* ARMv7-M Architecture Reference Manual (DDI 0403), B3.2. */
#define SCB_VTOR (*(volatile uint32_t *)0xE000ED08u)

enum { LISTEN_TICKS = 20 };

/* Start over, and stay: whatever went wrong may go wrong again. */
void console_report_fault(const fault_report *report) {
  (void)report;
  handover_reset(HANDOVER_STAY);
}

__attribute__((noreturn)) static void serve(bool is_synchronised) {
  while (!is_synchronised) is_synchronised = line_sync_within(LINE_TICKS_PER_SECOND);
  line_serve();
  handover_reset(HANDOVER_START);
}

static void copy_code(const image_header *header) {
  const uint32_t *from = (const uint32_t *)(const void *)storage_at(header->segments[0].offset);
  uint32_t *to = (uint32_t *)(uintptr_t)header->run_address;
  for (uint32_t i = 0; i < header->copy_bytes / 4u; i++) to[i] = from[i];
}

/* As if it came out of reset: DDI 0403, B1.5.5. */
__attribute__((noreturn)) static void start(const image_header *header) {
  copy_code(header);
  line_stop();
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
  if (request != HANDOVER_START && line_sync_within(LISTEN_TICKS)) serve(true);
  start(header);
}
