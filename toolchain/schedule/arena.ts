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
  const items = itemsOf(blocks);
  const candidates = orders.map((order) => {
    const sorted = others.toSorted((a, b) => order(blocks[a]!, blocks[b]!) || a - b);
    return placeInOrder(items, [...lowest, ...sorted], Number.POSITIVE_INFINITY)!;
  });
  const lowerBoundBytes = largestLiveSum(blocks);
  const best = candidates.reduce((a, b) => (b.sizeBytes < a.sizeBytes ? b : a));
  const improved = improve(items, best, lowest.length, lowerBoundBytes);
  return { offsets: improved.offsets, sizeBytes: improved.sizeBytes, lowerBoundBytes };
}

interface Placed {
  /** In which blocks were placed. */
  readonly order: readonly number[];
  readonly offsets: readonly number[];
  readonly sizeBytes: number;
}

/**
 * Exchanges two blocks of the order, every other time the one that reaches highest, again and again, as
 * long as that makes nothing worse.
 */
function improve(
  items: readonly Item[],
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
  const movable = items.length - fixed;
  for (let step = 0; step < exchangeSteps && movable > 1; step++) {
    if (best.sizeBytes <= lowerBoundBytes) break;
    const order = [...best.order];
    const highest = order.findLastIndex(
      (index) => best.offsets[index]! + items[index]!.sizeBytes >= best.sizeBytes - arenaAlignment,
    );
    const a = step % 2 === 0 ? Math.max(fixed, highest) : fixed + next(movable);
    const b = fixed + next(movable);
    [order[a], order[b]] = [order[b]!, order[a]!];
    best = placeInOrder(items, order, best.sizeBytes) ?? best;
  }
  return best;
}

/** Enough for the property test's programs to come within 5 % of the bound. */
const exchangeSteps = 120;

/** A block as the search needs it. */
interface Item {
  readonly spans: readonly Span[];
  readonly sizeBytes: number;
  /** Blocks that are in use with it, at some time. */
  readonly neighbours: readonly number[];
}

/** Bytes `begin` to `end` of a block, in use from call `first` to call `last`. */
interface Span {
  readonly begin: number;
  readonly end: number;
  readonly first: number;
  readonly last: number;
}

function itemsOf(blocks: readonly Block[]): readonly Item[] {
  return blocks.map((block, index) => ({
    spans: spansOf(block),
    sizeBytes: block.sizeBytes,
    neighbours: [...blocks.keys()].filter(
      (other) => other !== index && overlapInTime(block, blocks[other]!),
    ),
  }));
}

function spansOf({ sizeBytes, first, last, parts }: Block): readonly Span[] {
  let begin = 0;
  return (parts ?? [{ sizeBytes, first }]).map((part) => {
    const span = { begin, end: begin + part.sizeBytes, first: part.first, last };
    begin = span.end;
    return span;
  });
}

function overlapInTime(
  a: Pick<Block, 'first' | 'last'>,
  b: Pick<Block, 'first' | 'last'>,
): boolean {
  return a.first <= b.last && b.first <= a.last;
}

/** Null as soon as more than `limit` bytes are needed. */
function placeInOrder(
  items: readonly Item[],
  order: readonly number[],
  limit: number,
): Placed | null {
  const offsets = new Array<number>(items.length).fill(notPlaced);
  let sizeBytes = 0;
  for (const index of order) {
    const offset = lowestFree(items, offsets, items[index]!);
    offsets[index] = offset;
    sizeBytes = Math.max(sizeBytes, align(offset + items[index]!.sizeBytes));
    if (sizeBytes > limit) return null;
  }
  return { order, offsets, sizeBytes };
}

const notPlaced = -1;

/** Moves up, past whatever is in the way, until nothing is. */
function lowestFree(items: readonly Item[], offsets: readonly number[], item: Item): number {
  let offset = 0;
  for (let isFree = false; !isFree; ) {
    isFree = true;
    for (const neighbour of item.neighbours) {
      const base = offsets[neighbour]!;
      if (base === notPlaced) continue;
      for (const span of item.spans) {
        for (const other of items[neighbour]!.spans) {
          if (span.begin + offset >= base + other.end) continue;
          if (base + other.begin >= span.end + offset) continue;
          if (!overlapInTime(span, other)) continue;
          offset = align(base + other.end - span.begin);
          isFree = false;
        }
      }
    }
  }
  return offset;
}

/**
 * At the beginning of a span's life the sum may reach a new height. Blocks take a multiple of the
 * alignment, but where one is not in use as a whole another may lie in what it leaves.
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
    const live = [...liveBytes];
    const areWhole = live.every(([{ sizeBytes }, bytes]) => bytes === sizeBytes);
    const sum = live.reduce((total, [, bytes]) => total + (areWhole ? align(bytes) : bytes), 0);
    largest = Math.max(largest, sum);
  }
  return largest;
}

function align(bytes: number): number {
  return Math.ceil(bytes / arenaAlignment) * arenaAlignment;
}
