/* SPDX-License-Identifier: Apache-2.0
 * Frames are answered as they come. What is wrong is answered with NACK, and what breaks off with
 * nothing; either way the next byte begins a command, so that no noise can lock the line. Nothing is
 * erased or programmed before the whole frame is there and its checksum is right.
 */
#include "protocol.h"

#include <stddef.h>

#include "board.h"
#include "crc32.h"
#include "storage.h"

#define ACK 0x79u
#define NACK 0x1Fu
#define PROTOCOL_VERSION 0x31u

enum {
  COMMAND_GET = 0x00,
  COMMAND_GET_VERSION = 0x01,
  COMMAND_GET_ID = 0x02,
  COMMAND_READ_MEMORY = 0x11,
  COMMAND_GO = 0x21,
  COMMAND_WRITE_MEMORY = 0x31,
  COMMAND_EXTENDED_ERASE = 0x44,
  COMMAND_GET_CHECKSUM = 0xA1
};

static const uint8_t commands[] = {
    COMMAND_GET,          COMMAND_GET_VERSION,    COMMAND_GET_ID,       COMMAND_READ_MEMORY, COMMAND_GO,
    COMMAND_WRITE_MEMORY, COMMAND_EXTENDED_ERASE, COMMAND_GET_CHECKSUM,
};

enum {
  MOST_BYTES = 256, /* of a read or a write */
  PAGES = BOARD_STORAGE_BYTES / BOARD_STORAGE_PAGE_BYTES,
  EVERY_PAGE = 0xFFFF,
  SPECIAL_ERASE = 0xFFF0 /* counts from here on have a meaning of their own */
};

static void acknowledge(void) { link_write(ACK); }
static void refuse(void) { link_write(NACK); }

/* Big-endian words of 1 to 4 bytes; the checksum goes along. */
static bool read_word(uint32_t bytes, uint32_t *word, uint8_t *checksum) {
  *word = 0;
  for (uint32_t i = 0; i < bytes; i++) {
    uint8_t byte;
    if (!link_read(&byte)) return false;
    *word = (*word << 8) | byte;
    *checksum ^= byte;
  }
  return true;
}

static void write_word(uint32_t word, uint32_t bytes) {
  for (uint32_t i = bytes; i > 0; i--) link_write((uint8_t)(word >> (8u * (i - 1u))));
}

/* A word and the XOR of its bytes. False: silence, or refused already. */
static bool read_checked_word(uint32_t *word) {
  uint8_t checksum = 0;
  uint32_t sent;
  if (!read_word(4, word, &checksum) || !read_word(1, &sent, &checksum)) return false;
  if (checksum == 0) return true;
  refuse();
  return false;
}

/* An address within the storage as an offset; false: silence, or refused already. */
static bool read_offset(uint32_t *offset) {
  uint32_t address;
  if (!read_checked_word(&address)) return false;
  *offset = address - BOARD_WIRE_ORIGIN;
  if (*offset < BOARD_STORAGE_BYTES) return true;
  refuse();
  return false;
}

static bool is_in_storage(uint32_t offset, uint32_t count) {
  return offset <= BOARD_STORAGE_BYTES && count <= BOARD_STORAGE_BYTES - offset;
}

static void get(void) {
  acknowledge();
  link_write((uint8_t)sizeof commands);
  link_write(PROTOCOL_VERSION);
  for (uint32_t i = 0; i < sizeof commands; i++) link_write(commands[i]);
  acknowledge();
}

static void get_version(void) {
  acknowledge();
  link_write(PROTOCOL_VERSION);
  write_word(0, 2); /* no option bytes */
  acknowledge();
}

static void get_id(void) {
  acknowledge();
  link_write(1); /* two bytes */
  write_word(BOARD_PRODUCT_ID, 2);
  acknowledge();
}

static void read_memory(void) {
  uint32_t offset, last;
  uint8_t checksum = 0xFF;
  acknowledge();
  if (!read_offset(&offset)) return;
  acknowledge();
  uint32_t complement;
  if (!read_word(1, &last, &checksum) || !read_word(1, &complement, &checksum)) return;
  if (checksum != 0 || !is_in_storage(offset, last + 1u)) {
    refuse();
    return;
  }
  acknowledge();
  const uint8_t *bytes = storage_at(offset);
  for (uint32_t i = 0; i <= last; i++) link_write(bytes[i]);
}

static void write_memory(void) {
  static uint8_t bytes[MOST_BYTES];
  uint32_t offset, last, sent;
  uint8_t checksum = 0;
  acknowledge();
  if (!read_offset(&offset)) return;
  acknowledge();
  if (!read_word(1, &last, &checksum)) return;
  for (uint32_t i = 0; i <= last; i++) {
    if (!link_read(&bytes[i])) return;
    checksum ^= bytes[i];
  }
  if (!read_word(1, &sent, &checksum)) return;
  const uint32_t count = last + 1u;
  const bool is_right =
      checksum == 0 && offset % 4u == 0 && count % 4u == 0 && is_in_storage(offset, count);
  if (is_right && served_program(offset, bytes, count)) acknowledge();
  else refuse();
}

static void extended_erase(void) {
  static uint8_t is_chosen[PAGES];
  uint32_t last, sent;
  uint8_t checksum = 0;
  bool is_right = true;
  acknowledge();
  if (!read_word(2, &last, &checksum)) return;
  for (uint32_t i = 0; i < PAGES; i++) is_chosen[i] = last == EVERY_PAGE;
  if (last >= SPECIAL_ERASE) {
    is_right = last == EVERY_PAGE;
  } else {
    for (uint32_t i = 0; i <= last; i++) {
      uint32_t page;
      if (!read_word(2, &page, &checksum)) return;
      if (page < PAGES) is_chosen[page] = true;
      else is_right = false;
    }
  }
  if (!read_word(1, &sent, &checksum)) return;
  if (!is_right || checksum != 0) {
    refuse();
    return;
  }
  /* From the start: of a broken-off erasure no image that looks whole is left. */
  for (uint32_t page = 0; page < PAGES; page++) {
    if (is_chosen[page]) storage_erase(page);
  }
  acknowledge();
}

static void get_checksum(void) {
  uint32_t offset, count;
  acknowledge();
  if (!read_offset(&offset)) return;
  acknowledge();
  if (!read_checked_word(&count)) return;
  if (offset % 4u != 0 || count % 4u != 0 || !is_in_storage(offset, count)) {
    refuse();
    return;
  }
  acknowledge();
  const uint32_t crc = crc32_of(CRC32_START, storage_at(offset), count);
  acknowledge();
  write_word(crc, 4);
  link_write((uint8_t)(crc >> 24 ^ crc >> 16 ^ crc >> 8 ^ crc));
}

static bool go(void) {
  uint32_t offset;
  acknowledge();
  if (!read_offset(&offset)) return false;
  if (!served_may_go(offset)) {
    refuse();
    return false;
  }
  acknowledge();
  return true;
}

void protocol_greet(void) { acknowledge(); }

bool protocol_serve(void) {
  uint8_t command, complement;
  if (!link_read(&command) || !link_read(&complement)) return false;
  if ((command ^ complement) != 0xFF) {
    refuse();
    return false;
  }
  switch (command) {
    case COMMAND_GET:
      get();
      break;
    case COMMAND_GET_VERSION:
      get_version();
      break;
    case COMMAND_GET_ID:
      get_id();
      break;
    case COMMAND_READ_MEMORY:
      read_memory();
      break;
    case COMMAND_GO:
      return go();
    case COMMAND_WRITE_MEMORY:
      write_memory();
      break;
    case COMMAND_EXTENDED_ERASE:
      extended_erase();
      break;
    case COMMAND_GET_CHECKSUM:
      get_checksum();
      break;
    default:
      refuse();
  }
  return false;
}
