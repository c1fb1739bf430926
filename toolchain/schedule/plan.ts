/**
 * Chooses how a model runs on a board, before quantization: the form of every attention, rows a tile,
 * and whether embedded tokens are kept.
 *
 * Every candidate is scheduled, so plans are compared by the bytes that are really placed and by the
 * measured cost of the kernels that are really called. First all layers have the same form; then
 * each layer gets the fastest form that needs no more than the whole. The front holds the plans of
 * which none is better in both.
 */
import { type Lm2mcuError, userError } from '../errors.ts';
import { type Graph, type Tensor, tensorOf } from '../ir/graph.ts';
import {
  type AttentionForm,
  type AttentionNode,
  attentionForms,
  canAbsorb,
  isAttention,
} from '../passes/attention-forms.ts';
import { fuseTable } from '../passes/fuse-table.ts';
import { integerDtype } from '../quantize/quantize.ts';
import { liveBytes, type Program } from './program.ts';
import { type ScratchBytes, schedule } from './schedule.ts';

export interface Plan {
  readonly tileRows: number;
  /** Embedded tokens are made again wherever they are read, and not kept. */
  readonly recomputeInputs: boolean;
  /** By attention, in the order in which they run. */
  readonly layers: readonly LayerForm[];
}

export interface LayerForm extends AttentionForm {
  /** The attention's name. */
  readonly layer: string;
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
  /** What the available bytes are, for messages. */
  readonly room: string;
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
  const pricer = new Pricer(request);
  const uniform = paretoFront(uniformPlans(request.graph).map((plan) => pricer.price(plan)));
  const front = paretoFront([...uniform, ...uniform.flatMap((one) => mixedPlans(one, pricer))]);
  const chosen = chooseFrom(front, request);
  if (chosen.arenaBytes > request.availableBytes) throw doesNotFit(request, chosen, front, pricer);
  return { ...chosen, front };
}

/** The graph with each attention in the form that the plan gives it. */
export function realizeForms(graph: Graph<'float'>, { layers }: Plan): Graph<'float'> {
  const forms = new Map(layers.map((form) => [form.layer, form]));
  return attentionForms(graph, ({ name }) => forms.get(name) ?? plainForm);
}

/** The graph with the forms that need the fewest multiplications, whatever memory they take. */
export function leastWork(graph: Graph<'float'>): Graph<'float'> {
  return attentionForms(graph, (node) => formsOf(graph, node)[0]!);
}

const plainForm: AttentionForm = { storedGroups: 1, absorbedHeads: 0 };

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
  const nearlyEqual = 1 + nearlyEqualPercent / 100;
  return (
    fitting.find(({ instructions }) => instructions <= best.instructions * nearlyEqual) ?? best
  );
}

/** Estimates of whole runs are hardly better than this. */
export const nearlyEqualPercent = 2;

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

const tileRowChoices = [64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1] as const;

/** Plans that give all layers with many query rows the same form. */
function uniformPlans(graph: Graph<'float'>): readonly Plan[] {
  const choices = attentionsOf(graph).map((node) => ({ node, forms: formsOf(graph, node) }));
  const most = Math.max(1, ...choices.map(({ forms }) => forms.length));
  return Array.from({ length: most }, (_, index) =>
    choices.map(({ node, forms }) => ({
      layer: node.name,
      ...forms[Math.min(index, forms.length - 1)]!,
    })),
  ).flatMap((layers) =>
    tileRowChoices.flatMap((tileRows) =>
      [false, true].map((recomputeInputs) => ({ tileRows, recomputeInputs, layers })),
    ),
  );
}

/** Plans in which each layer has the fastest form within the same memory as the `uniform` plan. */
function mixedPlans({ plan, arenaBytes }: PricedPlan, pricer: Pricer): readonly PricedPlan[] {
  const nodes = attentionsOf(pricer.graph);
  if (nodes.filter((node) => isOverTokens(pricer.graph, node)).length < 2) return [];
  let best = pricer.price(plan);
  for (const [index, node] of nodes.entries()) {
    for (const form of formsOf(pricer.graph, node)) {
      const layers = best.plan.layers.with(index, { layer: node.name, ...form });
      const priced = pricer.price({ ...plan, layers });
      if (priced.arenaBytes <= arenaBytes && priced.instructions < best.instructions) {
        best = priced;
      }
    }
  }
  return [best];
}

function attentionsOf(graph: Graph<'float'>): readonly AttentionNode[] {
  return graph.nodes.filter(isAttention);
}

function isOverTokens(graph: Graph<'float'>, node: AttentionNode): boolean {
  return tensorOf(graph, node.output).shape[0] === 'tokens';
}

/** That of least work first. A single query row is absorbed wherever it can be: it costs next to nothing. */
function formsOf(graph: Graph<'float'>, node: AttentionNode): readonly AttentionForm[] {
  const { heads } = node.attrs;
  const absorbs = canAbsorb(graph, node);
  if (!isOverTokens(graph, node)) {
    return absorbs ? [{ storedGroups: 0, absorbedHeads: heads }] : [plainForm];
  }
  const counts = Array.from({ length: (absorbs ? heads : 0) + 1 }, (_, index) => index);
  return counts.flatMap((absorbedHeads) => {
    const stored = heads - absorbedHeads;
    if (stored === 0) return [{ storedGroups: 0, absorbedHeads }];
    const groups = Array.from({ length: stored }, (_, index) => index + 1);
    return groups
      .filter((storedGroups) => stored % storedGroups === 0)
      .map((storedGroups) => ({ storedGroups, absorbedHeads }));
  });
}

/** Schedules plans; what several plans share is made once. */
class Pricer {
  readonly graph: Graph<'float'>;
  private readonly request: PlanRequest;
  private readonly graphs = new Map<string, Graph<'float'>>();
  private readonly prices = new Map<string, PricedPlan>();

  constructor(request: PlanRequest) {
    this.request = request;
    this.graph = request.graph;
  }

  price(plan: Plan): PricedPlan {
    const key = JSON.stringify(plan);
    const known = this.prices.get(key);
    if (known !== undefined) return known;
    const program = this.program(plan);
    const instructions = this.request.instructions(program);
    const priced = { plan, arenaBytes: program.arenaBytes, instructions };
    this.prices.set(key, priced);
    return priced;
  }

  /** The program a plan would give: the same shapes and types, without any numbers. */
  program(plan: Plan, maxTokens = this.request.maxTokens): Program {
    const { tileRows, recomputeInputs } = plan;
    const { scratchBytes } = this.request;
    return schedule(this.shaped(plan), { maxTokens, tileRows, recomputeInputs, scratchBytes });
  }

  /** The graph in the plan's forms, with the integer types it will have. */
  private shaped(plan: Plan): Graph<'float'> {
    const key = JSON.stringify(plan.layers);
    const known = this.graphs.get(key);
    if (known !== undefined) return known;
    const realized = realizeForms(this.graph, plan);
    const tensors: Record<string, Tensor> = {};
    for (const [name, tensor] of Object.entries(realized.tensors)) {
      tensors[name] = { ...tensor, dtype: integerDtype(realized, tensor) };
    }
    const shaped = fuseTable({ ...realized, tensors });
    this.graphs.set(key, shaped);
    return shaped;
  }
}

function doesNotFit(
  { availableBytes, maxTokens, room, goal }: PlanRequest,
  { arenaBytes, plan, instructions }: PricedPlan,
  front: readonly PricedPlan[],
  pricer: Pricer,
): Lm2mcuError {
  const isFastest = goal === 'fastest';
  const fastest = front.at(-1)!.instructions;
  const which = isFastest
    ? 'the fastest plan'
    : `the smallest plan, which takes ${(instructions / fastest).toFixed(1)} times the instructions of the fastest`;
  const someFits = front.some((one) => one.arenaBytes <= availableBytes);
  const fewer = someFits ? null : mostTokens(pricer, maxTokens, availableBytes);
  const flag = someFits ? '--plan fits' : `--max-tokens ${fewer}`;
  const withPlan = someFits || goal === 'fits' ? flag : `--plan fits ${flag}`;
  const tryFlag = !someFits && fewer === null ? 'Use' : `Try ${withPlan}, or`;
  return userError({
    code: 'does-not-fit',
    message: `${maxTokens} tokens need ${arenaBytes.toLocaleString('en-US')} bytes of activation memory, with ${which}`,
    where: `${room}; the peak is in ${peakOf(pricer.program(plan))}`,
    neededBytes: arenaBytes,
    availableBytes: Math.max(0, availableBytes),
    hint: `${tryFlag} ${room === '--max-arena' ? 'a larger --max-arena' : 'a --target with more SRAM'}.`,
  });
}

/** The layer during which most bytes are in use. */
export function peakOf(program: Program): string {
  const calls = program.segments.flatMap(({ calls: list, name }) =>
    list.map(({ node }) => node?.name ?? name),
  );
  const bytes = calls.map((_, call) => liveBytes(program, call));
  return calls[bytes.indexOf(Math.max(...bytes))] ?? '';
}

/** The most tokens, in steps of 8, for which some plan fits; null if there are none. */
function mostTokens(pricer: Pricer, maxTokens: number, availableBytes: number): number | null {
  const plans = uniformPlans(pricer.graph).filter(({ tileRows }) => smallTiles.includes(tileRows));
  const fits = (steps: number): boolean =>
    plans.some((plan) => pricer.program(plan, steps * 8).arenaBytes <= availableBytes);
  let most = 0;
  let tooMany = Math.ceil(maxTokens / 8);
  while (tooMany - most > 1) {
    const middle = Math.floor((most + tooMany) / 2);
    if (fits(middle)) most = middle;
    else tooMany = middle;
  }
  return most === 0 ? null : most * 8;
}

/** Of the choices those that the smallest plans have; streams need a multiple of their blocks. */
const smallTiles: readonly number[] = [1, 4, 16];
