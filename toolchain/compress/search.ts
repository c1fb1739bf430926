/**
 * The search for a recipe: what a model can lose in bytes before it loses answers.
 *
 * 1. How much the outputs depend on each row of the tables (gradients), and the moments of each
 *    linear's inputs.
 * 2. Every option of every part, alone: its bytes, and the change of the outputs it makes on texts
 *    that nothing was fitted to. This measured change takes the place of a Hessian trace: it is what the
 *    trace estimates, without the assumption that changes are small, and for a dozen matrices as cheap.
 * 3. The best combination for each size, as if changes added up (dynamic programming).
 * 4. Some of these, measured together: the Pareto front.
 */
import type { Graph } from '../ir/graph.ts';
import { type Option, paretoAllocations, paretoFront } from './allocate.ts';
import type { Interval } from './bootstrap.ts';
import {
  type Candidate,
  constantsOf,
  int4Candidate,
  linearsOf,
  measureMoments,
  type PlannedCandidate,
  positionCandidates,
  wordCandidates,
} from './candidates.ts';
import {
  accuracyDropInterval,
  type Loss,
  lossOf,
  networkOutputs,
  type Outputs,
} from './measure.ts';
import { sample } from './random.ts';
import { measureSensitivity, rowWeights, type Sums } from './sensitivity.ts';
import type { Steps } from './steps.ts';
import { embeddingTables, type TokenText } from './texts.ts';

export interface SearchRequest {
  /** As imported, rows that nobody needs left out. */
  readonly graph: Graph<'float'>;
  readonly maxTokens: number;
  /** Outputs are embeddings, not classes. */
  readonly isVector: boolean;
  /** Texts to fit to. */
  readonly fitting: readonly TokenText[];
  /** Texts to measure on. */
  readonly measuring: readonly TokenText[];
  /** The same texts with rare tokens in pieces, a choice of how rare; the first is none or exact. */
  readonly droppings: readonly Dropping[];
  /** Bytes of the image beside tables and weights. */
  readonly fixedBytes: number;
  /** Larger images are of no interest, unless all are larger. */
  readonly budgetBytes: number;
  /** Whether images just below the budget are of most interest. */
  readonly fillsBudget: boolean;
  /** Bytes of the tokenizer that a token takes. */
  readonly tokenizerBytesPerToken: number;
  readonly steps: Steps;
  /** Digest of everything that the results depend on. */
  readonly digest: string;
  readonly progress: (phase: string, done: number, total: number) => Promise<void>;
}

export interface Dropping {
  /** Tokens with at most so many occurrences; −1: none. */
  readonly most: number;
  readonly tokens: Int32Array;
  readonly measuring: readonly TokenText[];
}

/** A combination, measured as a whole. */
export interface FrontPoint {
  /** Of the whole image, predicted. */
  readonly bytes: number;
  readonly loss: Loss;
  readonly interval: Interval | null;
  readonly word: string;
  readonly wordBytes: number;
  readonly position: string;
  /** Matrices in int4, of all. */
  readonly int4: number;
  readonly matrices: number;
  readonly dropped: number;
  readonly choice: readonly number[];
}

export interface MeasuredOption extends Option {
  readonly part: string;
  readonly name: string;
  readonly hiddenCosine: number;
  readonly agreement: number;
  readonly accuracyDrop: number | null;
}

export interface SearchResult {
  readonly options: readonly MeasuredOption[];
  readonly front: readonly FrontPoint[];
  /** The float model on the texts that were measured. */
  readonly reference: Outputs;
  /** The parts of a point of the front. */
  candidatesOf(point: FrontPoint): Promise<readonly Candidate[]>;
  readonly droppedOf: (point: FrontPoint) => Int32Array;
}

/** Texts whose gradients are taken; more change the weights of frequent rows little. */
const gradientTexts = 2000;
const momentTexts = 256;
/** Each option alone is measured on that share of the texts of the combinations. */
const optionShare = 0.5;
/** Points of the front that are measured as a whole. */
const frontPoints = 12;

interface Part {
  readonly name: string;
  readonly options: readonly PlannedCandidate[];
}

export async function search(request: SearchRequest): Promise<SearchResult> {
  const sensitivities = await measureRows(request);
  const parts = await partsOf(request, sensitivities);
  const scale = await scaleOf(request);
  const options = [
    ...(await measureOptions(request, scale, parts)),
    await measureDroppings(request, scale),
  ];
  const points = await measureCombinations(request, scale, parts, options);
  const front = paretoFront(
    points.map((point) => ({
      ...point,
      distance: point.loss.distance,
      loss: point.loss.distance,
      all: point,
    })),
  );
  return {
    options: options.flat(),
    front: front.map(({ all }) => all),
    reference: scale.reference,
    candidatesOf: (point) =>
      Promise.all(
        parts.map((part, at) => candidateOf(request, part, part.options[point.choice[at]!]!)),
      ),
    droppedOf: (point) => request.droppings[point.choice.at(-1)!]!.tokens,
  };
}

function progressOf({ progress }: SearchRequest, phase: string) {
  return (done: number, total: number) => progress(phase, done, total);
}

/** How much the outputs depend on each row of the tables. */
async function measureRows(request: SearchRequest) {
  const { graph, fitting, steps, digest } = request;
  const tables = embeddingTables(graph);
  const sensitivity = await steps.run('sensitivity', [digest], () =>
    measureSensitivity(
      graph,
      tables,
      sample(fitting, gradientTexts, 2),
      progressOf(request, 'gradients of the outputs'),
    ),
  );
  return { tables, sensitivity };
}

/** What may be made smaller, each with its options. */
async function partsOf(
  request: SearchRequest,
  { tables, sensitivity }: Awaited<ReturnType<typeof measureRows>>,
): Promise<readonly Part[]> {
  const { graph, fitting, steps, digest } = request;
  const occurrences = tokenOccurrences(fitting, tables.word.rows);
  const reachable = (row: number): boolean => row < request.maxTokens;
  const dropped = new Set(request.droppings[0]!.tokens);
  const wordRows = {
    ...tables.word,
    weights: wordWeights(sensitivity.tokens, occurrences).map((weight, row) =>
      dropped.has(row) ? 0 : weight,
    ),
    metric: sensitivity.metric,
  };
  const positionRows = {
    ...tables.position,
    weights: rowWeights(sensitivity.positions, sensitivity.positions.counts, 1),
    metric: sensitivity.metric,
  };
  const moments = await steps.run('moments', [digest], () =>
    measureMoments(
      graph,
      sample(fitting, momentTexts, 3),
      progressOf(request, 'moments of the inputs'),
    ),
  );
  return [
    {
      name: 'word table',
      options: wordCandidates(tables.word.name, wordRows, (row) => !dropped.has(row)),
    },
    {
      name: 'position table',
      options: positionCandidates(tables.position.name, positionRows, reachable),
    },
    ...linearsOf(graph).map((linear) => ({
      name: linear.name,
      options: [
        asInt8(linear.size),
        {
          name: 'int4',
          make: () => int4Candidate(graph, linear, moments.get(linear.input)!),
        },
      ],
    })),
  ];
}

function candidateOf(
  { steps, digest }: SearchRequest,
  part: Part,
  option: PlannedCandidate,
): Promise<Candidate> {
  return steps.run('candidate', [digest, part.name, option.name], () => option.make());
}

/** What losses are measured against. */
interface Scale {
  readonly reference: Outputs;
  readonly measure: (
    candidates: readonly Candidate[],
    texts: readonly TokenText[],
    phase: string,
  ) => Promise<{ readonly loss: Loss; readonly interval: Interval | null }>;
}

async function scaleOf(request: SearchRequest): Promise<Scale> {
  const { graph, measuring, steps, digest, isVector } = request;
  const reference = await steps.run('reference', [digest], () =>
    networkOutputs(graph, measuring, new Map(), progressOf(request, 'the float model')),
  );
  return {
    reference,
    async measure(candidates, texts, phase) {
      const constants = constantsOf(candidates);
      const asBefore =
        constants.size === 0 && texts.every((text, index) => text === measuring[index]);
      const changed = asBefore
        ? reference
        : await networkOutputs(graph, texts, constants, progressOf(request, phase));
      const loss = lossOf(reference, changed, texts, isVector);
      return { loss, interval: accuracyDropInterval(reference, changed, texts) };
    },
  };
}

/** Of each part every option, the others as they are. */
async function measureOptions(
  request: SearchRequest,
  { measure }: Scale,
  parts: readonly Part[],
): Promise<readonly (readonly MeasuredOption[])[]> {
  const { steps, digest, measuring } = request;
  const texts = measuring.slice(0, Math.ceil(measuring.length * optionShare));
  const options: MeasuredOption[][] = [];
  for (const part of parts) {
    const measured: MeasuredOption[] = [];
    for (const option of part.options) {
      const phase = `${part.name}: ${option.name}`;
      await request.progress(phase, 0, 0);
      const made = await candidateOf(request, part, option);
      const { loss } = await steps.run('measured', [digest, part.name, option.name], () =>
        measure([made], texts, phase),
      );
      measured.push(measuredOption(part.name, option.name, made.bytes, loss));
    }
    options.push(measured);
  }
  return options;
}

/** The choice of which tokens are dropped, a part like the others. */
async function measureDroppings(
  request: SearchRequest,
  { measure }: Scale,
): Promise<readonly MeasuredOption[]> {
  const { steps, digest, measuring } = request;
  const optionTexts = Math.ceil(measuring.length * optionShare);
  const droppings: MeasuredOption[] = [];
  for (const dropping of request.droppings) {
    const name = dropping.most < 0 ? 'none' : `at most ${dropping.most} occurrences`;
    const { loss } = await steps.run('dropped', [digest, name], () =>
      measure([], dropping.measuring.slice(0, optionTexts), `tokens dropped: ${name}`),
    );
    const more = dropping.tokens.length - request.droppings[0]!.tokens.length;
    const bytes = -more * (request.tokenizerBytesPerToken + rareRowBytes);
    droppings.push(measuredOption('tokens dropped', name, bytes, loss));
  }
  return droppings;
}

function measuredOption(part: string, name: string, bytes: number, loss: Loss): MeasuredOption {
  const { distance, hiddenCosine, agreement, accuracyDrop } = loss;
  return { part, name, bytes, loss: distance, hiddenCosine, agreement, accuracyDrop };
}

/** Some of the best combinations of options, each as a whole. */
async function measureCombinations(
  request: SearchRequest,
  { measure }: Scale,
  parts: readonly Part[],
  options: readonly (readonly MeasuredOption[])[],
): Promise<readonly FrontPoint[]> {
  const { steps, digest } = request;
  const best = paretoAllocations(options);
  const points: FrontPoint[] = [];
  const room = request.budgetBytes - request.fixedBytes;
  const tried = someOf(withinReach(best, room), frontPoints, request.fillsBudget);
  for (const [index, { chosen, bytes }] of tried.entries()) {
    const made: Candidate[] = [];
    for (const [at, part] of parts.entries()) {
      made.push(await candidateOf(request, part, part.options[chosen[at]!]!));
    }
    const dropping = request.droppings[chosen.at(-1)!]!;
    const phase = `combination ${index + 1} of ${tried.length}`;
    const names = chosen.map((option, at) => options[at]![option]!.name);
    const measured = await steps.run('combination', [digest, ...names], () =>
      measure(made, dropping.measuring, phase),
    );
    const matrices = parts.length - tableParts;
    points.push({
      bytes: request.fixedBytes + bytes,
      ...measured,
      ...{ word: options[0]![chosen[0]!]!.name, wordBytes: made[0]!.bytes },
      position: options[1]![chosen[1]!]!.name,
      int4: chosen.slice(tableParts, -1).filter((option) => option === 1).length,
      ...{ matrices, dropped: dropping.tokens.length, choice: chosen },
    });
  }
  return points;
}

/** Words and positions come before the matrices. */
const tableParts = 2;

/** A rare token's row: hardly more than its place. */
const rareRowBytes = 1.25;

/** The quantizer's own: nothing for a recipe to say. */
function asInt8(size: number): PlannedCandidate {
  return {
    name: 'int8',
    make: () => ({ name: 'int8', bytes: size, tables: {}, weights: {}, constants: {} }),
  };
}

/**
 * Square roots: gradients tell of small changes, but a rare word's row may be far off, and turns the
 * answer where it is what a text is about.
 */
export function wordWeights(sums: Sums, occurrences: ArrayLike<number>): Float64Array {
  return rowWeights(sums, occurrences, 1).map(Math.sqrt);
}

export function tokenOccurrences(texts: readonly TokenText[], tokens: number): Float64Array {
  const counts = new Float64Array(tokens);
  for (const { ids } of texts) for (const id of ids) counts[id]! += 1;
  return counts;
}

function withinReach<T extends Option>(front: readonly T[], bytes: number): readonly T[] {
  const reached = front.filter((point) => point.bytes <= bytes);
  return reached.length > 0 ? reached : front.slice(0, 1);
}

/** By bytes, both ends among them: evenly, or ever closer to each other towards the largest. */
function someOf<T extends Option>(
  front: readonly T[],
  most: number,
  denseAtLargest: boolean,
): readonly T[] {
  if (front.length <= most) return front;
  const [first, last] = [front[0]!.bytes, front.at(-1)!.bytes];
  const taken = new Set<number>();
  for (let step = 0; step < most; step++) {
    const share = (most - 1 - step) / (most - 1);
    const wanted = last - (last - first) * (denseAtLargest ? share ** 2 : share);
    taken.add(front.findLastIndex((point) => point.bytes <= wanted));
  }
  return front.filter((_, index) => taken.has(index));
}
