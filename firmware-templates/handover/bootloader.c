/* SPDX-License-Identifier: Apache-2.0
 * Back into the bootloader, which then stays. */
#include "handover.h"
#include "platform.h"

bool bootloader_is_there(void) { return true; }

/* 10 ms: what the UART's queue holds is on the line by then. */
void bootloader_enter(void) {
  const uint64_t start = counter_ticks();
  while (counter_ticks() - start < BOARD_CLOCK_HZ / 100u) {
  }
  handover_reset(HANDOVER_STAY);
}
