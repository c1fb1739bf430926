/* SPDX-License-Identifier: Apache-2.0
 * Serial NOR flash with 3-byte addresses on bank 1 of the QUADSPI of STM32F7 (see RM0385, section 14),
 * written on one line and read mapped at BOARD_STORAGE_ORIGIN. memory/ has set up pins, clock and
 * size. The data cache must be off: it would keep what was there before.
 * Registers and bits as in stm32f746xx.h of ST's cmsis_device_f7, commands as in ST's n25q128a.h.
 * Compiled only: no board has run it. */
#include "board.h"
#include "storage.h"

#define QUADSPI_BASE 0xA0001000u
#define QUADSPI_REGISTER(offset) (*(volatile uint32_t *)(QUADSPI_BASE + (offset)))
#define QUADSPI_CR QUADSPI_REGISTER(0x00u)
#define QUADSPI_SR QUADSPI_REGISTER(0x08u)
#define QUADSPI_FCR QUADSPI_REGISTER(0x0Cu)
#define QUADSPI_DLR QUADSPI_REGISTER(0x10u)
#define QUADSPI_CCR QUADSPI_REGISTER(0x14u)
#define QUADSPI_AR QUADSPI_REGISTER(0x18u)
#define QUADSPI_DR_BYTE (*(volatile uint8_t *)(QUADSPI_BASE + 0x20u))
#define CR_ABORT (1u << 1)
#define SR_TRANSFER_COMPLETE (1u << 1)
#define SR_BUSY (1u << 5)
#define SR_FIFO_LEVEL(status) (((status) >> 8) & 0x3Fu)
#define FIFO_BYTES 32u
#define FCR_TRANSFER_COMPLETE (1u << 1)

/* CCR: each phase that there is on one line. */
#define CCR_INSTRUCTION (1u << 8)
#define CCR_ADDRESS_24_BITS ((1u << 10) | (2u << 12))
#define CCR_DATA (1u << 24)
#define CCR_INDIRECT_READ (1u << 26)
#define CCR_MEMORY_MAPPED (3u << 26)

/* The same on N25Q128A and W25Q128J. READ is for slow clocks, as the writer's 16 MHz / 3 is. */
#define COMMAND_PAGE_PROGRAM 0x02u
#define COMMAND_READ 0x03u
#define COMMAND_READ_STATUS 0x05u
#define COMMAND_WRITE_ENABLE 0x06u
#define COMMAND_ERASE_64K 0xD8u
#define STATUS_BUSY (1u << 0)
#define ERASE_BYTES 0x10000u
#define PROGRAM_BYTES 0x100u

static void wait_until_idle(void) {
  while ((QUADSPI_SR & SR_BUSY) != 0) {
  }
}

static void end_transfer(void) {
  while ((QUADSPI_SR & SR_TRANSFER_COMPLETE) == 0) {
  }
  QUADSPI_FCR = FCR_TRANSFER_COMPLETE;
  wait_until_idle();
}

static void abort_transfer(void) {
  QUADSPI_CR |= CR_ABORT;
  while ((QUADSPI_CR & CR_ABORT) != 0) {
  }
  wait_until_idle();
  QUADSPI_FCR = FCR_TRANSFER_COMPLETE;
}

/* On some chips (STM32L476: errata sheet ES0250) the first mapped read after a transfer is wrong
 * unless the address was set back; no command waits for an address here. */
static void enter_mapped(void) {
  QUADSPI_AR = 0;
  abort_transfer();
  QUADSPI_CCR = COMMAND_READ | CCR_INSTRUCTION | CCR_ADDRESS_24_BITS | CCR_DATA | CCR_MEMORY_MAPPED;
}

static void enable_write(void) {
  QUADSPI_CCR = COMMAND_WRITE_ENABLE | CCR_INSTRUCTION;
  end_transfer();
}

static void wait_until_changed(void) {
  uint32_t status;
  do {
    QUADSPI_DLR = 0; /* one byte */
    QUADSPI_CCR = COMMAND_READ_STATUS | CCR_INSTRUCTION | CCR_DATA | CCR_INDIRECT_READ;
    while ((QUADSPI_SR & SR_TRANSFER_COMPLETE) == 0) {
    }
    status = QUADSPI_DR_BYTE;
    end_transfer();
  } while ((status & STATUS_BUSY) != 0);
}

void storage_setup(void) {
  abort_transfer();
  enter_mapped();
}

const uint8_t *storage_at(uint32_t offset) {
  return (const uint8_t *)(uintptr_t)(BOARD_STORAGE_ORIGIN + offset);
}

void storage_erase(uint32_t page) {
  const uint32_t start = page * BOARD_STORAGE_PAGE_BYTES;
  abort_transfer();
  for (uint32_t done = 0; done < BOARD_STORAGE_PAGE_BYTES; done += ERASE_BYTES) {
    enable_write();
    QUADSPI_CCR = COMMAND_ERASE_64K | CCR_INSTRUCTION | CCR_ADDRESS_24_BITS;
    QUADSPI_AR = start + done;
    end_transfer();
    wait_until_changed();
  }
  enter_mapped();
}

static void program_part(uint32_t offset, const uint8_t *bytes, uint32_t count) {
  enable_write();
  QUADSPI_DLR = count - 1u;
  QUADSPI_CCR = COMMAND_PAGE_PROGRAM | CCR_INSTRUCTION | CCR_ADDRESS_24_BITS | CCR_DATA;
  QUADSPI_AR = offset;
  for (uint32_t i = 0; i < count; i++) {
    while (SR_FIFO_LEVEL(QUADSPI_SR) >= FIFO_BYTES) {
    }
    QUADSPI_DR_BYTE = bytes[i];
  }
  end_transfer();
  wait_until_changed();
}

void storage_program(uint32_t offset, const uint8_t *bytes, uint32_t count) {
  abort_transfer();
  while (count > 0) {
    /* A program command wraps round at the end of its 256 bytes. */
    const uint32_t room = PROGRAM_BYTES - offset % PROGRAM_BYTES;
    const uint32_t part = count < room ? count : room;
    program_part(offset, bytes, part);
    offset += part;
    bytes += part;
    count -= part;
  }
  enter_mapped();
}
