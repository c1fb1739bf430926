/**
 * Chooses how a model runs on a board, before quantization: head groups, rows a tile, and whether
 * embedded tokens are kept.
 *
 * Every combination is scheduled, so plans are compared by the bytes that are really placed and by the
 * measured cost of the kernels that are really called. The front holds the plans of which none is
 * better in both.
 */
import { type Lm2mcuError, userError } from '../errors.ts';
import type { Graph, Tensor } from '../ir/graph.ts';
import { fuseTable } from '../passes/fuse-table.ts';
import { splitHeads } from '../passes/split-heads.ts';
import { integerDtype } from '../quantize/quantize.ts';
import type { Program } from './program.ts';
import { type ScratchBytes, schedule } from './schedule.ts';

export interface Plan {
  /** Attention heads are cut into this many groups, one after the other. */
  readonly headGroups: number;
  readonly tileRows: number;
  /** Embedded tokens are made again wherever they are read, and not kept. */
  readonly recomputeInputs: boolean;
}

/**
 * `fits`: the fewest instructions of the plans that fit (of nearly equal ones the smallest).
 * `fastest`: the fewest instructions, whether it fits or not. `smallest`: the smallest arena.
 */
export const planGoals = ['fits', 'fastest', 'smallest'] as const;
export type PlanGoal = (typeof planGoals)[number];

export interface PlanRequest {
  readonly graph: Graph<'float'>;
  readonly goal: PlanGoal;
  readonly maxTokens: number;
  readonly availableBytes: number;
  readonly regionName: string;
  readonly scratchBytes: ScratchBytes;
  /** Estimate for `maxTokens` tokens. */
  readonly instructions: (program: Program) => number;
}

export interface PricedPlan {
  readonly plan: Plan;
  readonly arenaBytes: number;
  /** An estimate for `maxTokens` tokens. */
  readonly instructions: number;
}

export interface Planned extends PricedPlan {
  /** By arena, smallest first; each has fewer instructions than the one before. */
  readonly front: readonly PricedPlan[];
}

export function choosePlan(request: PlanRequest): Planned {
  const priced = candidates(request.graph).map((plan) => {
    const program = sketch(request, plan);
    return { plan, arenaBytes: program.arenaBytes, instructions: request.instructions(program) };
  });
  const front = paretoFront(priced);
  const chosen = chooseFrom(front, request);
  if (chosen.arenaBytes > request.availableBytes) {
    throw doesNotFit(request, chosen, sketch(request, chosen.plan));
  }
  return { ...chosen, front };
}

function chooseFrom(
  front: readonly PricedPlan[],
  { goal, availableBytes }: PlanRequest,
): PricedPlan {
  const smallest = front[0]!;
  const fastest = front.at(-1)!;
  if (goal === 'smallest') return smallest;
  if (goal === 'fastest') return fastest;
  const fitting = front.filter(({ arenaBytes }) => arenaBytes <= availableBytes);
  const best = fitting.at(-1) ?? smallest;
  return (
    fitting.find(({ instructions }) => instructions <= best.instructions * nearlyEqual) ?? best
  );
}

/** Estimates are no better than this. */
const nearlyEqual = 1.01;

function paretoFront(plans: readonly PricedPlan[]): readonly PricedPlan[] {
  const front: PricedPlan[] = [];
  const sorted = plans.toSorted(
    (a, b) => a.arenaBytes - b.arenaBytes || a.instructions - b.instructions,
  );
  for (const plan of sorted) {
    if (plan.instructions < (front.at(-1)?.instructions ?? Number.POSITIVE_INFINITY)) {
      front.push(plan);
    }
  }
  return front;
}

const tileRowChoices = [32, 24, 16, 12, 8, 6, 4, 3, 2, 1] as const;

function candidates(graph: Graph<'float'>): readonly Plan[] {
  const heads = graph.nodes.flatMap((node) => (node.op === 'attention' ? [node.attrs.heads] : []));
  const largest = Math.max(1, ...heads);
  const groupings = Array.from({ length: largest }, (_, index) => index + 1).filter((groups) =>
    heads.every((count) => count % groups === 0),
  );
  return groupings.flatMap((headGroups) =>
    tileRowChoices.flatMap((tileRows) =>
      [false, true].map((recomputeInputs) => ({ headGroups, tileRows, recomputeInputs })),
    ),
  );
}

/** The program a plan would give: the same shapes and types, without any numbers. */
function sketch({ graph, maxTokens, scratchBytes }: PlanRequest, plan: Plan): Program {
  const split = splitHeads(graph, () => plan.headGroups);
  const tensors: Record<string, Tensor> = {};
  for (const [name, tensor] of Object.entries(split.tensors)) {
    tensors[name] = { ...tensor, dtype: integerDtype(split, tensor) };
  }
  const fused = fuseTable({ ...split, tensors });
  const { tileRows, recomputeInputs } = plan;
  return schedule(fused, { maxTokens, tileRows, recomputeInputs, scratchBytes });
}

function doesNotFit(
  request: PlanRequest,
  { arenaBytes, plan }: PricedPlan,
  program: Program,
): Lm2mcuError {
  const { availableBytes, maxTokens, regionName, goal } = request;
  const which = goal === 'fastest' ? 'fastest' : 'smallest';
  const fewer = goal === 'fastest' ? null : mostTokens(request, plan);
  const flag = goal === 'fastest' ? '--plan fits' : `--max-tokens ${fewer}`;
  const tryFlag = goal !== 'fastest' && fewer === null ? 'Use' : `Try ${flag}, or`;
  return userError({
    code: 'does-not-fit',
    message: `${maxTokens} tokens need ${arenaBytes.toLocaleString('en-US')} bytes of activation memory, with the ${which} plan`,
    where: `region ${regionName}; the peak is in ${peakOf(program)}`,
    neededBytes: arenaBytes,
    availableBytes: Math.max(0, availableBytes),
    hint: `${tryFlag} a --target with more SRAM.`,
  });
}

/** The layer during which most bytes are in use. */
export function peakOf(program: Program): string {
  const blocks = Object.values(program.buffers).filter(({ sharesWith }) => sharesWith === null);
  let call = 0;
  let worst = { bytes: -1, name: '' };
  for (const segment of program.segments) {
    for (const { node } of segment.calls) {
      const bytes = blocks
        .filter(({ firstCall, lastCall }) => firstCall <= call && call <= lastCall)
        .reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      if (bytes > worst.bytes) worst = { bytes, name: node?.name ?? segment.name };
      call += 1;
    }
  }
  return worst.name;
}

/** The most tokens, in steps of 8, for which the plan fits; null if it never does. */
function mostTokens(request: PlanRequest, plan: Plan): number | null {
  for (
    let maxTokens = Math.floor((request.maxTokens - 1) / 8) * 8;
    maxTokens >= 8;
    maxTokens -= 8
  ) {
    const { arenaBytes } = sketch({ ...request, maxTokens }, plan);
    if (arenaBytes <= request.availableBytes) return maxTokens;
  }
  return null;
}
