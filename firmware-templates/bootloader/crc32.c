/* SPDX-License-Identifier: Apache-2.0
 * Four bits at a time: a small table, and no start-up work for it. */
#include "crc32.h"

/* What the top four bits of the register turn into when they are shifted out. */
static const uint32_t table[16] = {
    0x00000000u, 0x04C11DB7u, 0x09823B6Eu, 0x0D4326D9u, 0x130476DCu, 0x17C56B6Bu,
    0x1A864DB2u, 0x1E475005u, 0x2608EDB8u, 0x22C9F00Fu, 0x2F8AD6D6u, 0x2B4BCB61u,
    0x350C9B64u, 0x31CD86D3u, 0x3C8EA00Au, 0x384FBDBDu,
};

uint32_t crc32_of(uint32_t crc, const uint8_t *bytes, uint32_t count) {
  const uint32_t *words = (const uint32_t *)(const void *)bytes;
  for (uint32_t i = 0; i < count / 4u; i++) {
    crc ^= words[i];
    for (int32_t nibble = 0; nibble < 8; nibble++) crc = (crc << 4) ^ table[crc >> 28];
  }
  return crc;
}
