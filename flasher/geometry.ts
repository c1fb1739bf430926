/** What a loader can write on a board: the flash behind it, as its board file says. */
import {
  type BootloaderFacts,
  type Loader,
  type MemoryRegion,
  regionOf,
  type Target,
} from '../toolchain/targets.ts';
import type { FlashGeometry, FlashRegion } from './plan.ts';
import { WRITE_BYTES } from './protocols/stm32-uart.ts';

export interface Place extends FlashGeometry {
  /** What the loader adds to an address to name it. */
  readonly addressOffset: number;
  /** From which the loader starts the image; without one, the image's first address. */
  readonly startAddress?: number | undefined;
}

export function placeOf(
  target: Target,
  { regions, protocol }: Pick<PagedLoader, 'regions' | 'protocol'>,
): Place {
  const commitBytes = protocol === 'stm32-uart' ? STM32_FLASH_WORD_BYTES : WRITE_BYTES;
  return target.bootloader === undefined
    ? { ...regionsOf(target, regions), commitBytes }
    : storageOf(target.bootloader);
}

/** One area for all regions, with the image's header at its start. */
function storageOf({ storage, wireOrigin }: BootloaderFacts): Place {
  const { origin, sizeBytes, pageBytes } = storage;
  const eraseBlocks = [{ count: sizeBytes / pageBytes, sizeBytes: pageBytes }];
  return {
    regions: [{ name: 'storage', origin, eraseBlocks, firstPage: 0 }],
    writeBytes: WRITE_BYTES,
    commitAddress: origin,
    startAddress: origin,
    addressOffset: wireOrigin - origin,
  };
}

/** What the board's writer reaches, if the loader needs one: ours writes all by itself. */
export function placeOfWriter({ writer, bootloader }: Target): Place | undefined {
  if (writer === undefined || bootloader !== undefined) return undefined;
  const { origin, sizeBytes, pageBytes } = writer.storage;
  const eraseBlocks = [{ count: sizeBytes / pageBytes, sizeBytes: pageBytes }];
  return {
    regions: [{ name: 'nor', origin, eraseBlocks, firstPage: 0 }],
    writeBytes: WRITE_BYTES,
    addressOffset: writer.wireOrigin - origin,
  };
}

function regionsOf(target: Target, regions: readonly string[]): Place {
  let firstPage = 0;
  const placed = regions.map((name): FlashRegion => {
    const region = regionOf(target, name);
    const eraseBlocks = eraseBlocksOf(region);
    const placed = { name, origin: region.origin, eraseBlocks, firstPage };
    firstPage += eraseBlocks.reduce((sum, { count }) => sum + count, 0);
    return placed;
  });
  return { regions: placed, writeBytes: WRITE_BYTES, addressOffset: 0 };
}

/** The largest that any STM32 writes at once, that of the H7 series; others have 4 to 16. */
const STM32_FLASH_WORD_BYTES = 32;

export type PagedLoader = Extract<Loader, { readonly regions: readonly string[] }>;

function eraseBlocksOf({ eraseBlocks, sizeBytes }: MemoryRegion): FlashRegion['eraseBlocks'] {
  return eraseBlocks ?? [{ count: 1, sizeBytes }];
}
