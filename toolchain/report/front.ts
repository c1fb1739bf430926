/** What the renderers say of the chosen plan, and which of its rivals they list. */
import { nearlyEqualPercent, type PlanGoal } from '../schedule/plan.ts';
import { arenaLimit, bytes } from './numbers.ts';
import type { PlanOfFront, Report } from './schema.ts';

const goals: Readonly<Record<PlanGoal, string>> = {
  fits: `the smallest within ${nearlyEqualPercent} % of the fastest that fits`,
  fastest: 'the fewest instructions of all plans',
  smallest: 'the smallest arena of all plans',
};

/** Of the instructions by which plans were compared: those of the image differ. */
export const whenPlanned = 'before quantization, with no flash spent on speed';

/** `the fewest instructions that fit (--plan fits)`. */
export function goalWords({ plan: { goal } }: Report): string {
  return `${goals[goal]} (--plan ${goal})`;
}

/** How good the arena is, as half a sentence. */
export function gapWords({ plan: { gapPercent, lowerBoundBytes } }: Report): string {
  if (gapPercent === 0) return 'which no placement undercuts';
  const gap = gapPercent < 0.1 ? 'less than 0.1' : gapPercent.toFixed(1);
  return `${gap} % above the lower bound of ${bytes(lowerBoundBytes)}`;
}

export function planFits(report: Report, { arenaBytes }: PlanOfFront): boolean {
  return arenaBytes <= arenaLimit(report);
}

/** At most `most` plans of the front, evenly taken: both ends and the chosen one always. */
export function someOfFront({ plan: { front } }: Report, most: number): readonly PlanOfFront[] {
  if (front.length <= most) return front;
  const evenly = Array.from({ length: most - 1 }, (_, index) =>
    Math.round((index * (front.length - 1)) / (most - 2)),
  );
  const taken = new Set([...evenly, front.findIndex(({ isChosen }) => isChosen)]);
  return front.filter((_, index) => taken.has(index));
}
