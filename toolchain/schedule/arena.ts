/**
 * Places buffers with known lifetimes in one arena: largest first, at the lowest offset that is free,
 * and in better orders as long as a search finds any.
 */

/** A block is in use from call `first` to call `last`, both included. */
export interface Block {
  readonly sizeBytes: number;
  readonly first: number;
  readonly last: number;
  /**
   * Where parts of it come into use later: all its parts, from the lowest on; their bytes add up to
   * `sizeBytes`. All parts are in use until `last`.
   */
  readonly parts?: readonly BlockPart[];
}

export interface BlockPart {
  readonly sizeBytes: number;
  readonly first: number;
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
  const placed: Span[] = [];
  let sizeBytes = 0;
  for (const index of order) {
    const spans = spansOf(blocks[index]!);
    const offset = lowestFree(spans, placed);
    offsets[index] = offset;
    for (const span of spans) {
      placed.push({ ...span, begin: span.begin + offset, end: span.end + offset });
      sizeBytes = Math.max(sizeBytes, span.end + offset);
    }
  }
  return { order, offsets, sizeBytes: align(sizeBytes) };
}

/** Bytes `begin` to `end` of a block or of the arena, in use from call `first` to call `last`. */
interface Span {
  readonly begin: number;
  readonly end: number;
  readonly first: number;
  readonly last: number;
}

function spansOf({ sizeBytes, first, last, parts }: Block): readonly Span[] {
  let begin = 0;
  return (parts ?? [{ sizeBytes, first }]).map((part) => {
    const span = { begin, end: begin + part.sizeBytes, first: part.first, last };
    begin = span.end;
    return span;
  });
}

/** Moves up, past whatever is in the way, until nothing is. */
function lowestFree(spans: readonly Span[], placed: readonly Span[]): number {
  let offset = 0;
  for (let isFree = false; !isFree; ) {
    isFree = true;
    for (const { begin, end, first, last } of spans) {
      for (const other of placed) {
        if (first > other.last || other.first > last) continue;
        if (begin + offset >= other.end || other.begin >= end + offset) continue;
        offset = align(other.end - begin);
        isFree = false;
      }
    }
  }
  return offset;
}

/**
 * At the beginning of a span's life the sum may reach a new height. A whole block takes a multiple of
 * the alignment; another may lie in what is left of one that is not in use as a whole.
 */
function largestLiveSum(blocks: readonly Block[]): number {
  const spans = blocks.flatMap((block) => spansOf(block).map((span) => ({ ...span, block })));
  let largest = 0;
  for (const { first: call } of spans) {
    const liveBytes = new Map<Block, number>();
    for (const { begin, end, first, last, block } of spans) {
      if (first > call || call > last) continue;
      liveBytes.set(block, (liveBytes.get(block) ?? 0) + end - begin);
    }
    let sum = 0;
    for (const [{ sizeBytes }, bytes] of liveBytes) sum += bytes === sizeBytes ? align(bytes) : bytes;
    largest = Math.max(largest, sum);
  }
  return largest;
}

function align(bytes: number): number {
  return Math.ceil(bytes / arenaAlignment) * arenaAlignment;
}
