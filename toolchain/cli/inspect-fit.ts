/** Which boards a model would fit, counted before anything is compiled. */
import { Lm2mcuError } from '../errors.ts';
import type { Graph } from '../ir/graph.ts';
import { programInstructions } from '../schedule/cost.ts';
import { kernelsFor, loadKernels } from '../schedule/kernels.ts';
import { arenaRegion, placeConstants } from '../schedule/placement.ts';
import { choosePlan } from '../schedule/plan.ts';
import { kernelScratch } from '../schedule/scratch.ts';
import { listTargets, loadTarget, type Target } from '../targets.ts';

export interface BoardFit {
  readonly name: string;
  readonly fits: boolean;
  /** What is short, or null. */
  readonly short: string | null;
}

export interface Fit {
  readonly tokens: number;
  /** Of the plan with the smallest arena. */
  readonly arenaBytes: number;
  readonly boards: readonly BoardFit[];
}

/** Bytes of a model's constants, about. */
export interface ModelBytes {
  readonly encoder: number;
  readonly embedding: number;
  readonly tokenizer: number;
}

/** `graph`: simplified, before any plan. */
export function fitOf(graph: Graph<'float'>, bytes: ModelBytes, tokens: number): Fit {
  const targets = listTargets().map((name) => loadTarget(name));
  const [first] = targets;
  const kernelOf = kernelsFor(first!.core.features, loadKernels());
  const { arenaBytes } = choosePlan({
    graph,
    maxTokens: tokens,
    availableBytes: Number.POSITIVE_INFINITY,
    room: 'any',
    goal: 'smallest',
    scratchBytes: kernelScratch(kernelOf, tokens),
    npu: null,
    instructions: (program) => programInstructions(program, tokens, kernelOf, first!),
  });
  const boards = targets.map((target): BoardFit => {
    const short = shortOf(target, bytes, arenaBytes);
    return { name: target.name, fits: short === null, short };
  });
  return { tokens, arenaBytes, boards };
}

function shortOf(target: Target, bytes: ModelBytes, arenaBytes: number): string | null {
  const { availableBytes } = arenaRegion(target);
  const kib = (size: number) => `${Math.ceil(size / 1024).toLocaleString('en-US')} KiB`;
  if (arenaBytes > availableBytes) return `RAM: ${kib(arenaBytes)} of ${kib(availableBytes)}`;
  try {
    placeConstants(target, { ...bytes, constraint: 0 });
    return null;
  } catch (error) {
    if (!(error instanceof Lm2mcuError) || error.kind !== 'user') throw error;
    const all = bytes.encoder + bytes.embedding + bytes.tokenizer;
    const flash = target.regions.filter(({ kind }) => kind === 'flash' || kind === 'nor');
    return `flash: ${kib(all)} of ${kib(flash.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0))}`;
  }
}
