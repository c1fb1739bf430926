/** The bootloader's C, compiled for the host with sanitizers, and what it is to be told. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { boardHeader, bootloaderDefinitions } from '../../../toolchain/build/board-header.ts';
import { storedImages } from '../../../toolchain/build/boot-image.ts';
import { packagePath } from '../../../toolchain/package-root.ts';
import { loadTarget, type Target } from '../../../toolchain/targets.ts';
import { makeRandom } from '../../tokenizer/samples.ts';

export const storageBytes = 8192;
export const pageBytes = 1024;

const base = loadTarget('mps2-an386-boot');

/** The board's storage cut down to eight pages of 1 KB, with the code in the first. */
export const smallBoard: Target = {
  ...base,
  bootloader: {
    ...base.bootloader!,
    storage: { ...base.bootloader!.storage, sizeBytes: storageBytes, pageBytes },
  },
  regions: base.regions.map((region) => {
    if (region.name === 'flash') return { ...region, sizeBytes: pageBytes - 512 };
    if (region.name !== 'nor') return region;
    const origin = base.bootloader!.storage.origin + pageBytes;
    return { ...region, origin, sizeBytes: storageBytes - pageBytes };
  }),
};
export const wireOrigin = base.bootloader!.wireOrigin;

export const ACK = 0x79;
export const NACK = 0x1f;

/** Records for the program's stdin. */
export const line = (...bytes: readonly number[]): readonly number[] =>
  bytes.flatMap((byte) => [0x62, byte & 0xff]);
export const silence: readonly number[] = [0x73];
export const reset: readonly number[] = [0x72];
export const dump: readonly number[] = [0x64];
export const failAfter = (bytes: number): readonly number[] => [0x66, ...littleEndian(bytes)];
export const poke = (offset: number, byte: number): readonly number[] => [
  ...[0x70, ...littleEndian(offset), byte],
];

/** Frames as AN3155 has them. */
export const command = (code: number) => [code, code ^ 0xff];
export const checked = (bytes: readonly number[]) => [
  ...bytes,
  bytes.reduce((xor, byte) => xor ^ byte, 0),
];
export const addressFrame = (offset: number) => checked(bigEndian(wireOrigin + offset));
export const writeFrames = (offset: number, data: ArrayLike<number>) => [
  ...command(0x31),
  ...addressFrame(offset),
  ...checked([data.length - 1, ...Array.from(data)]),
];
export const eraseFrames = (pages: readonly number[]) => [
  ...command(0x44),
  ...checked([pages.length - 1, ...pages].flatMap((word) => [word >> 8, word & 0xff])),
];
export const goFrames = (offset = 0) => [...command(0x21), ...addressFrame(offset)];

export function bigEndian(word: number): number[] {
  return [word >>> 24, (word >>> 16) & 0xff, (word >>> 8) & 0xff, word & 0xff];
}

function littleEndian(word: number): number[] {
  return bigEndian(word).reverse();
}

export interface Device {
  run(...records: readonly (readonly number[])[]): Buffer;
  close(): void;
}

export function makeDevice(): Device {
  const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-bootloader-'));
  writeFileSync(
    join(folder, 'board.h'),
    boardHeader(smallBoard, bootloaderDefinitions(smallBoard)),
  );
  const templates = packagePath('firmware-templates');
  const program = join(folder, 'bootloader');
  execFileSync('gcc', [
    ...['-std=c11', '-Wall', '-Wextra', '-Wconversion', '-Werror', '-O1', '-g'],
    ...['-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
    ...[folder, join(templates, 'bootloader'), join(templates, 'storage')].map((dir) => `-I${dir}`),
    ...['protocol.c', 'image.c', 'crc32.c'].map((file) => join(templates, 'bootloader', file)),
    ...[packagePath('test', 'firmware', 'bootloader', 'harness.c'), '-o', program],
  ]);
  return {
    run: (...records) =>
      execFileSync(program, {
        input: Buffer.concat(records.map((record) => Buffer.from(record))),
        maxBuffer: 1 << 28,
      }),
    close: () => rmSync(folder, { recursive: true }),
  };
}

export interface Output {
  readonly sent: readonly number[];
  /** V, I, G and F, as the program explains them. */
  readonly events: string;
  /** How many bytes were sent before each event. */
  readonly sentBefore: readonly number[];
  readonly dumps: readonly Buffer[];
}

export function parseOutput(output: Buffer): Output {
  const sent: number[] = [];
  const sentBefore: number[] = [];
  const dumps: Buffer[] = [];
  let events = '';
  for (let at = 0; at < output.length; at++) {
    const kind = String.fromCharCode(output[at]!);
    if (kind === 'b') sent.push(output[++at]!);
    else if (kind === 'D') {
      dumps.push(output.subarray(at + 1, at + 1 + storageBytes));
      at += storageBytes;
    } else {
      events += kind;
      sentBefore.push(sent.length);
    }
  }
  return { sent, events, sentBefore, dumps };
}

/** An image for the small board: code in page 0, weights from page 1 on. */
export function makeImage(seed: number, codeBytes: number, weightBytes: number) {
  const random = makeRandom(seed);
  const bytes = (count: number) => Uint8Array.from({ length: count }, () => random(256));
  const [flash, , nor] = smallBoard.regions;
  const segments = [
    { address: flash!.origin, bytes: bytes(codeBytes) },
    { address: nor!.origin, bytes: bytes(weightBytes) },
  ].map((segment) => ({ ...segment, runAddress: segment.address }));
  return storedImages(smallBoard, { entry: 0, sections: [], symbols: [], segments }).map(
    ({ origin, bytes }) => ({ offset: origin - smallBoard.bootloader!.storage.origin, bytes }),
  );
}

export type Image = ReturnType<typeof makeImage>;

/** What the storage holds when the image is there and nothing else. */
export function stored(image: Image): Buffer {
  const storage = Buffer.alloc(storageBytes, 0xff);
  for (const { offset, bytes } of image) storage.set(bytes, offset);
  return storage;
}

/** All that a host sends to put an image there: erase, and blocks from the end, the header last. */
export function flashSession(image: Image): number[] {
  const storage = stored(image);
  const pages = Array.from({ length: storageBytes / pageBytes }, (_, page) => page);
  const blocks = Array.from({ length: storageBytes / 256 }, (_, block) => block * 256)
    .filter((offset) => storage.subarray(offset, offset + 256).some((byte) => byte !== 0xff))
    .reverse();
  return [
    ...eraseFrames(pages),
    ...blocks.flatMap((offset) => writeFrames(offset, storage.subarray(offset, offset + 256))),
  ];
}
