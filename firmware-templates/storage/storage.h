/* SPDX-License-Identifier: Apache-2.0
 * The memory that keeps the image: read in place, erased by the page to 0xFF, programmed from 1 to 0
 * only. One file of this folder is linked into the bootloader or the writer, as the board's JSON file
 * says.
 * Offsets are from the start of the storage.
 */
#ifndef LM2MCU_STORAGE_H
#define LM2MCU_STORAGE_H

#include <stdbool.h>
#include <stdint.h>

void storage_setup(void);

const uint8_t *storage_at(uint32_t offset);

/* BOARD_STORAGE_PAGE_BYTES from page * BOARD_STORAGE_PAGE_BYTES on. */
void storage_erase(uint32_t page);

/* What comes out is the AND of old and new: the caller reads it back. */
void storage_program(uint32_t offset, const uint8_t *bytes, uint32_t count);

/* False where the storage does not hold the bytes afterwards. */
static inline bool storage_program_checked(uint32_t offset, const uint8_t *bytes, uint32_t count) {
  if (count > 0) storage_program(offset, bytes, count);
  const uint8_t *there = storage_at(offset);
  for (uint32_t i = 0; i < count; i++) {
    if (there[i] != bytes[i]) return false;
  }
  return true;
}

#endif
