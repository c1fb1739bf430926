/* SPDX-License-Identifier: Apache-2.0
 * The CRC-32 that the CRC unit of STM32 chips computes, and hence the commands of AN3155: polynomial
 * 04C11DB7, not reflected, over 32-bit little-endian words, no final inversion.
 */
#ifndef LM2MCU_CRC32_H
#define LM2MCU_CRC32_H

#include <stdint.h>

#define CRC32_START 0xFFFFFFFFu

/* bytes (count) is 4-byte aligned, and count a multiple of 4. */
uint32_t crc32_of(uint32_t crc, const uint8_t *bytes, uint32_t count);

#endif
