/**
 * A board behind each serial protocol, in this process: what the fault tests flash. The flash is small,
 * so that a run is some ten thousand bytes; old and new image share a page.
 */

import { enterByBootLine } from '../../flasher/enter.ts';
import { type Image, joinSegments } from '../../flasher/image.ts';
import type { Flashed } from '../../flasher/job.ts';
import { planFlash } from '../../flasher/plan.ts';
import type { Port } from '../../flasher/port.ts';
import { flashMcubootSmp } from '../../flasher/protocols/mcuboot-smp.ts';
import { flashSamBa } from '../../flasher/protocols/sam-ba.ts';
import { flashStm32Uart } from '../../flasher/protocols/stm32-uart.ts';
import { flashThroughWriter } from '../../flasher/protocols/stm32-writer.ts';
import { flashYmodem } from '../../flasher/protocols/ymodem.ts';
import { seededRandom } from './faulty-port.ts';
import { flashMemory } from './peers/flash-memory.ts';
import { mcubootBoard, mcubootImage, serveMcuboot, slotHash } from './peers/mcuboot-smp.ts';
import { samChip, serveSamBa } from './peers/sam-ba.ts';
import { serveStm32Uart, stm32Chip } from './peers/stm32-uart.ts';
import { writerChip } from './peers/stm32-writer.ts';
import { serveYmodem, type YmodemBoard } from './peers/ymodem.ts';

/** `none`: a board that would start nothing, and waits to be flashed. */
export type Content = 'old' | 'new' | 'none' | 'mixed';

export interface TestBoard {
  serve(port: Port): Promise<never>;
  flash(port: Port, which: 'old' | 'new'): Promise<Flashed>;
  /** The running application does not lead back: someone presses the button. */
  readonly needsButton: boolean;
  /** As its reset button does, held to enter the bootloader; the next `serve` begins anew. */
  reset(): void;
  /** What the board would start. */
  content(): Content;
}

export type BoardKind = (typeof boardKinds)[number];
export const boardKinds = [
  'stm32-uart',
  'stm32-uart-rom',
  'stm32-writer',
  'sam-ba',
  'sam-ba-uart',
  'mcuboot-smp',
  'ymodem',
] as const;

interface Images {
  readonly old: Uint8Array;
  readonly new: Uint8Array;
  /** Erase blocks of the flash, as many as the larger needs and one more. */
  readonly blocks: { readonly count: number; readonly sizeBytes: number };
}

const smallImages: Images = {
  old: imageBytesOf(1, 800),
  new: imageBytesOf(2, 700),
  blocks: { count: 4, sizeBytes: 512 },
};

/** For speed: large against what connecting costs. */
export const largeImages: Images = {
  old: imageBytesOf(1, 65_536),
  new: imageBytesOf(2, 65_536).reverse(),
  blocks: { count: 5, sizeBytes: 16_384 },
};

/** `seed` varies what is allowed to vary. */
export function testBoard(kind: BoardKind, seed: number, images = smallImages): TestBoard {
  switch (kind) {
    case 'stm32-uart':
      return stm32Board(images, seed, 'ours');
    case 'stm32-uart-rom':
      return stm32Board(images, seed, 'rom');
    case 'stm32-writer':
      return writerBoard(images, seed);
    case 'sam-ba':
      return samBoard(images, 'usb');
    case 'sam-ba-uart':
      return samBoard(images, 'uart');
    case 'mcuboot-smp':
      return smpBoard(images, seed);
    case 'ymodem':
      return ymodemBoard(images);
  }
}

/** From byte 512 on both are the same. */
function imageBytesOf(seed: number, length: number): Uint8Array {
  const random = seededRandom(seed);
  return Uint8Array.from({ length }, (_, index) =>
    index >= 512 ? index % 251 : Math.floor(random() * 256),
  );
}

function imageAt(address: number, bytes: Uint8Array): Image {
  return joinSegments([{ address, bytes }], 'test');
}

function quiet(): void {}

const ORIGIN = 0x08000000;

/** Ours tells CRCs and starts an image only when its CRC is right; the ROM starts what is not blank. */
function stm32Board(images: Images, seed: number, bootloader: 'ours' | 'rom'): TestBoard {
  const isOurs = bootloader === 'ours';
  const eraseBlocks = [images.blocks];
  const regions = [{ name: 'flash', origin: ORIGIN, eraseBlocks, firstPage: 0 }];
  const geometry = { regions, writeBytes: 256, ...(isOurs ? {} : { commitBytes: 32 }) };
  const memory = flashMemory(geometry, ORIGIN);
  const erase = seed % 2 === 0 ? 'extended' : 'short';
  const chip = stm32Chip(memory, { hasChecksum: isOurs, hasBootLine: isOurs, erase });
  const holds = (bytes: Uint8Array) =>
    Buffer.compare(memory.read(ORIGIN, bytes.length), bytes) === 0;
  return {
    needsButton: !isOurs,
    serve: (port) => serveStm32Uart(port, chip),
    flash: (port, which) =>
      flashStm32Uart(
        port,
        planFlash(imageAt(ORIGIN, images[which]), geometry),
        {
          boardName: 'test board',
          productId: chip.productId,
          addressOffset: 0,
          startAddress: ORIGIN,
          rewriteAll: false,
          enter: isOurs ? enterByBootLine : async () => false,
          howToEnter: 'press the button',
        },
        quiet,
      ),
    reset: () => {
      chip.isSynchronised = false;
      chip.runsApplication = false;
    },
    content: () => contentOf(images, holds, !isOurs && memory.isCommitted()),
  };
}

const NOR_ORIGIN = 0x90000000;
const WRITER_ID = 0xf746;

/** Code in the internal flash, which the ROM writes; the first half of it in the NOR as well. */
function writerBoard(images: Images, seed: number): TestBoard {
  const place = (origin: number, name: string, commitBytes: number) => {
    const regions = [{ name, origin, eraseBlocks: [images.blocks], firstPage: 0 }];
    return { regions, writeBytes: 256, commitBytes };
  };
  const [inFlash, inNor] = [place(ORIGIN, 'flash', 32), place(NOR_ORIGIN, 'nor', 256)];
  const [flash, nor] = [flashMemory(inFlash, ORIGIN), flashMemory(inNor, NOR_ORIGIN)];
  const program = { address: 0x20010000, bytes: imageBytesOf(9, 301) };
  const erase = seed % 2 === 0 ? 'extended' : 'short';
  const productId = 0x449;
  const chip = writerChip(flash, nor, program, { productId, erase, writerId: WRITER_ID });
  const weights = (which: 'old' | 'new') => images[which].subarray(0, 400);
  const holds = (which: 'old' | 'new') =>
    Buffer.compare(flash.read(ORIGIN, images[which].length), images[which]) === 0 &&
    Buffer.compare(nor.read(NOR_ORIGIN, 400), weights(which)) === 0;
  return {
    needsButton: true,
    serve: (port) => serveStm32Uart(port, chip.running),
    flash: (port, which) =>
      flashThroughWriter(
        port,
        {
          nor: planFlash(imageAt(NOR_ORIGIN, weights(which)), inNor),
          internal: planFlash(imageAt(ORIGIN, images[which]), inFlash),
        },
        { program, productId: WRITER_ID, addressOffset: 0 },
        {
          ...{ boardName: 'test board', productId, addressOffset: 0, startAddress: ORIGIN },
          ...{ rewriteAll: false, enter: async () => false, howToEnter: 'press the button' },
        },
        quiet,
      ),
    reset: chip.reset,
    content: () => {
      if (holds('new')) return 'new';
      if (holds('old')) return 'old';
      return flash.isCommitted() ? 'mixed' : 'none';
    },
  };
}

function contentOf(
  images: Images,
  holds: (bytes: Uint8Array) => boolean,
  isBootable: boolean,
): Content {
  if (holds(images.new)) return 'new';
  if (holds(images.old)) return 'old';
  return isBootable ? 'mixed' : 'none';
}

function samBoard(images: Images, over: 'usb' | 'uart'): TestBoard {
  const chip = samChip(over);
  const origin = chip.applicationAddress;
  const eraseBlocks = [images.blocks];
  const regions = [{ name: 'flash', origin, eraseBlocks, firstPage: 0 }];
  const holds = (bytes: Uint8Array) =>
    Buffer.compare(chip.flash.subarray(origin, origin + bytes.length), bytes) === 0;
  return {
    needsButton: false,
    serve: (port) => serveSamBa(port, chip),
    flash: (port, which) =>
      flashSamBa(
        port,
        planFlash(imageAt(origin, images[which]), { regions, writeBytes: 256 }),
        {
          bufferAddress: 0x20005000,
          bufferBytes: 256,
          rewriteAll: false,
          over,
          enter: 'tap reset twice',
        },
        quiet,
      ),
    reset: quiet,
    content: () =>
      contentOf(
        images,
        holds,
        chip.flash.subarray(origin, origin + 4).some((byte) => byte !== 0xff),
      ),
  };
}

function smpBoard(images: Images, seed: number): TestBoard {
  const board = mcubootBoard(seed % 2 === 0, images.old.length + 1024);
  const signed = { old: mcubootImage(images.old), new: mcubootImage(images.new) };
  return {
    needsButton: false,
    serve: (port) => serveMcuboot(port, board),
    flash: (port, which) =>
      flashMcubootSmp(port, signed[which], { image: 0, enter: 'hold the button' }, quiet),
    reset: quiet,
    content: () => {
      if (slotHash(board) === null) return 'none';
      const is = (image: Uint8Array) => Buffer.compare(board.slot.subarray(0, image.length), image);
      if (is(signed.new) === 0) return 'new';
      return is(signed.old) === 0 ? 'old' : 'mixed';
    },
  };
}

function ymodemBoard(images: Images): TestBoard {
  const board: YmodemBoard = { file: null };
  return {
    needsButton: false,
    serve: (port) => serveYmodem(port, board),
    flash: (port, which) =>
      flashYmodem(port, { name: 'firmware.bin', content: images[which] }, { enter: '1' }, quiet),
    reset: quiet,
    content: () => {
      const { file } = board;
      if (file === null) return 'none';
      if (Buffer.compare(file, images.new) === 0) return 'new';
      return Buffer.compare(file, images.old) === 0 ? 'old' : 'mixed';
    },
  };
}
