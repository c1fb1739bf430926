/** The check sums of the serial protocols, by their names in the catalogue of CRC algorithms. */

/** CRC-16/XMODEM: polynomial 0x1021, from 0, most significant bit first. Appended, it gives 0. */
export function crc16Xmodem(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) crc = ((crc << 8) ^ crc16Table[(crc >>> 8) ^ byte]!) & 0xffff;
  return crc;
}

const crc16Table = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc;
});

/**
 * What the CRC unit of an STM32 computes after a reset, and firmware-templates/bootloader/crc32.c:
 * CRC-32/MPEG-2 over little-endian words, so each four bytes enter backwards. The length must be a multiple of four.
 */
export function crc32Stm32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let word = 0; word < bytes.length; word += 4) {
    for (let index = 3; index >= 0; index--) {
      crc = (crc << 8) ^ crc32Table[(crc >>> 24) ^ bytes[word + index]!]!;
    }
  }
  return crc >>> 0;
}

const crc32Polynomial = 0x04c11db7;
const crc32Table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ crc32Polynomial : crc << 1;
  return crc;
});

export function xorOf(bytes: ArrayLike<number>): number {
  let sum = 0;
  for (let index = 0; index < bytes.length; index++) sum ^= bytes[index]!;
  return sum;
}
