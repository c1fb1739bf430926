/**
 * What flashing will do, before anything is done: an image laid over the flash's erase blocks.
 *
 * The plan names a commit page: the one from which the board decides whether to boot, with the
 * header's marker or the vector table in it. It is erased before anything else changes and its commit
 * block is written after everything else was verified. So whatever interrupts, a board with a valid
 * commit block has the whole image.
 */
import { formatBytes, userError } from '../toolchain/errors.ts';
import { hexWord } from '../toolchain/integers.ts';
import type { Image, Segment } from './image.ts';

/** Memory that a loader can write. */
export interface FlashRegion {
  readonly name: string;
  readonly origin: number;
  /** From the origin on. */
  readonly eraseBlocks: readonly { readonly count: number; readonly sizeBytes: number }[];
  /** The loader's number of the first block, where it erases by number. */
  readonly firstPage: number;
}

export interface FlashGeometry {
  readonly regions: readonly FlashRegion[];
  /** Bytes of one write; its address is a multiple of it. */
  readonly writeBytes: number;
  /** Of the last write, where it can be smaller: the less, the rarer is damage to it. */
  readonly commitBytes?: number | undefined;
  /** Address of the last block to write; without one, the image's first. */
  readonly commitAddress?: number | undefined;
}

export interface Page {
  readonly region: string;
  readonly number: number;
  readonly address: number;
  readonly sizeBytes: number;
  /** From the page's address on, filled up with erased bytes to whole writes. */
  readonly content: Uint8Array;
  /** Those with content, in order; the commit block is not among them. */
  readonly writes: readonly Segment[];
}

export interface FlashPlan {
  /** Every page that the image touches, ascending. */
  readonly pages: readonly Page[];
  readonly commit: { readonly page: Page; readonly write: Segment };
  readonly imageBytes: number;
}

const ERASED = 0xff;

export function planFlash(image: Image, geometry: FlashGeometry): FlashPlan {
  checkInside(image, geometry.regions);
  const first = image.segments[0]!.address;
  const commitAddress = geometry.commitAddress ?? first;
  const commitBytes = geometry.commitBytes ?? geometry.writeBytes;
  const commitStart = commitAddress - (commitAddress % commitBytes);
  const pages = geometry.regions.flatMap((region) =>
    pagesOf(region).flatMap((place) => {
      const content = contentOf(image, place, geometry.writeBytes);
      if (content === null) return [];
      const blocks = blocksOf(place.address, content, geometry.writeBytes);
      const writes = blocks.flatMap((one) => without(one, commitStart, commitBytes));
      return [{ ...place, content, writes }];
    }),
  );
  const page = pages.find((candidate) => isIn(candidate, commitStart));
  if (page === undefined) {
    throw userError({
      code: 'no-commit-block',
      message: `the image has nothing at ${hexWord(commitAddress)}, from which the board boots`,
      where: hexWord(commitAddress),
      hint: 'Build the image for this board: lm2mcu build <model> --target <board> --out <dir>',
    });
  }
  const offset = commitStart - page.address;
  const write = {
    address: commitStart,
    bytes: page.content.subarray(offset, offset + commitBytes),
  };
  const imageBytes = image.segments.reduce((sum, { bytes }) => sum + bytes.length, 0);
  return { pages, commit: { page, write }, imageBytes };
}

type Place = Pick<Page, 'region' | 'number' | 'address' | 'sizeBytes'>;

function pagesOf({ name, origin, eraseBlocks, firstPage }: FlashRegion): readonly Place[] {
  const sizes = eraseBlocks.flatMap(({ count, sizeBytes }) =>
    Array.from({ length: count }, () => sizeBytes),
  );
  let address = origin;
  return sizes.map((sizeBytes, index) => {
    const place = { region: name, number: firstPage + index, address, sizeBytes };
    address += sizeBytes;
    return place;
  });
}

/** Null where the image has nothing on the page. */
function contentOf(image: Image, page: Place, writeBytes: number): Uint8Array | null {
  const pageEnd = page.address + page.sizeBytes;
  const parts = image.segments.flatMap(({ address, bytes }) => {
    const start = Math.max(address, page.address);
    const end = Math.min(address + bytes.length, pageEnd);
    return start < end
      ? [{ start, end, bytes: bytes.subarray(start - address, end - address) }]
      : [];
  });
  if (parts.length === 0) return null;
  const used = Math.max(...parts.map(({ end }) => end)) - page.address;
  const padded = Math.ceil(used / writeBytes) * writeBytes;
  const content = new Uint8Array(Math.min(padded, page.sizeBytes)).fill(ERASED);
  for (const { start, bytes } of parts) content.set(bytes, start - page.address);
  return content;
}

/** What erasing leaves is not written. */
function blocksOf(address: number, content: Uint8Array, writeBytes: number): readonly Segment[] {
  const count = Math.ceil(content.length / writeBytes);
  return Array.from({ length: count }, (_, index) => ({
    address: address + index * writeBytes,
    bytes: content.subarray(index * writeBytes, (index + 1) * writeBytes),
  })).filter(hasContent);
}

function hasContent({ bytes }: Segment): boolean {
  return bytes.some((byte) => byte !== ERASED);
}

/** What of a write lies before and behind those bytes. */
function without({ address, bytes }: Segment, from: number, count: number): readonly Segment[] {
  const start = from - address;
  if (start < 0 || start >= bytes.length) return [{ address, bytes }];
  return [
    { address, bytes: bytes.subarray(0, start) },
    { address: from + count, bytes: bytes.subarray(start + count) },
  ].filter(hasContent);
}

function isIn({ address, sizeBytes }: Place, wanted: number): boolean {
  return wanted >= address && wanted < address + sizeBytes;
}

function regionBytes({ eraseBlocks }: FlashRegion): number {
  return eraseBlocks.reduce((sum, { count, sizeBytes }) => sum + count * sizeBytes, 0);
}

/** The parts of an image that lie in none of the regions. */
export function outside({ segments }: Image, regions: readonly FlashRegion[]): readonly Segment[] {
  return segments.filter(
    ({ address, bytes }) =>
      !regions.some(
        (region) =>
          address >= region.origin && address + bytes.length <= region.origin + regionBytes(region),
      ),
  );
}

export function checkInside(image: Image, regions: readonly FlashRegion[]): void {
  for (const { address, bytes } of outside(image, regions)) {
    const end = address + bytes.length;
    const list = regions.map(
      (region) =>
        `${region.name} ${hexWord(region.origin)} to ${hexWord(region.origin + regionBytes(region) - 1)}`,
    );
    throw userError({
      code: 'outside-flash',
      message: `the image has ${formatBytes(bytes.length)} at ${hexWord(address)}, which this loader cannot write`,
      where: `${hexWord(address)} to ${hexWord(end - 1)}`,
      hint: `It writes ${list.join(' and ')}. Build for this board, or use another --protocol.`,
    });
  }
}

/** The plan as a table: runs of equal pages share a line. */
export function describePlan(plan: FlashPlan): string {
  const rows = groupPages(plan.pages).map((pages) => {
    const first = pages[0]!;
    const last = pages.at(-1)!;
    const numbers = pages.length === 1 ? `${first.number}` : `${first.number}..${last.number}`;
    const bytes = pages.reduce((sum, { content }) => sum + content.length, 0);
    return [
      `  ${first.region.padEnd(6)} pages ${numbers.padEnd(9)} ${hexWord(first.address)}`,
      `erase ${pages.length} × ${formatBytes(first.sizeBytes)}, write ${formatBytes(bytes)}`,
    ].join('  ');
  });
  const { page, write } = plan.commit;
  return [
    `image     ${formatBytes(plan.imageBytes)} on ${plan.pages.length} pages`,
    ...rows,
    `first     page ${page.number} of ${page.region} is erased, so that no half image boots`,
    `last      ${formatBytes(write.bytes.length)} at ${hexWord(write.address)} are written, when all else is verified`,
  ].join('\n');
}

function groupPages(pages: readonly Page[]): readonly (readonly Page[])[] {
  const groups: Page[][] = [];
  for (const page of pages) {
    const group = groups.at(-1);
    const last = group?.at(-1);
    const follows =
      last !== undefined &&
      last.region === page.region &&
      last.sizeBytes === page.sizeBytes &&
      last.address + last.sizeBytes === page.address;
    if (group !== undefined && follows) group.push(page);
    else groups.push([page]);
  }
  return groups;
}
