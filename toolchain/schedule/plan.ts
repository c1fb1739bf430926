/**
 * Chooses how a model runs on a board, before quantization: head groups, rows a tile, and whether
 * embedded tokens are kept.
 *
 * The fastest plan whose arena fits wins; larger tiles read the weights less often, fewer groups read
 * the input less often. Plans are compared by what `schedule` really places, not by formulas.
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

export interface PlanRequest {
  readonly graph: Graph<'float'>;
  readonly maxTokens: number;
  readonly availableBytes: number;
  readonly regionName: string;
  readonly scratchBytes: ScratchBytes;
}

export interface Planned {
  readonly plan: Plan;
  readonly arenaBytes: number;
}

/** Fastest first. */
const tileRowChoices = [16, 8, 4, 2, 1] as const;

export function choosePlan(request: PlanRequest): Planned {
  const choices = candidates(request.graph);
  const planned = choices.map((plan) => ({ plan, program: sketch(request, plan) }));
  const fitting = planned.find(({ program }) => program.arenaBytes <= request.availableBytes);
  if (fitting !== undefined) {
    return { plan: fitting.plan, arenaBytes: fitting.program.arenaBytes };
  }
  const smallest = planned.reduce((a, b) => (b.program.arenaBytes < a.program.arenaBytes ? b : a));
  throw doesNotFit(request, smallest.program);
}

function candidates(graph: Graph<'float'>): readonly Plan[] {
  const heads = graph.nodes.flatMap((node) => (node.op === 'attention' ? [node.attrs.heads] : []));
  const largest = Math.max(1, ...heads);
  const groupings = Array.from({ length: largest }, (_, index) => index + 1).filter((groups) =>
    heads.every((count) => count % groups === 0),
  );
  const most = groupings.at(-1)!;
  const [tileRows] = tileRowChoices;
  return [
    ...groupings.map((headGroups) => ({ headGroups, tileRows, recomputeInputs: false })),
    ...tileRowChoices.map((rows) => ({ headGroups: most, tileRows: rows, recomputeInputs: true })),
    ...tileRowChoices.map((rows) => ({ headGroups: most, tileRows: rows, recomputeInputs: false })),
  ];
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
  { availableBytes, maxTokens, regionName }: PlanRequest,
  program: Program,
): Lm2mcuError {
  const peak = peakOf(program);
  return userError({
    code: 'does-not-fit',
    message: `${maxTokens} tokens need ${program.arenaBytes.toLocaleString('en-US')} bytes of activation memory, with the smallest plan`,
    where: `region ${regionName}; the peak is in ${peak}`,
    neededBytes: program.arenaBytes,
    availableBytes: Math.max(0, availableBytes),
    hint: `Try --max-tokens ${suggestTokens(program, availableBytes)}, or a --target with more SRAM.`,
  });
}

/** The layer during which most bytes are in use. */
export function peakOf(program: Program): string {
  let call = 0;
  let worst = { bytes: -1, name: '' };
  for (const segment of program.segments) {
    for (const { node } of segment.calls) {
      const bytes = new Map<number, number>();
      for (const buffer of Object.values(program.buffers)) {
        if (buffer.firstCall <= call && call <= buffer.lastCall) {
          bytes.set(buffer.offset, Math.max(bytes.get(buffer.offset) ?? 0, buffer.sizeBytes));
        }
      }
      const sum = [...bytes.values()].reduce((a, b) => a + b, 0);
      if (sum > worst.bytes) worst = { bytes: sum, name: node?.name ?? segment.name };
      call += 1;
    }
  }
  return worst.name;
}

/** Arenas grow linearly with the tokens; rounded down to a multiple of 8. */
function suggestTokens(program: Program, availableBytes: number): number {
  const perToken = program.arenaBytes / program.maxTokens;
  return Math.max(8, Math.floor((availableBytes * 0.97) / perToken / 8) * 8);
}
