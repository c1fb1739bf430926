/* SPDX-License-Identifier: Apache-2.0
 * The writer: runs from RAM, where a ROM bootloader or a debug probe put it, and takes what belongs
 * into a NOR that those cannot write. It speaks the bootloader's protocol and says nothing until it is
 * asked. GO to anywhere in the NOR resets the chip: it starts nothing itself.
 */
#include "line.h"
#include "platform.h"
#include "protocol.h"
#include "reset.h"
#include "storage.h"

bool served_program(uint32_t offset, const uint8_t *bytes, uint32_t count) {
  return storage_program_checked(offset, bytes, count);
}

bool served_may_go(uint32_t offset) {
  (void)offset;
  return true;
}

/* Whoever loaded it can load it again. */
void console_report_fault(const fault_report *report) {
  (void)report;
  chip_reset();
}

int main(void) {
  storage_setup();
  while (!line_sync_within(LINE_TICKS_PER_SECOND)) {
  }
  line_serve();
  chip_reset();
}
