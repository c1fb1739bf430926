/** Flash as chips have it: erased by pages, programmed from 1 to 0 only. */
import type { FlashGeometry } from '../../../flasher/plan.ts';

export interface FlashMemory {
  has(address: number, count: number): boolean;
  read(address: number, count: number): Uint8Array;
  program(address: number, bytes: Uint8Array): void;
  hasPage(number: number): boolean;
  erasePage(number: number): void;
  /** Whether a board with this content would start it: the commit block is not blank. */
  isCommitted(): boolean;
  /** All of it, for comparison. */
  snapshot(): string;
}

export function flashMemory(geometry: FlashGeometry, commitAddress: number): FlashMemory {
  const regions = geometry.regions.map((region) => {
    const sizes = region.eraseBlocks.flatMap(({ count, sizeBytes }) =>
      Array.from({ length: count }, () => sizeBytes),
    );
    const total = sizes.reduce((sum, size) => sum + size, 0);
    return { ...region, sizes, bytes: new Uint8Array(total).fill(0xff) };
  });
  const find = (address: number, count: number) =>
    regions.find(
      ({ origin, bytes }) => address >= origin && address + count <= origin + bytes.length,
    );
  const pages = new Map(
    regions.flatMap(({ sizes, firstPage, bytes }) => {
      let offset = 0;
      return sizes.map((size, index) => {
        const page = bytes.subarray(offset, offset + size);
        offset += size;
        return [firstPage + index, page] as const;
      });
    }),
  );
  const read = (address: number, count: number) => {
    const region = find(address, count);
    if (region === undefined) throw new Error('read outside the flash');
    const offset = address - region.origin;
    return region.bytes.slice(offset, offset + count);
  };
  return {
    has: (address, count) => find(address, count) !== undefined,
    read,
    program(address, bytes) {
      const { origin, bytes: content } = find(address, bytes.length)!;
      for (const [index, byte] of bytes.entries()) content[address - origin + index]! &= byte;
    },
    hasPage: (number) => pages.has(number),
    erasePage: (number) => void pages.get(number)?.fill(0xff),
    isCommitted: () => read(commitAddress, 4).some((byte) => byte !== 0xff),
    snapshot: () => regions.map(({ bytes }) => Buffer.from(bytes).toString('base64')).join(),
  };
}
