/**
 * Places buffers with known lifetimes in one arena: largest first, at the lowest offset that is free,
 * and in better orders as long as a search finds any.
 */
import { fixedSequence, roundUp } from '../integers.ts';

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
}

/** Offsets are multiples of this; the arena itself is aligned to 16. */
export const arenaAlignment = 8;

/**
 * `lowerBoundBytes`: what `largestLiveSum` says; the search ends there. `lowest`: blocks that are to lie
 * below all that live with them.
 */
export function planArena(
  blocks: readonly Block[],
  lowerBoundBytes: number,
  lowest: readonly number[] = [],
): ArenaPlan {
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
  const best = candidates.reduce((a, b) => (b.sizeBytes < a.sizeBytes ? b : a));
  const { offsets, sizeBytes } = improve(items, best, lowest.length, lowerBoundBytes);
  return { offsets, sizeBytes };
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
  const random = fixedSequence(1);
  const next = (bound: number): number => Math.floor(random() * bound);
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
  readonly sizeBytes: number;
  readonly conflicts: readonly Conflict[];
}

/** The block must not begin between `after` and `before` bytes behind the begin of another. */
interface Conflict {
  readonly other: number;
  readonly after: number;
  readonly before: number;
}

/** Bytes `begin` to `end` of a block, in use from call `first` to call `last`. */
interface Span {
  readonly begin: number;
  readonly end: number;
  readonly first: number;
  readonly last: number;
}

function itemsOf(blocks: readonly Block[]): readonly Item[] {
  const spans = blocks.map(spansOf);
  return blocks.map(({ sizeBytes }, index) => ({
    sizeBytes,
    conflicts: blocks.flatMap((block, other) =>
      other === index || !overlapInTime(block, blocks[index]!)
        ? []
        : conflictsOf(spans[index]!, spans[other]!, other),
    ),
  }));
}

function conflictsOf(
  spans: readonly Span[],
  otherSpans: readonly Span[],
  other: number,
): readonly Conflict[] {
  return spans.flatMap((span) =>
    otherSpans
      .filter((otherSpan) => overlapInTime(span, otherSpan))
      .map(({ begin, end }) => ({ other, after: begin - span.end, before: end - span.begin })),
  );
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
    const offset = lowestFree(offsets, items[index]!);
    offsets[index] = offset;
    sizeBytes = Math.max(sizeBytes, align(offset + items[index]!.sizeBytes));
    if (sizeBytes > limit) return null;
  }
  return { order, offsets, sizeBytes };
}

const notPlaced = -1;

/** Moves up, past whatever is in the way, until nothing is. */
function lowestFree(offsets: readonly number[], { conflicts }: Item): number {
  let offset = 0;
  for (let isFree = false; !isFree; ) {
    isFree = true;
    for (const { other, after, before } of conflicts) {
      const base = offsets[other]!;
      if (base === notPlaced || offset <= base + after || offset >= base + before) continue;
      offset = align(base + before);
      isFree = false;
    }
  }
  return offset;
}

/**
 * The most bytes in use at once: no placement needs less. At the beginning of a span's life the sum may reach a new height. Blocks take a multiple of the
 * alignment, but where one is not in use as a whole another may lie in what it leaves.
 */
export function largestLiveSum(blocks: readonly Block[]): number {
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
  return roundUp(bytes, arenaAlignment);
}
