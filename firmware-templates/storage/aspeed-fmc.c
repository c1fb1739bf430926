/* SPDX-License-Identifier: Apache-2.0
 * Serial NOR flash on chip select 0 of Aspeed's firmware memory controller (registers as in Linux,
 * drivers/spi/spi-aspeed-smc.c; flash commands as in any JEDEC serial NOR with 3-byte addresses).
 * In user mode every byte that is written to or read from the flash's window goes over SPI.
 */
#include "board.h"
#include "storage.h"

#define FMC_BASE 0x7E620000u
#define FMC_CONFIG (*(volatile uint32_t *)(FMC_BASE + 0x00u))
#define FMC_CE0_CONTROL (*(volatile uint32_t *)(FMC_BASE + 0x10u))
#define CONFIG_ENABLE_WRITE_CE0 (1u << 16)
#define CONTROL_USER_SELECTED 0x3u
#define CONTROL_USER_DESELECTED 0x7u
#define CONTROL_READ 0x00030400u /* mapped reading with command 03 */

#define SPI_BYTE (*(volatile uint8_t *)BOARD_STORAGE_ORIGIN)
#define COMMAND_PAGE_PROGRAM 0x02u
#define COMMAND_READ_STATUS 0x05u
#define COMMAND_WRITE_ENABLE 0x06u
#define COMMAND_ERASE_64K 0xD8u
#define STATUS_BUSY (1u << 0)
#define ERASE_BYTES 0x10000u
#define PROGRAM_BYTES 0x100u

void storage_setup(void) {
  FMC_CONFIG |= CONFIG_ENABLE_WRITE_CE0;
  FMC_CE0_CONTROL = CONTROL_READ;
}

const uint8_t *storage_at(uint32_t offset) {
  return (const uint8_t *)(uintptr_t)(BOARD_STORAGE_ORIGIN + offset);
}

static void begin(uint8_t command) {
  FMC_CE0_CONTROL = CONTROL_USER_SELECTED;
  SPI_BYTE = command;
}

static void end(void) { FMC_CE0_CONTROL = CONTROL_USER_DESELECTED; }

static void begin_change(uint8_t command, uint32_t offset) {
  begin(COMMAND_WRITE_ENABLE);
  end();
  begin(command);
  SPI_BYTE = (uint8_t)(offset >> 16);
  SPI_BYTE = (uint8_t)(offset >> 8);
  SPI_BYTE = (uint8_t)offset;
}

static void end_change(void) {
  end();
  begin(COMMAND_READ_STATUS);
  while ((SPI_BYTE & STATUS_BUSY) != 0) {
  }
  end();
  FMC_CE0_CONTROL = CONTROL_READ;
}

void storage_erase(uint32_t page) {
  const uint32_t start = page * BOARD_STORAGE_PAGE_BYTES;
  for (uint32_t done = 0; done < BOARD_STORAGE_PAGE_BYTES; done += ERASE_BYTES) {
    begin_change(COMMAND_ERASE_64K, start + done);
    end_change();
  }
}

void storage_program(uint32_t offset, const uint8_t *bytes, uint32_t count) {
  while (count > 0) {
    /* A program command wraps round at the end of its 256 bytes. */
    const uint32_t room = PROGRAM_BYTES - offset % PROGRAM_BYTES;
    const uint32_t part = count < room ? count : room;
    begin_change(COMMAND_PAGE_PROGRAM, offset);
    for (uint32_t i = 0; i < part; i++) SPI_BYTE = bytes[i];
    end_change();
    offset += part;
    bytes += part;
    count -= part;
  }
}
