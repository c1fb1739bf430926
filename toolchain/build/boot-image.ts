/**
 * The header that the bootloader looks for, the twin of firmware-templates/bootloader/image.h: what
 * belongs to the image, and how to tell that all of it is there.
 */
import { crc32Stm32 } from '../../flasher/checksums.ts';
import { internalError } from '../errors.ts';
import { roundUp } from '../integers.ts';
import { packageVersion } from '../package-root.ts';
import { imageCodeOffset } from '../target-files/rules.ts';
import type { Target } from '../targets.ts';
import type { ElfImage } from './elf.ts';
import { type RegionImage, regionImages } from './image-files.ts';

const HEADER_BYTES = 256;
const HEADER_VERSION = 1;
const MAX_SEGMENTS = 4;
const BOARD_NAME_BYTES = 32;
const ERASED = 0xff;

/** Where each field lies. */
const offsets = {
  magic: 0x00,
  headerVersion: 0x04,
  headerBytes: 0x06,
  board: 0x08,
  version: 0x28,
  runAddress: 0x2c,
  copyBytes: 0x30,
  segmentCount: 0x34,
  segments: 0x38,
  headerCrc: 0xf8,
  marker: 0xfc,
} as const;

/** What each region holds; for a bootloader the code with the header in front, all in whole words. */
export function storedImages(target: Target, elf: ElfImage): readonly RegionImage[] {
  const images = regionImages(elf.segments, target.regions);
  if (target.bootloader === undefined) return images;
  const padded = images.map((image) => ({ ...image, bytes: padToWord(image.bytes) }));
  const code = padded.find(({ region }) => region === target.codeRegion);
  if (code === undefined) throw internalError('the image has no code', target.codeRegion);
  const others = padded.filter((image) => image !== code);
  const bytes = new Uint8Array(imageCodeOffset + code.bytes.length).fill(ERASED);
  bytes.set(imageHeader(target, [code, ...others], copyOf(target, elf, code)));
  bytes.set(code.bytes, imageCodeOffset);
  return [{ ...code, origin: code.origin - imageCodeOffset, bytes }, ...others];
}

/** How much of the code image runs elsewhere, and where. */
interface Copy {
  readonly bytes: number;
  readonly runAddress: number;
}

function copyOf(target: Target, elf: ElfImage, code: RegionImage): Copy {
  const run = target.regions.find(({ name }) => name === target.codeRunsIn);
  if (run === undefined) return { bytes: 0, runAddress: code.origin };
  const copied = elf.segments.filter(
    ({ runAddress }) => runAddress >= run.origin && runAddress < run.origin + run.sizeBytes,
  );
  const torn = copied.find(
    ({ address, runAddress }) => address - code.origin !== runAddress - run.origin,
  );
  if (torn !== undefined) throw internalError('copied code does not stay in one piece', run.name);
  const ends = copied.map(({ address, bytes }) => address + bytes.length - code.origin);
  return { bytes: roundUp(Math.max(...ends), 4), runAddress: run.origin };
}

/** `images`: the code first. */
function imageHeader(target: Target, images: readonly RegionImage[], copy: Copy): Uint8Array {
  const { name, bootloader } = target;
  const storageOrigin = bootloader?.storage.origin ?? 0;
  if (images.length > MAX_SEGMENTS || name.length >= BOARD_NAME_BYTES) {
    throw internalError('the image header has no room for its segments or the board name', name);
  }
  const header = new Uint8Array(HEADER_BYTES).fill(ERASED);
  const view = new DataView(header.buffer);
  const word = (offset: number, value: number) => view.setUint32(offset, value, true);
  header.set(new TextEncoder().encode('lm2m'), offsets.magic);
  view.setUint16(offsets.headerVersion, HEADER_VERSION, true);
  view.setUint16(offsets.headerBytes, HEADER_BYTES, true);
  header.fill(0, offsets.board, offsets.board + BOARD_NAME_BYTES);
  header.set(new TextEncoder().encode(name), offsets.board);
  word(offsets.version, packedVersion());
  word(offsets.runAddress, copy.runAddress);
  word(offsets.copyBytes, copy.bytes);
  word(offsets.segmentCount, images.length);
  images.forEach(({ origin, bytes }, index) => {
    const row = offsets.segments + 12 * index;
    word(row, origin - storageOrigin);
    word(row + 4, bytes.length);
    word(row + 8, crc32Stm32(bytes));
  });
  word(offsets.headerCrc, crc32Stm32(header.subarray(0, offsets.headerCrc)));
  header.set(new TextEncoder().encode('END!'), offsets.marker);
  return header;
}

/** major << 24 | minor << 16 | patch. */
function packedVersion(): number {
  const [major = 0, minor = 0, patch = 0] = packageVersion()
    .split('.')
    .map((part) => Number.parseInt(part, 10));
  return ((major << 24) | (minor << 16) | patch) >>> 0;
}

function padToWord(bytes: Uint8Array): Uint8Array {
  const padded = new Uint8Array(roundUp(bytes.length, 4)).fill(ERASED);
  padded.set(bytes);
  return padded;
}
