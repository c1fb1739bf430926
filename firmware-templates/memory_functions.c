/* SPDX-License-Identifier: Apache-2.0
 * The four functions every C compiler may call on its own (GCC manual, "Standards"), so that the
 * image needs no C library and its stack bound is complete. Words where both sides are aligned.
 */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *left, const void *right, size_t bytes);

/* May alias anything, and the core reads unaligned words. */
typedef uint32_t __attribute__((may_alias, aligned(1))) any_word;

void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
  uint8_t *destination = to;
  const uint8_t *source = from;
  for (; bytes >= 16; bytes -= 16, destination += 16, source += 16) {
    const uint32_t a = ((const any_word *)source)[0], b = ((const any_word *)source)[1];
    const uint32_t c = ((const any_word *)source)[2], d = ((const any_word *)source)[3];
    ((any_word *)destination)[0] = a;
    ((any_word *)destination)[1] = b;
    ((any_word *)destination)[2] = c;
    ((any_word *)destination)[3] = d;
  }
  for (; bytes > 0; bytes--) *destination++ = *source++;
  return to;
}

void *memmove(void *to, const void *from, size_t bytes) {
  uint8_t *destination = to;
  const uint8_t *source = from;
  if ((uintptr_t)destination - (uintptr_t)source >= bytes) {
    for (; bytes >= 4; bytes -= 4, destination += 4, source += 4) {
      *(any_word *)destination = *(const any_word *)source;
    }
    for (; bytes > 0; bytes--) *destination++ = *source++;
    return to;
  }
  for (; bytes >= 4; bytes -= 4) {
    *(any_word *)(destination + bytes - 4) = *(const any_word *)(source + bytes - 4);
  }
  for (; bytes > 0; bytes--) destination[bytes - 1] = source[bytes - 1];
  return to;
}

void *memset(void *to, int value, size_t bytes) {
  uint8_t *destination = to;
  const uint32_t word = 0x01010101u * (uint8_t)value;
  for (; bytes >= 16; bytes -= 16, destination += 16) {
    ((any_word *)destination)[0] = word;
    ((any_word *)destination)[1] = word;
    ((any_word *)destination)[2] = word;
    ((any_word *)destination)[3] = word;
  }
  for (; bytes > 0; bytes--) *destination++ = (uint8_t)value;
  return to;
}

int memcmp(const void *left, const void *right, size_t bytes) {
  const uint8_t *a = left;
  const uint8_t *b = right;
  for (; bytes > 0; bytes--, a++, b++) {
    if (*a != *b) return *a - *b;
  }
  return 0;
}
