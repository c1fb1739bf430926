/** Which bytes an op reads and writes: for bounds, and for what may run at the same time. */
import {
  type Accelerator,
  bankBytes,
  lookupBanks,
  lookupStart,
  type Shape3,
} from './accelerators.ts';
import type { Block, Dma, FeatureMap, StreamRange } from './operations.ts';

export interface ByteRange {
  /** Null: SHRAM. */
  readonly region: number | null;
  readonly start: number;
  readonly end: number;
  /** The register that it comes from, for messages. */
  readonly what: string;
}

export interface Accesses {
  readonly reads: readonly ByteRange[];
  readonly writes: readonly ByteRange[];
}

/** A part of a tensor. */
export interface Box {
  readonly y: number;
  readonly x: number;
  readonly z: number;
  readonly height: number;
  readonly width: number;
  readonly depth: number;
}

function wholeBox({ height, width, depth }: Shape3): Box {
  return { y: 0, x: 0, z: 0, height, width, depth };
}

/** A range for each tile that the box touches, from its first byte to its last. */
function rangesOf(map: FeatureMap, box: Box = wholeBox(map)): readonly ByteRange[] {
  return tileRanges(map, box, false);
}

/** The same row by row: tensors whose rows alternate in memory do not touch. */
export function rowRangesOf(map: FeatureMap, box: Box = wholeBox(map)): readonly ByteRange[] {
  return tileRanges(map, box, map.height <= mostRows);
}

/** More rows are taken as one range. */
const mostRows = 4096;

function tileRanges(map: FeatureMap, box: Box, byRow: boolean): readonly ByteRange[] {
  const bottom = Math.min(box.y + box.height, map.height);
  const right = Math.min(box.x + box.width, map.width);
  const end = Math.min(box.z + box.depth, map.depth);
  const ranges: ByteRange[] = [];
  for (const tile of [0, 1, 2, 3] as const) {
    const isRight = tile === 1 || tile === 3;
    const isLower = tile >= 2;
    const split = isRight ? map.height1 : map.height0;
    const y0 = Math.max(box.y, isLower ? split : 0);
    const y1 = isLower ? bottom : Math.min(bottom, split);
    const x0 = Math.max(box.x, isRight ? map.width0 : 0);
    const x1 = isRight ? right : Math.min(right, map.width0);
    if (y0 >= y1 || x0 >= x1 || box.z >= end) continue;
    const offset = (y: number, x: number, z: number) =>
      map.bases[tile] + offsetIn(map, y - (isLower ? split : 0), x - (isRight ? map.width0 : 0), z);
    for (let y = y0; y < y1; y = byRow ? y + 1 : y1) {
      const start = offset(y, x0, box.z);
      const last = offset(byRow ? y : y1 - 1, x1 - 1, end - 1) + map.type.bytes;
      ranges.push({ region: map.region, start, end: last, what: map.register });
    }
  }
  return ranges;
}

function offsetIn(
  { format, strideY, strideX, strideC, type }: FeatureMap,
  y: number,
  x: number,
  z: number,
): number {
  return format === 'nhwc'
    ? y * strideY + x * strideX + z * type.bytes
    : y * strideY + Math.floor(z / 16) * strideC + (16 * x + (z % 16)) * type.bytes;
}

export function overlaps(a: readonly ByteRange[], b: readonly ByteRange[]): boolean {
  const [first, second] = [joined(a), joined(b)];
  for (let i = 0, j = 0; i < first.length && j < second.length; ) {
    const [one, other] = [first[i]!, second[j]!];
    if (one.region === other.region && one.start < other.end && other.start < one.end) return true;
    if (isBefore(one.region, one.end, other.region, other.end)) i++;
    else j++;
  }
  return false;
}

/** In order, and without overlaps. */
function joined(ranges: readonly ByteRange[]): readonly ByteRange[] {
  const sorted = ranges.toSorted((a, b) =>
    a.region === b.region && a.start === b.start
      ? 0
      : isBefore(a.region, a.start, b.region, b.start)
        ? -1
        : 1,
  );
  const result: ByteRange[] = [];
  for (const range of sorted) {
    const last = result.at(-1);
    if (last === undefined || last.region !== range.region || last.end < range.start) {
      result.push(range);
    } else if (range.end > last.end) {
      result[result.length - 1] = { ...last, end: range.end };
    }
  }
  return result;
}

/** SHRAM comes first. */
function isBefore(region: number | null, at: number, other: number | null, otherAt: number) {
  const [a, b] = [region ?? -1, other ?? -1];
  return a === b ? at < otherAt : a < b;
}

export function blockAccesses(accelerator: Accelerator, operation: Block): Accesses {
  const usesTable = operation.activation.kind === 'table';
  const top = shramTop(accelerator, usesTable) * bankBytes;
  const reads = [...rangesOf(operation.ifm)];
  if (operation.kind === 'elementwise' && operation.second?.kind === 'tensor') {
    reads.push(...rangesOf(operation.second.ifm2));
  }
  if (operation.kind === 'conv' || operation.kind === 'depthwise') {
    reads.push(streamRange(operation.weights, 'WEIGHT'), streamRange(operation.scales, 'SCALE'));
  }
  if (usesTable) {
    const start = lookupStart(accelerator);
    const end = start + lookupBanks * bankBytes;
    reads.push({ region: null, start, end, what: 'lookup tables' });
  }
  const buffers = { region: null, start: 0, end: top, what: 'SHRAM' };
  return { reads, writes: [...rangesOf(operation.ofm), buffers] };
}

function streamRange({ region, base, length }: StreamRange, what: string): ByteRange {
  return { region, start: base, end: base + length, what };
}

/** Banks that an op's buffers may take. */
function shramTop({ shramBanks, reservedEndBanks }: Accelerator, usesTable: boolean): number {
  return shramBanks - Math.max(reservedEndBanks, usesTable ? lookupBanks : 0);
}

export function dmaAccesses({ source, destination, length }: Dma): Accesses {
  const range = (end: Dma['source'], what: string): ByteRange => ({
    region: end.region,
    start: end.address,
    end: end.address + length,
    what,
  });
  return { reads: [range(source, 'DMA0_SRC')], writes: [range(destination, 'DMA0_DST')] };
}
