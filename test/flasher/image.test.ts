/** Images as they come in files, and what is said of damaged ones. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { crc16Xmodem, crc32Stm32 } from '../../flasher/checksums.ts';
import { formatImage } from '../../flasher/flash.ts';
import { type Image, joinSegments, parseImage } from '../../flasher/image.ts';
import { Lm2mcuError } from '../../toolchain/errors.ts';

const pieces = fc.array(
  fc.record({
    gap: fc.integer({ min: 0, max: 100_000 }),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 700 }),
  }),
  { minLength: 1, maxLength: 5 },
);

/** Segments one after the other, with gaps. */
function imageOf(parts: readonly { readonly gap: number; readonly bytes: Uint8Array }[]): Image {
  let address = 0x0800_0000;
  const segments = parts.map(({ gap, bytes }) => {
    const segment = { address: address + gap, bytes };
    address += gap + bytes.length;
    return segment;
  });
  return joinSegments(segments, 'test');
}

/** Byte by address. */
function contentOf({ segments }: Image): Map<number, number> {
  return new Map(
    segments.flatMap(({ address, bytes }) =>
      Array.from(bytes, (byte, index) => [address + index, byte] as const),
    ),
  );
}

describe('forms', () => {
  test.each(['hex', 'uf2'] as const)('%s: what is written is read', (form) => {
    fc.assert(
      fc.property(pieces, (parts) => {
        const image = imageOf(parts);
        const file = formatImage(image, form, 0x57755a57);
        const read = parseImage(`firmware.${form}`, file, undefined);
        expect(contentOf(read)).toEqual(contentOf(image));
      }),
      { numRuns: 50 },
    );
  });

  test('bin: gaps are erased flash', () => {
    fc.assert(
      fc.property(pieces, (parts) => {
        const image = imageOf(parts);
        const start = image.segments[0]!.address;
        const [read] = parseImage('a.bin', formatImage(image, 'bin', 0), start).segments;
        const rest = Buffer.from(read!.bytes);
        for (const { address, bytes } of image.segments) {
          expect(rest.subarray(address - start, address - start + bytes.length)).toEqual(
            Buffer.from(bytes),
          );
          rest.fill(0xff, address - start, address - start + bytes.length);
        }
        expect(rest.every((byte) => byte === 0xff)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  test('uf2: 512 bytes a block, with the family', () => {
    const file = Buffer.from(
      formatImage(imageOf([{ gap: 0, bytes: new Uint8Array(257) }]), 'uf2', 7),
    );
    expect(file.length).toBe(1024);
    expect(file.readUInt32LE(512 + 16)).toBe(1); // bytes in the second block
    expect(file.readUInt32LE(512 + 12)).toBe(0x08000100);
    expect(file.readUInt32LE(28)).toBe(7);
  });
});

describe('checksums', () => {
  const check = new TextEncoder().encode('123456789');

  test('CRC-16/XMODEM has the check value of the catalogue, and appended gives 0', () => {
    expect(crc16Xmodem(check)).toBe(0x31c3);
    expect(crc16Xmodem(Uint8Array.of(...check, 0x31, 0xc3))).toBe(0);
  });

  test('the CRC unit of an STM32, on words', () => {
    // RM0090: after reset, one word 0x00000000 and one word 0x12345678.
    expect(crc32Stm32(Uint8Array.of(0, 0, 0, 0))).toBe(0xc704dd7b);
    expect(crc32Stm32(Uint8Array.of(0x78, 0x56, 0x34, 0x12))).toBe(0xdf8a8a2b);
  });
});

describe('damaged files', () => {
  const reasonOf = (name: string, bytes: Uint8Array | string, address?: number): string => {
    try {
      parseImage(name, Buffer.from(bytes), address);
    } catch (error) {
      if (error instanceof Lm2mcuError && error.kind === 'user') return error.details.message;
      throw error;
    }
    return 'no error';
  };
  const uf2 = formatImage(imageOf([{ gap: 0, bytes: new Uint8Array(600) }]), 'uf2', 1);

  test.each([
    [':00000001FF', 'it has no content'],
    [':0400000001020304F2', 'its end-of-file record is missing: the file is cut short'],
    [':0400000001020304F3\n:00000001FF', 'line 1 has a wrong checksum'],
    [':0400000001020304', 'line 1 is longer or shorter than it says'],
    ['hello', 'line 1 is no Intel HEX record'],
    [':00000009F7\n', 'line 1 has the unknown record type 9'],
    [':020000000102FB\n:020001000304F6\n:00000001FF', 'two parts of it overlap at 0x00000001'],
  ])('hex %j', (text, reason) => {
    expect(reasonOf('a.hex', text)).toBe(`"a.hex" cannot be flashed: ${reason}`);
  });

  test('elf, uf2, bin', () => {
    const elf = [0x7f, 0x45, 0x4c, 0x46, 1, 1];
    expect(reasonOf('a.elf', Uint8Array.from(elf))).toContain(
      'no complete 32-bit little-endian ELF',
    );
    expect(reasonOf('a.uf2', uf2.subarray(0, 700))).toContain('no multiple of 512');
    expect(reasonOf('a.uf2', uf2.subarray(0, 1024))).toContain('block 0 is out of order');
    const broken = uf2.slice();
    broken[512 + 510] = 0;
    expect(reasonOf('a.uf2', broken)).toContain('block 1 is no UF2 block');
    expect(reasonOf('a.bin', 'abc')).toContain('does not say where it goes');
    expect(reasonOf('a.bin', '', 0)).toContain('it has no content');
    expect(reasonOf('a.bin', 'abc', 0xffff_fffe)).toContain('beyond 32-bit addresses');
  });

  test('any bytes: an image or an error of the user', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.constantFrom('a.hex', 'a.bin', 'a.uf2'), (bytes, name) => {
        reasonOf(name, bytes, 0);
        reasonOf(name, Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 1, 1, 1, ...bytes), 0);
        reasonOf(name, Uint8Array.of(0x55, 0x46, 0x32, 0x0a, ...bytes), 0);
      }),
    );
  });
});
