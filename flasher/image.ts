/** What goes onto a board: bytes by address, from a raw binary, Intel HEX, ELF or UF2 file. */
import { basename } from 'node:path';
import { readElf } from '../toolchain/build/elf.ts';
import { Lm2mcuError, userError } from '../toolchain/errors.ts';
import { hexWord } from '../toolchain/integers.ts';
import { parseIntelHex } from './intel-hex.ts';
import { isUf2, parseUf2 } from './uf2.ts';

export interface Segment {
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** Ascending, without overlap; what touched is joined. */
export interface Image {
  readonly segments: readonly Segment[];
}

export function parseImage(
  name: string,
  bytes: Uint8Array,
  /** Where a raw binary goes; other forms say it themselves. */
  binaryAddress: number | undefined,
): Image {
  const image = joinSegments(segmentsOf(name, bytes, binaryAddress), name);
  if (imageBytes(image) > 0) return image;
  throw badImage(name, 'it has no content');
}

function segmentsOf(
  name: string,
  bytes: Uint8Array,
  binaryAddress: number | undefined,
): readonly Segment[] {
  if (startsWith(bytes, [0x7f, 0x45, 0x4c, 0x46])) return elfSegments(name, bytes);
  if (isUf2(bytes)) return parseUf2(bytes, (reason) => badImage(name, reason));
  if (/\.(hex|ihex|ihx)$/i.test(name)) {
    return parseIntelHex(new TextDecoder().decode(bytes), (reason) => badImage(name, reason));
  }
  if (!/\.(bin|img)$/i.test(name)) throw badImage(name, 'its name does not say what it is');
  if (binaryAddress !== undefined) return [{ address: binaryAddress, bytes }];
  throw userError({
    code: 'no-address',
    message: `${JSON.stringify(basename(name))} is a raw binary and does not say where it goes`,
    where: name,
    hint: 'Give --address 0x…, or an .elf, .hex or .uf2 file.',
  });
}

function elfSegments(name: string, bytes: Uint8Array): readonly Segment[] {
  try {
    return readElf(bytes).segments.map(({ address, bytes: content }) => ({
      address,
      bytes: content,
    }));
  } catch (cause) {
    if (cause instanceof Lm2mcuError || cause instanceof RangeError) {
      throw badImage(name, 'it is no complete 32-bit little-endian ELF file');
    }
    throw cause;
  }
}

export function joinSegments(segments: readonly Segment[], name: string): Image {
  const sorted = segments
    .filter(({ bytes }) => bytes.length > 0)
    .toSorted((a, b) => a.address - b.address);
  const joined: { readonly address: number; readonly parts: Uint8Array[]; end: number }[] = [];
  for (const { address, bytes } of sorted) {
    const last = joined.at(-1);
    if (last !== undefined && address < last.end) {
      throw badImage(name, `two parts of it overlap at ${hexWord(address)}`);
    }
    if (address + bytes.length > 2 ** 32) throw badImage(name, 'it goes beyond 32-bit addresses');
    if (last?.end === address) {
      last.parts.push(bytes);
      last.end += bytes.length;
    } else joined.push({ address, parts: [bytes], end: address + bytes.length });
  }
  return {
    segments: joined.map(({ address, parts }) => ({ address, bytes: concatenate(parts) })),
  };
}

export function imageBytes({ segments }: Image): number {
  return segments.reduce((sum, { bytes }) => sum + bytes.length, 0);
}

export function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    result.set(part, offset);
    offset += part.length;
  }
  return result;
}

function startsWith(bytes: Uint8Array, start: readonly number[]): boolean {
  return start.every((byte, index) => bytes[index] === byte);
}

function badImage(name: string, reason: string): Error {
  return userError({
    code: 'bad-image',
    message: `${JSON.stringify(basename(name))} cannot be flashed: ${reason}`,
    where: name,
    hint: 'Give a folder that lm2mcu build wrote, or a .bin, .hex, .elf or .uf2 file.',
  });
}
