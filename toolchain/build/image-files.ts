/**
 * The forms in which loaders take an image: one raw binary per non-volatile region, and Intel HEX
 * (Intel Hexadecimal Object File Format Specification, revision A, 1988) over all of them.
 */
import type { MemoryRegion } from '../targets.ts';
import type { ElfSegment } from './elf.ts';

export interface RegionImage {
  readonly region: string;
  readonly origin: number;
  readonly bytes: Uint8Array;
}

/** Erased flash, and what gaps are filled with. */
const ERASED = 0xff;

/** What each region holds, from its origin on; regions without content are left out. */
export function regionImages(
  segments: readonly ElfSegment[],
  regions: readonly MemoryRegion[],
): readonly RegionImage[] {
  return regions.flatMap(({ name, origin, sizeBytes }) => {
    const inside = segments.filter(
      ({ address }) => address >= origin && address < origin + sizeBytes,
    );
    if (inside.length === 0) return [];
    const end = Math.max(...inside.map(({ address, bytes }) => address + bytes.length));
    const bytes = new Uint8Array(end - origin).fill(ERASED);
    for (const segment of inside) bytes.set(segment.bytes, segment.address - origin);
    return [{ region: name, origin, bytes }];
  });
}

const DATA = 0;
const END_OF_FILE = 1;
const EXTENDED_LINEAR_ADDRESS = 4;
const START_LINEAR_ADDRESS = 5;
const BYTES_PER_RECORD = 16;

export function intelHex(images: readonly RegionImage[], entry: number): string {
  const records: string[] = [];
  let upper = -1;
  for (const { origin, bytes } of images) {
    for (let offset = 0; offset < bytes.length; ) {
      const address = origin + offset;
      if (address >>> 16 !== upper) {
        upper = address >>> 16;
        records.push(record(EXTENDED_LINEAR_ADDRESS, 0, [upper >>> 8, upper & 0xff]));
      }
      const toBoundary = 0x10000 - (address & 0xffff);
      const count = Math.min(BYTES_PER_RECORD, bytes.length - offset, toBoundary);
      records.push(record(DATA, address & 0xffff, bytes.subarray(offset, offset + count)));
      offset += count;
    }
  }
  const start = [entry >>> 24, (entry >>> 16) & 0xff, (entry >>> 8) & 0xff, entry & 0xff];
  records.push(record(START_LINEAR_ADDRESS, 0, start), record(END_OF_FILE, 0, []));
  return `${records.join('\n')}\n`;
}

/** The checksum makes the sum of all bytes of a record 0 modulo 256. */
function record(type: number, address: number, data: ArrayLike<number>): string {
  const bytes = [data.length, address >>> 8, address & 0xff, type, ...Array.from(data)];
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  const hex = [...bytes, -sum & 0xff].map((byte) => byte.toString(16).padStart(2, '0'));
  return `:${hex.join('').toUpperCase()}`;
}
