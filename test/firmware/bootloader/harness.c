/* SPDX-License-Identifier: Apache-2.0
 * The bootloader's protocol on the host, on a small storage with the rules of NOR flash, driven by
 * the records of stdin:
 *
 *   'b' byte           the line brings a byte
 *   's'                the line falls silent for longer than a frame may pause
 *   'p' u32 u8         the storage's byte becomes that
 *   'f' u32            the power fails after so many bytes more are erased or programmed
 *   'r'                reset
 *   'd'                the storage goes to stdout, behind a 'D'
 *
 * Output: what the device sends, as 'b' byte; after a reset 'V' or 'I', whether a valid image is
 * there; 'G' where the application is started; 'F' where the power failed, and then nothing until
 * the reset.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include "board.h"
#include "image.h"
#include "protocol.h"
#include "storage.h"

/* Allocated, so that the sanitizer sees any byte read or written beyond it. */
static uint8_t *storage;
static uint32_t fuel = UINT32_MAX;
static jmp_buf reset;

static uint32_t read_record_word(void) {
  uint32_t word = 0;
  for (int32_t i = 0; i < 4; i++) word |= (uint32_t)getchar() << (8 * i);
  return word;
}

static void end(void) { exit(fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE); }

/* A byte, -1 on silence; all else is done here. */
static int32_t next_byte(void) {
  for (;;) {
    switch (getchar()) {
      case 'b':
        return getchar();
      case 's':
        return -1;
      case 'p': {
        const uint32_t offset = read_record_word();
        storage[offset] = (uint8_t)getchar();
        break;
      }
      case 'f':
        fuel = read_record_word();
        break;
      case 'r':
        longjmp(reset, 1);
      case 'd':
        putchar('D');
        fwrite(storage, 1, BOARD_STORAGE_BYTES, stdout);
        break;
      default:
        end();
    }
  }
}

bool link_read(uint8_t *byte) {
  const int32_t next = next_byte();
  *byte = (uint8_t)next;
  return next >= 0;
}

void link_write(uint8_t byte) {
  putchar('b');
  putchar(byte);
}

static void burn(void) {
  if (fuel == 0) {
    putchar('F');
    for (;;) next_byte();
  }
  fuel--;
}

void storage_setup(void) {}

const uint8_t *storage_at(uint32_t offset) { return storage + offset; }

void storage_erase(uint32_t page) {
  for (uint32_t i = 0; i < BOARD_STORAGE_PAGE_BYTES; i++) {
    burn();
    storage[page * BOARD_STORAGE_PAGE_BYTES + i] = 0xFF;
  }
}

void storage_program(uint32_t offset, const uint8_t *bytes, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    burn();
    storage[offset + i] &= bytes[i];
  }
}

int main(void) {
  storage = malloc(BOARD_STORAGE_BYTES);
  if (storage == NULL) return EXIT_FAILURE;
  for (uint32_t i = 0; i < BOARD_STORAGE_BYTES; i++) storage[i] = 0xFF;
  if (setjmp(reset) != 0) {
    fuel = UINT32_MAX;
    putchar(image_find() != NULL ? 'V' : 'I');
  }
  for (;;) {
    if (protocol_serve()) putchar('G');
  }
}
