/**
 * Places buffers with known lifetimes in one arena: largest first, at the lowest offset that is free,
 * and in better orders as long as a search finds any.
 */

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
  const others = [...blocks.keys()].filter((index) => !lowest.includes(index));
  const candidates = orders.map((order) => {
    const sorted = others.toSorted((a, b) => order(blocks[a]!, blocks[b]!) || a - b);
    return placeInOrder(blocks, [...lowest, ...sorted]);
  });
  const lowerBoundBytes = largestLiveSum(blocks);
  const best = candidates.reduce((a, b) => (b.sizeBytes < a.sizeBytes ? b : a));
  const improved = improve(blocks, best, lowest.length, lowerBoundBytes);
  return { offsets: improved.offsets, sizeBytes: improved.sizeBytes, lowerBoundBytes };
}

interface Placed {
  /** In which blocks were placed. */
  readonly order: readonly number[];
  readonly offsets: readonly number[];
  readonly sizeBytes: number;
}

/** Exchanges two blocks of the order, again and again, as long as that makes nothing worse. */
function improve(
  blocks: readonly Block[],
  start: Placed,
  fixed: number,
  lowerBoundBytes: number,
): Placed {
  let best = start;
  let state = 1;
  const next = (bound: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // Numerical Recipes
    return Math.floor((state / 2 ** 32) * bound);
  };
  const movable = blocks.length - fixed;
  for (let step = 0; step < exchangeSteps && movable > 1; step++) {
    if (best.sizeBytes <= lowerBoundBytes) break;
    const order = [...best.order];
    const a = fixed + next(movable);
    const b = fixed + next(movable);
    [order[a], order[b]] = [order[b]!, order[a]!];
    const placed = placeInOrder(blocks, order);
    if (placed.sizeBytes <= best.sizeBytes) best = placed;
  }
  return best;
}

/** Enough for the property test's programs to come within 5 % of the bound. */
const exchangeSteps = 400;

function placeInOrder(blocks: readonly Block[], order: readonly number[]): Placed {
  const offsets = new Array<number>(blocks.length).fill(0);
  const placed: number[] = [];
  let sizeBytes = 0;
  for (const index of order) {
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
  return { order, offsets, sizeBytes: align(sizeBytes) };
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
