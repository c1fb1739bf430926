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
import { type Graph, tensorOf } from '../ir/graph.ts';
import {
  type AttentionForm,
  type AttentionNode,
  attentionForms,
  canAbsorb,
  isAttention,
} from '../passes/attention-forms.ts';
import { fuseTable } from '../passes/fuse-table.ts';
import { withIntegerDtypes } from '../quantize/quantize.ts';
import type { NpuTarget } from './npu.ts';
import { liveBytes, type Program } from './program.ts';
import { type Draft, draft, type ScratchBytes } from './schedule.ts';

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
  readonly npu: NpuTarget | null;
  /** Estimate for `maxTokens` tokens. */
  readonly instructions: (program: Draft) => number;
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
  const uniform = paretoFront(uniformPlans(request).map((plan) => pricer.candidate(plan)));
  const mixed = uniform.flatMap((one) => mixedPlans(one, pricer));
  const front = paretoFront([...uniform, ...mixed]).map(priced);
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

/** The plans of which none is better in both, by arena, smallest first. */
function paretoFront(plans: readonly Candidate[]): readonly Candidate[] {
  const front: Candidate[] = [];
  let smallest = Number.POSITIVE_INFINITY;
  for (const plan of plans.toSorted((a, b) => a.instructions - b.instructions)) {
    // Where a bound is enough, nothing is placed.
    if (plan.lowerBoundBytes >= smallest || plan.arenaBytes >= smallest) continue;
    smallest = plan.arenaBytes;
    if (front.at(-1)?.instructions === plan.instructions) front.pop();
    front.push(plan);
  }
  return front.toReversed();
}

/** Few jobs of many rows are better than many of few. */
const npuTileRowChoices = [512, 256, 192, 128, 96] as const;
const tileRowChoices = [64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1] as const;

/** Plans that give all layers with many query rows the same form. */
function uniformPlans({
  graph,
  npu,
  maxTokens,
}: Pick<PlanRequest, 'graph' | 'npu' | 'maxTokens'>): readonly Plan[] {
  const large = npu === null ? [] : npuTileRowChoices.filter((rows) => rows < 2 * maxTokens);
  const choices = attentionsOf(graph).map((node) => ({ node, forms: formsOf(graph, node) }));
  const most = Math.max(1, ...choices.map(({ forms }) => forms.length));
  return Array.from({ length: most }, (_, index) =>
    choices.map(({ node, forms }) => ({
      layer: node.name,
      ...forms[Math.min(index, forms.length - 1)]!,
    })),
  ).flatMap((layers) =>
    [...large, ...tileRowChoices].flatMap((tileRows) =>
      [false, true].map((recomputeInputs) => ({ tileRows, recomputeInputs, layers })),
    ),
  );
}

/** Plans in which each layer has the fastest form within the same memory as the `uniform` plan. */
function mixedPlans(uniform: Candidate, pricer: Pricer): readonly Candidate[] {
  const nodes = attentionsOf(pricer.graph);
  if (nodes.filter((node) => isOverTokens(pricer.graph, node)).length < 2) return [];
  const { plan, arenaBytes } = uniform;
  let best = uniform;
  for (const [index, node] of nodes.entries()) {
    for (const form of formsOf(pricer.graph, node)) {
      const layers = best.plan.layers.with(index, { layer: node.name, ...form });
      const other = pricer.candidate({ ...plan, layers });
      const isBetter =
        other.instructions < best.instructions &&
        other.lowerBoundBytes <= arenaBytes &&
        other.arenaBytes <= arenaBytes;
      if (isBetter) best = other;
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

/** A plan with its price; its buffers are placed when somebody asks for the arena. */
class Candidate {
  readonly plan: Plan;
  readonly instructions: number;
  readonly lowerBoundBytes: number;
  private readonly draft: Draft;
  private placedBytes: number | null = null;

  constructor(plan: Plan, draft: Draft, instructions: number) {
    this.plan = plan;
    this.instructions = instructions;
    this.lowerBoundBytes = draft.lowerBoundBytes;
    this.draft = draft;
  }

  get arenaBytes(): number {
    this.placedBytes ??= this.draft.place().arenaBytes;
    return this.placedBytes;
  }
}

function priced({ plan, arenaBytes, instructions }: Candidate): PricedPlan {
  return { plan, arenaBytes, instructions };
}

/** Schedules plans; what several plans share is made once. */
class Pricer {
  readonly graph: Graph<'float'>;
  readonly request: PlanRequest;
  private readonly graphs = new Map<string, Graph<'float'>>();
  private readonly candidates = new Map<string, Candidate>();

  constructor(request: PlanRequest) {
    this.request = request;
    this.graph = request.graph;
  }

  candidate(plan: Plan): Candidate {
    const key = JSON.stringify(plan);
    const known = this.candidates.get(key);
    if (known !== undefined) return known;
    const drafted = this.draft(plan);
    const candidate = new Candidate(plan, drafted, this.request.instructions(drafted));
    this.candidates.set(key, candidate);
    return candidate;
  }

  /** The program a plan would give: the same shapes and types, without any numbers. */
  draft(plan: Plan, maxTokens = this.request.maxTokens): Draft {
    const { tileRows, recomputeInputs } = plan;
    const { scratchBytes, npu } = this.request;
    return draft(this.shaped(plan), { maxTokens, tileRows, recomputeInputs, scratchBytes, npu });
  }

  /** The graph in the plan's forms, with the integer types it will have. */
  private shaped(plan: Plan): Graph<'float'> {
    const key = JSON.stringify(plan.layers);
    const known = this.graphs.get(key);
    if (known !== undefined) return known;
    const shaped = fuseTable(withIntegerDtypes(realizeForms(this.graph, plan)));
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
    where: `${room}; the peak is in ${peakOf(pricer.draft(plan).place())}`,
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
  const plans = uniformPlans(pricer.request).filter(({ tileRows }) =>
    smallTiles.includes(tileRows),
  );
  const fits = (steps: number): boolean =>
    plans.some((plan) => {
      const drafted = pricer.draft(plan, steps * 8);
      return (
        drafted.lowerBoundBytes <= availableBytes && drafted.place().arenaBytes <= availableBytes
      );
    });
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
