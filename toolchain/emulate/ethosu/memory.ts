/**
 * What an NPU sees: up to eight regions of bytes, and its SHRAM. Every access is checked against the
 * region's size; bytes that nothing wrote are known, and reading one is an error.
 */
import { type Accelerator, bankBytes } from '../../ethosu/accelerators.ts';
import { streamError } from '../../ethosu/stream.ts';
import { fixedSequence } from '../../integers.ts';

export interface Space {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** 1 for each byte that holds something; null where that is not followed. */
  readonly isDefined: Uint8Array | null;
}

export interface Memory {
  /** By region number. */
  readonly regions: readonly Space[];
  readonly shram: Space;
}

/** Memory whose every byte counts as written. */
export function definedSpace(name: string, bytes: Uint8Array): Space {
  return { name, bytes, isDefined: null };
}

/** Noise, so that what reads a byte before it is written gives another answer. */
export function undefinedSpace(name: string, sizeBytes: number): Space {
  return { name, bytes: noise(sizeBytes), isDefined: new Uint8Array(sizeBytes) };
}

export function writeSpace({ bytes, isDefined }: Space, offset: number, data: Uint8Array): void {
  bytes.set(data, offset);
  isDefined?.fill(1, offset, offset + data.length);
}

export function memoryOf(accelerator: Accelerator, regions: readonly Space[]): Memory {
  return { regions, shram: undefinedSpace('SHRAM', accelerator.shramBanks * bankBytes) };
}

function noise(sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  const random = fixedSequence(sizeBytes);
  for (let at = 0; at < sizeBytes; at++) bytes[at] = 256 * random();
  return bytes;
}

export function spaceOf({ regions }: Memory, region: number, what: string, word: number): Space {
  const space = regions[region];
  if (space === undefined)
    throw streamError(word, `${what} is in region ${region}, which is not there`);
  return space;
}

export function checkBounds(
  { name, bytes }: Space,
  start: number,
  length: number,
  what: string,
  word: number,
): void {
  if (start >= 0 && length >= 0 && start + length <= bytes.length) return;
  throw streamError(
    word,
    `${what} goes to byte ${start + length} of ${name}, which has ${bytes.length}`,
  );
}

export function checkRead(
  space: Space,
  start: number,
  length: number,
  what: string,
  word: number,
): void {
  checkBounds(space, start, length, what, word);
  const { isDefined, name } = space;
  if (isDefined === null) return;
  for (let at = start; at < start + length; at++) {
    if (isDefined[at] === 0) {
      throw streamError(word, `${what} reads byte ${at} of ${name}, which nothing has written`);
    }
  }
}

/** The bytes of a stream of constants. */
export function readRange(
  memory: Memory,
  {
    region,
    base,
    length,
  }: { readonly region: number; readonly base: number; readonly length: number },
  what: string,
  word: number,
): Uint8Array {
  const space = spaceOf(memory, region, what, word);
  checkRead(space, base, length, what, word);
  return space.bytes.subarray(base, base + length);
}
