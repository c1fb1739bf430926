/** What the scheduler asks of a board's NPU and of the core beside it. */

import { internalError } from '../errors.ts';
import { flash, type MemorySpeed, sram } from '../ethosu/cost.ts';
import { type Graph, type Node, type Stage, tensorOf } from '../ir/graph.ts';
import { type AnyTarget, isEngine, type Npu, regionOf, type Target } from '../targets.ts';
import { callCost, type NodeCall, waitCycles } from './cost.ts';
import type { KernelOf } from './kernels.ts';
import type { AttentionCosts, NpuTarget } from './npu.ts';
import type { ProgramSegment } from './program.ts';

/**
 * For the core to clean the caches, write some fifteen registers, sleep and take the interrupt.
 * Assumed, not measured: no board has been timed.
 */
const jobCoreCycles = 1000;

/**
 * Of kernels/c/npu_attention.c with Helium: instructions of whole inferences under QEMU, with it less
 * without it, at 64 and 128 tokens and heads of 64 columns; within 3 % of both.
 */
const attentionCosts: AttentionCosts = { pack: 3, weigh: 0.7, scale: 3.3, row: 560 };

/** Null: the target has none. */
export function npuOf(target: AnyTarget, kernelOf: KernelOf): NpuTarget | null {
  if (isEngine(target) || target.npu === undefined) return null;
  const { npu, clockHz, core } = target;
  const weights = weightRegion(target, npu);
  return {
    accelerator: npu.accelerator,
    weightMemory: memoryOf(target, weights),
    coreCyclesPerCycle: clockHz / (npu.clockHz ?? clockHz),
    jobCoreCycles,
    attention: npu.runTimeWeights === undefined ? null : attentionCosts,
    coreCycles(
      graph: Graph<Stage>,
      call: NodeCall,
      segment: Pick<ProgramSegment, 'rows' | 'tileRows'>,
      tokens: number,
    ): number {
      const { name } = kernelOf(graph, call.node);
      const constants = { weightBytes: weightsOf(graph, call.node), bytesPerRow: 0 };
      const cost = callCost(graph, call, name, segment, tokens, constants, target);
      return (
        cost.instructions * core.cost.cyclesPerInstruction +
        waitCycles(cost.constantBytesRead, weights, target)
      );
    },
  };
}

/** The first that keeps its content and that the NPU reads: `placeConstants` begins there. */
function weightRegion({ regions }: Target, { reaches }: Npu): string {
  const region = regions.find(
    ({ name, kind, codeOnly }) =>
      !codeOnly && (kind === 'flash' || kind === 'nor') && reaches.includes(name),
  );
  if (region === undefined) throw internalError('the NPU reaches no constants', 'board file');
  return region.name;
}

/** The constants that a linear layer reads for every block of rows, at a byte each. */
function weightsOf(graph: Graph<Stage>, { op, inputs }: Node): number {
  if (op !== 'linear') return 0;
  const [outputs, columns] = tensorOf(graph, inputs[1]!).shape;
  return Number(outputs) * columns;
}

/** Of a region that the core reads a word of in so many cycles; the bus is two words wide. */
export function memoryOf(target: Target, region: string): MemorySpeed {
  const { kind, readCyclesPerWord } = regionOf(target, region);
  if (kind === 'sram' || kind === 'tcm') return sram;
  return { ...flash, bytesPerCycle: Math.min(sram.bytesPerCycle, 4 / readCyclesPerWord) };
}
