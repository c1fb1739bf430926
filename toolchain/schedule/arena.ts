/** Places buffers with known lifetimes in one arena: largest first, at the lowest offset that is free. */

/** A block is in use from call `first` to call `last`, both included. */
export interface Block {
  readonly sizeBytes: number;
  readonly first: number;
  readonly last: number;
}

export interface ArenaPlan {
  /** By block. */
  readonly offsets: readonly number[];
  readonly sizeBytes: number;
  /** The most bytes in use at once. */
  readonly lowerBoundBytes: number;
}

/** Offsets are multiples of this; the arena itself is aligned to 16. */
export const arenaAlignment = 8;

/** `lowest`: blocks that are to lie below all that live with them. */
export function planArena(blocks: readonly Block[], lowest: readonly number[] = []): ArenaPlan {
  const orders = [
    (a: Block, b: Block): number => b.sizeBytes - a.sizeBytes || a.first - b.first,
    (a: Block, b: Block): number =>
      b.last - b.first - (a.last - a.first) || b.sizeBytes - a.sizeBytes,
    (a: Block, b: Block): number => a.first - b.first || b.sizeBytes - a.sizeBytes,
  ];
  const plans = orders.map((order) => placeInOrder(blocks, order, lowest));
  const best = plans.reduce((a, b) => (b.sizeBytes < a.sizeBytes ? b : a));
  return { ...best, lowerBoundBytes: largestLiveSum(blocks) };
}

function placeInOrder(
  blocks: readonly Block[],
  order: (a: Block, b: Block) => number,
  lowest: readonly number[],
): { readonly offsets: readonly number[]; readonly sizeBytes: number } {
  const offsets = new Array<number>(blocks.length).fill(0);
  const placed: number[] = [];
  let sizeBytes = 0;
  const others = [...blocks.keys()].filter((index) => !lowest.includes(index));
  const sorted = others.sort((a, b) => order(blocks[a]!, blocks[b]!) || a - b);
  for (const index of [...lowest, ...sorted]) {
    const block = blocks[index]!;
    const busy = placed
      .filter((other) => overlapInTime(block, blocks[other]!))
      .sort((a, b) => offsets[a]! - offsets[b]!);
    let offset = 0;
    for (const other of busy) {
      if (offset + block.sizeBytes <= offsets[other]!) break;
      offset = Math.max(offset, align(offsets[other]! + blocks[other]!.sizeBytes));
    }
    offsets[index] = offset;
    placed.push(index);
    sizeBytes = Math.max(sizeBytes, offset + block.sizeBytes);
  }
  return { offsets, sizeBytes: align(sizeBytes) };
}

function overlapInTime(a: Block, b: Block): boolean {
  return a.first <= b.last && b.first <= a.last;
}

function largestLiveSum(blocks: readonly Block[]): number {
  let largest = 0;
  for (const { first } of blocks) {
    let sum = 0;
    for (const block of blocks) {
      if (block.first <= first && first <= block.last) sum += align(block.sizeBytes);
    }
    largest = Math.max(largest, sum);
  }
  return largest;
}

function align(bytes: number): number {
  return Math.ceil(bytes / arenaAlignment) * arenaAlignment;
}
