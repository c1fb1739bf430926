/**
 * The whole design: the program of a board, solved by evolution and exactly, the Pareto front on the
 * way, and what the baseline of counting parameters would have chosen.
 */
import { internalError } from '../errors.ts';
import type { Target } from '../targets.ts';
import type { Architecture } from './architecture.ts';
import { bindingLimits, infeasible } from './binding.ts';
import { type Budget, budgetOf, type Wishes } from './budget.ts';
import { type DecoderCosts, formulaCosts, type WeightType } from './costs.ts';
import { type Evolved, evolve } from './evolve.ts';
import { type Solution, solveExactly } from './exact.ts';
import { plannedArenaBytes } from './planned.ts';
import {
  type DesignProgram,
  defaultSpace,
  excess,
  formulate,
  type Limits,
  type Measures,
  measure,
  measureArchitecture,
  type Objective,
  type Option,
  type Space,
} from './program.ts';

export interface DesignRequest extends Wishes {
  readonly target: Target;
  readonly vocabulary: number;
  readonly context: number;
  readonly weights: WeightType;
  readonly sharing: boolean;
  readonly objective: Objective;
  readonly seed: number;
  readonly progress: (phase: string, done?: number, total?: number) => Promise<void>;
}

export interface Design {
  readonly architecture: Architecture;
  readonly measures: Measures;
  readonly tokensPerSecond: number;
}

export interface Designed {
  readonly chosen: Design;
  readonly limits: Limits;
  readonly solvers: {
    readonly evolution: { readonly value: number; readonly evaluations: number };
    /** `bound`: no decoder has more of the objective. */
    readonly exact: { readonly value: number; readonly bound: number; readonly isProven: boolean };
    /** Of the better of both to the bound, as a share of it. */
    readonly gap: number;
  };
  /** Flash against the objective, and tokens a second against it; each by rising objective. */
  readonly fronts: { readonly bytes: readonly Design[]; readonly speed: readonly Design[] };
  /** Most parameters within the same limits. */
  readonly mostParameters: Design;
}

const evaluations = 60_000;
const exactSeconds = 120;

export async function design(request: DesignRequest): Promise<Designed> {
  const { target, objective, progress } = request;
  const { budget, costs } = settingOf(request);
  const space: Space = { ...defaultSpace, sharing: request.sharing };
  const formulated = formulate({ ...request, ...budget, costs, space, objective });
  const describe = designOf(formulated, request);
  const { program, solved } = await solve(formulated, request, describe);
  const { exact, evolved, chosen } = solved;
  await progress('baseline');
  const counted = await solveExactly({
    program: { ...program, objective: 'parameters' },
    goal: { most: 'parameters' },
    seconds: exactSeconds,
  });
  if (counted.kind === 'infeasible') throw internalError('feasible, then not', 'design');

  const { values } = solved;
  const best = Math.max(values.evolution, values.exact);
  const all = [...evolved.front.map((one) => one.chosen), chosen].map(describe);
  const planned = (one: Design): Design => asPlanned(one, target);
  const { limits } = formulated;
  const front = (price: (design: Design) => number): readonly Design[] =>
    frontOf(all, objective, price)
      .map(planned)
      .filter(({ measures }) => measures.sramBytes <= limits.sramBytes);
  return {
    chosen: planned(describe(chosen)),
    limits,
    solvers: {
      evolution: { value: values.evolution, evaluations },
      exact: { value: values.exact, bound: exact.bound, isProven: exact.isProven },
      gap: Math.max(0, exact.bound - best) / exact.bound,
    },
    fronts: {
      bytes: front(({ measures }) => measures.flashBytes),
      speed: front(({ measures }) => measures.cycles),
    },
    mostParameters: planned(describe(counted.chosen)),
  };
}

/** How a decoder of the program's is described; RAM by the formulas. */
function designOf(program: DesignProgram, { target, vocabulary, context }: DesignRequest) {
  return (options: readonly Option[]): Design => {
    const blocks = options.map(({ block }) => block);
    const measures = measure(program, options);
    return {
      architecture: { vocabulary, context, embedding: blocks[0]!.width, blocks },
      measures,
      tokensPerSecond: target.clockHz / measures.cycles,
    };
  };
}

/** RAM is the planner's, which takes too long for every decoder that is judged. */
function asPlanned(one: Design, target: Target): Design {
  const sramBytes = plannedArenaBytes(one.architecture, target);
  return { ...one, measures: { ...one.measures, sramBytes } };
}

interface Solved {
  readonly exact: Extract<Solution, { readonly kind: 'solved' }>;
  readonly evolved: Evolved;
  /** Of the objective. */
  readonly values: { readonly evolution: number; readonly exact: number };
  readonly chosen: readonly Option[];
}

/**
 * By both solvers. Where the planner needs more RAM for the decoder than there is, the program's limit
 * is lowered by what the formulas were short of, and it is solved again.
 */
async function solve(
  formulated: DesignProgram,
  request: DesignRequest,
  describe: (options: readonly Option[]) => Design,
): Promise<{ readonly program: DesignProgram; readonly solved: Solved }> {
  const { sramBytes } = formulated.limits;
  let program = formulated;
  for (let round = 0; round < mostRounds; round++) {
    const solved = await solveOnce(program, request);
    const { architecture } = describe(solved.chosen);
    const over = plannedArenaBytes(architecture, request.target) - sramBytes;
    if (over <= 0) return { program, solved };
    const { limits } = program;
    program = { ...program, limits: { ...limits, sramBytes: limits.sramBytes - over } };
  }
  throw internalError('the formulas for RAM are far from the planner', 'design');
}

const mostRounds = 8;

async function solveOnce(program: DesignProgram, request: DesignRequest): Promise<Solved> {
  const { target, seed, objective, progress } = request;
  await progress('exact solver');
  const exact = await solveExactly({ program, goal: { most: objective }, seconds: exactSeconds });
  if (exact.kind === 'infeasible') {
    await progress('which limit binds');
    const where = `${target.name}, ${request.vocabulary} tokens, a context of ${request.context}`;
    throw infeasible(await bindingLimits(program), where, target.clockHz);
  }
  await progress('evolution', 0, evaluations);
  const evolved = evolve({
    ...{ program, seed, evaluations },
    progress: (done, total) => void progress('evolution', done, total),
  });
  const exactMeasures = measure(program, exact.chosen);
  if (excess(exactMeasures, program.limits) > 1e-6) {
    throw internalError('the exact solver breaks a limit', 'design');
  }
  const values = {
    evolution: evolved.best.excess > 0 ? 0 : evolved.best.measures[objective],
    exact: exactMeasures[objective],
  };
  const chosen = values.evolution > values.exact ? evolved.best.chosen : exact.chosen;
  return { exact, evolved, values, chosen };
}

export interface Score extends Design {
  readonly limits: Limits;
  readonly fits: boolean;
}

/** Of a decoder that is given: what it amounts to on the board. */
export function score(
  request: Omit<DesignRequest, 'vocabulary' | 'context' | 'seed' | 'progress' | 'sharing'>,
  architecture: Architecture,
): Score {
  const { vocabulary, context } = architecture;
  const { budget, costs } = settingOf({ ...request, vocabulary, context });
  const formula = measureArchitecture(architecture, costs, budget.fixedFlashBytes);
  const { target } = request;
  const measures = { ...formula, sramBytes: plannedArenaBytes(architecture, target) };
  return {
    architecture,
    measures,
    tokensPerSecond: target.clockHz / measures.cycles,
    limits: budget.limits,
    fits: excess(measures, budget.limits) === 0,
  };
}

function settingOf(
  request: Wishes & {
    readonly target: Target;
    readonly vocabulary: number;
    readonly context: number;
    readonly weights: WeightType;
  },
): { readonly budget: Budget; readonly costs: DecoderCosts } {
  const { target, vocabulary } = request;
  const budget = budgetOf(target, vocabulary, request);
  return { budget, costs: formulaCosts({ ...request, region: budget.region.name }) };
}

/** Those that no other beats in both, at most ten of them, evenly over the objective. */
function frontOf(
  designs: readonly Design[],
  objective: Objective,
  price: (design: Design) => number,
): readonly Design[] {
  const value = ({ measures }: Design): number => measures[objective];
  const sorted = designs.toSorted((a, b) => price(a) - price(b) || value(b) - value(a));
  const front: Design[] = [];
  for (const one of sorted) {
    if (front.length === 0 || value(one) > value(front.at(-1)!)) front.push(one);
  }
  const [low, high] = [value(front[0]!), value(front.at(-1)!)];
  const wanted = Array.from({ length: rows }, (_, row) => low + ((high - low) * row) / (rows - 1));
  const nearest = wanted.map((aim) =>
    front.reduce((a, b) => (Math.abs(value(b) - aim) < Math.abs(value(a) - aim) ? b : a)),
  );
  return [...new Set(nearest)];
}

const rows = 10;
