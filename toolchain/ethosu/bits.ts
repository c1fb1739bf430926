/** Bit streams as the hardware reads them: least significant bit first, within bytes and fields. */

export interface BitReader {
  /** Of the next bit. */
  position: number;
  readonly bitCount: number;
  /** Null behind the end, and then nothing is taken. At most 24 bits. */
  take(width: number): number | null;
}

export function readBits(bytes: Uint8Array): BitReader {
  const bitCount = 8 * bytes.length;
  return {
    position: 0,
    bitCount,
    take(width) {
      const start = this.position;
      if (start + width > bitCount) return null;
      const first = start >> 3;
      const word =
        (bytes[first] ?? 0) |
        ((bytes[first + 1] ?? 0) << 8) |
        ((bytes[first + 2] ?? 0) << 16) |
        ((bytes[first + 3] ?? 0) << 24);
      this.position = start + width;
      return (word >>> (start & 7)) & (2 ** width - 1);
    },
  };
}

export interface BitWriter {
  /** Of the next bit. */
  readonly position: number;
  /** At most 24 bits. */
  put(value: number, width: number): void;
  /** Whole bytes; the rest of the last one is ones. */
  bytes(): Uint8Array;
}

export function writeBits(): BitWriter {
  let buffer = new Uint8Array(1024);
  let position = 0;
  return {
    get position() {
      return position;
    },
    put(value, width) {
      const first = position >> 3;
      if (first + 4 >= buffer.length) {
        const larger = new Uint8Array(2 * buffer.length);
        larger.set(buffer);
        buffer = larger;
      }
      const shifted = value << (position & 7);
      buffer[first]! |= shifted;
      buffer[first + 1]! |= shifted >>> 8;
      buffer[first + 2]! |= shifted >>> 16;
      buffer[first + 3]! |= shifted >>> 24;
      position += width;
    },
    bytes() {
      const whole = buffer.slice(0, (position + 7) >> 3);
      if ((position & 7) !== 0) whole[whole.length - 1]! |= 0xff << (position & 7);
      return whole;
    },
  };
}
