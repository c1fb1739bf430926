/** The point of the front that the user asked for, or what is nearest to it. */
import { formatBytes, type Lm2mcuError, userError } from '../errors.ts';
import type { FrontPoint } from './search.ts';

export interface Wish {
  /** Share of texts: 0.005 is half a point. */
  readonly maxDrop: number;
  /** What the image may take. */
  readonly budgetBytes: number;
  /** Whether to use the budget for fewer errors; else the image is as small as the drop allows. */
  readonly fillsBudget: boolean;
}

/**
 * Share of texts that a point answers worse, as all points together say: a larger image is no worse, so
 * neighbours that are in the wrong order are taken for noise and share their mean (isotonic regression
 * by pooling adjacent violators; Barlow et al. 1972). Without labels it is the share with another
 * answer, which is no less. `front` by bytes, ascending.
 */
export function dropOf(point: FrontPoint, front: readonly FrontPoint[]): number {
  const pools: { sum: number; points: FrontPoint[] }[] = [];
  for (const one of front) {
    let pool = { sum: one.loss.accuracyDrop ?? 1 - one.loss.agreement, points: [one] };
    for (let before = pools.at(-1); before !== undefined; before = pools.at(-1)) {
      if (before.sum / before.points.length > pool.sum / pool.points.length) break;
      pool = { sum: before.sum + pool.sum, points: [...before.points, ...pool.points] };
      pools.pop();
    }
    pools.push(pool);
  }
  const { sum, points } = pools.find((pool) => pool.points.includes(point))!;
  return sum / points.length;
}

/** `front` by bytes, ascending. */
export function choosePoint(
  front: readonly FrontPoint[],
  { maxDrop, budgetBytes, fillsBudget }: Wish,
): FrontPoint {
  const fitting = front.filter(({ bytes }) => bytes <= budgetBytes);
  const good = fitting.filter((point) => dropOf(point, front) <= maxDrop);
  const found = fillsBudget ? good.at(-1) : good[0];
  if (found !== undefined) return found;
  throw outOfReach(front, { maxDrop, budgetBytes, fillsBudget });
}

export interface Choice {
  /** By bytes, ascending; what was emitted with the bytes it then had. */
  readonly front: readonly FrontPoint[];
  readonly chosen: FrontPoint;
}

/** The same, with real sizes: sums of parts until here, a point that would be taken is emitted first. */
export async function chooseEmitted(
  predicted: readonly FrontPoint[],
  wish: Wish,
  emittedBytes: (point: FrontPoint) => Promise<number>,
): Promise<Choice> {
  const emitted = new Set<FrontPoint>();
  let front = predicted;
  for (;;) {
    const chosen = choosePoint(front, wish);
    if (emitted.has(chosen)) return { front, chosen };
    const point = { ...chosen, bytes: await emittedBytes(chosen) };
    emitted.add(point);
    front = front
      .map((one) => (one === chosen ? point : one))
      .toSorted((a, b) => a.bytes - b.bytes);
  }
}

function outOfReach(front: readonly FrontPoint[], { maxDrop, budgetBytes }: Wish): Lm2mcuError {
  const points = (share: number): string => (100 * share).toFixed(2);
  const good = front.find((point) => dropOf(point, front) <= maxDrop);
  const best = front.filter(({ bytes }) => bytes <= budgetBytes).at(-1);
  const smallest = front[0]!;
  const nearest = [
    ...(best === undefined
      ? [`The smallest image takes ${formatBytes(smallest.bytes)}.`]
      : [`Within the budget: ${points(dropOf(best, front))} points, ${formatBytes(best.bytes)}.`]),
    ...(good === undefined
      ? [`The least loss is ${points(dropOf(front.at(-1)!, front))} points.`]
      : [`Within ${points(maxDrop)} points: ${formatBytes(good.bytes)}.`]),
  ];
  return userError({
    code: 'no-recipe-found',
    message: `no recipe keeps the loss below ${points(maxDrop)} points in that much flash`,
    where: 'the whole image, as predicted',
    neededBytes: good?.bytes ?? smallest.bytes,
    availableBytes: budgetBytes,
    hint: `${nearest.join(' ')} Change --flash-budget or --max-accuracy-drop.`,
  });
}
