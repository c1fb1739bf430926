/** What the cases of all kernel families are made of. */
import { dtypes, type TypedArray } from '../../../toolchain/ir/dtypes.ts';
import type { Requant } from '../../../toolchain/ops/fixed-point.ts';
import {
  type Kernel,
  type ScratchShape,
  scratchBytes,
  weightType,
} from '../../../toolchain/schedule/kernels.ts';
import { type Arena, place, type Region, reserve } from '../arena.ts';
import { type Fill, fill, pick, randomInt } from '../random.ts';

export interface Case {
  /** Shape and extremes, for the failure's message. */
  readonly title: string;
  readonly kernel: Kernel;
  readonly args: readonly number[];
  readonly regions: readonly Region[];
  readonly before: Uint8Array<ArrayBuffer>;
  readonly after: Uint8Array<ArrayBuffer>;
  /** Its content after the call is the kernel's own business. */
  readonly scratch: Region;
}

export const ARENA_BYTES = 1 << 19;

/** Below, at, above and between multiples of every block size. */
export const widths = [
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 20, 31, 32, 33, 36, 48, 63, 64, 65, 100],
  ...[127, 128, 130],
];

/** Of layer norms, which may take a wide row in parts. */
export const normWidths = [...widths, 140, 270];

/** What outputs are clamped to. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/** How an operand that may come block by block does: rows of even and of odd blocks. */
export type BlockRows = readonly [even: number, odd: number];

/** Calls `evaluate` with the first row and the rows of every block. */
export function forBlocks(
  tokens: number,
  blockRows: BlockRows,
  evaluate: (firstRow: number, rows: number) => void,
): void {
  let rows: number;
  for (let first = 0, index = 0; first < tokens; first += rows, index++) {
    rows = Math.min(blockRows[index % 2]!, tokens - first);
    evaluate(first, rows);
  }
}

export const noScratch: Region = { offset: 0, size: 0 };

export function finish(
  kernel: Kernel,
  title: string,
  arena: Arena,
  args: readonly number[],
  scratch: Region,
  evaluate: (before: Uint8Array<ArrayBuffer>, after: Uint8Array<ArrayBuffer>) => void,
): Case {
  const before = arena.bytes.slice(0, Math.ceil(arena.used / 4) * 4);
  const after = before.slice();
  evaluate(before, after);
  return { title, kernel, args, regions: arena.regions, before, after, scratch };
}

export function reserveScratch(arena: Arena, kernel: Kernel, shape: ScratchShape): Region {
  const size = scratchBytes(kernel, shape);
  return { offset: reserve(arena, size, 4), size };
}

/** Of a normalization: kernels that have none make the sums of a row twice. */
export function reserveRowScratch(arena: Arena, kernel: Kernel, width: number): Region {
  return reserveScratch(arena, kernel, { inputs: width, outputs: width, columns: 0, tokens: 0 });
}

export function placeMatrix(
  arena: Arena,
  rows: number,
  columns: number,
  stride: number,
  how: Fill,
  largest = 127,
) {
  const data = new Int8Array((rows - 1) * stride + columns);
  return place(arena, fill(data, -largest - 1, largest, how));
}

/** The same of int16. */
export function placeWide(
  arena: Arena,
  rows: number,
  columns: number,
  stride: number,
  how: Fill,
): number {
  const data = new Int16Array((rows - 1) * stride + columns);
  return place(arena, fill(data, -32768, 32767, how));
}

export function rowOf(data: TypedArray) {
  return { data, offset: 0, rows: 1, columns: data.length, stride: data.length };
}

export function randomFill(): Fill {
  return pick(['random', 'random', 'random', 'min', 'max', 'extremes', 'constant']);
}

export function randomRange({ output }: Kernel): Range {
  return pick([dtypes[output], dtypes.int8, { min: -100, max: 99 }]);
}

/** `isGentle`: factors below 2, for sums so small that shifts by 0 and 1 do not saturate. */
export function anyRequant(isGentle = false): Requant {
  const shift = pick([-31, -30, -1, 0, 1, 30, randomInt(-31, 30)]);
  return {
    multiplier: pick([0, 2 ** 30, 2 ** 31 - 1, randomInt(2 ** 30, 2 ** 31 - 1)]),
    shift: isGentle ? Math.min(shift, 0) : shift,
  };
}

/** Sums of `terms` random products fall into the output's range, mostly. */
export function usefulRequant(terms: number, kernel: Kernel): Requant {
  const { input, output } = kernel;
  const wider = (dtypes[output].bytes - dtypes[input].bytes) * 8;
  const bits = weightType(kernel) === 'int4' ? wider + 4 : wider;
  const shift = bits - 6 - Math.round(Math.log2(terms) / 2);
  return { multiplier: randomInt(2 ** 30, 2 ** 31 - 1), shift: shift + randomInt(-1, 1) };
}
