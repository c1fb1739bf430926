/* SPDX-License-Identifier: Apache-2.0
 * RAM that plays NOR flash on emulated machines that have none: this file, not the machine, keeps to
 * the rules of flash. */
#include "board.h"
#include "storage.h"

void storage_setup(void) {}

const uint8_t *storage_at(uint32_t offset) {
  return (const uint8_t *)(uintptr_t)(BOARD_STORAGE_ORIGIN + offset);
}

void storage_erase(uint32_t page) {
  uint32_t *word = (uint32_t *)(uintptr_t)(BOARD_STORAGE_ORIGIN + page * BOARD_STORAGE_PAGE_BYTES);
  for (uint32_t i = 0; i < BOARD_STORAGE_PAGE_BYTES / 4u; i++) word[i] = 0xFFFFFFFFu;
}

void storage_program(uint32_t offset, const uint8_t *bytes, uint32_t count) {
  uint8_t *to = (uint8_t *)(uintptr_t)(BOARD_STORAGE_ORIGIN + offset);
  for (uint32_t i = 0; i < count; i++) to[i] = (uint8_t)(to[i] & bytes[i]);
}
