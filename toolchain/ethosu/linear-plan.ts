/**
 * How a linear layer over rows runs on the NPU: as a convolution of 1 × 1 whose places are the rows,
 * laid out as height × width, for in one line half of the multipliers would idle.
 */
import { roundUp } from '../integers.ts';
import { type Accelerator, inputMicroDepth, type Shape3 } from './accelerators.ts';
import {
  type ConvolutionWork,
  type Cycles,
  chooseBlock,
  convolutionCycles,
  dmaCycles,
  type MemorySpeed,
  sram,
} from './cost.ts';
import { scaleStreamBytes } from './scales.ts';

export interface LinearShape {
  readonly rows: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly outputBytes: 1 | 2 | 4;
  readonly hasTable: boolean;
}

/** Output channels of a layer, made by one op with weights of its own. */
export interface Brick {
  readonly first: number;
  readonly count: number;
}

export interface LinearPlan extends LinearShape {
  /** `height · width = rows`. */
  readonly height: number;
  readonly width: number;
  readonly block: Shape3;
  readonly isPartKernelFirst: boolean;
  /** One where the weights are read from where they lie. */
  readonly bricks: readonly Brick[];
  readonly cycles: Cycles;
}

/**
 * The layout, traversal and block of the fewest cycles; of several the squarest layout. `traversals`:
 * whether the kernel's part may come first.
 */
export function planLinear(
  accelerator: Accelerator,
  shape: LinearShape,
  weightMemory: MemorySpeed,
  traversals: readonly boolean[] = [false, true],
): LinearPlan {
  const plans = layoutsOf(shape.rows).flatMap((layout) =>
    traversals.map((isPartKernelFirst): LinearPlan => {
      const work = linearWork(accelerator, shape, layout, isPartKernelFirst, weightMemory);
      const bricks = [{ first: 0, count: shape.outputs }];
      return { ...shape, ...layout, isPartKernelFirst, bricks, ...chooseBlock(accelerator, work) };
    }),
  );
  return plans.reduce((best, plan) => (plan.cycles.total < best.cycles.total ? plan : best));
}

interface Layout {
  readonly height: number;
  readonly width: number;
}

/** Squarest first. */
function layoutsOf(rows: number): readonly Layout[] {
  return Array.from({ length: rows }, (_, index) => index + 1)
    .filter((height) => rows % height === 0)
    .map((height) => ({ height, width: rows / height }))
    .sort((a, b) => Math.abs(a.height - a.width) - Math.abs(b.height - b.width));
}

function linearWork(
  accelerator: Accelerator,
  { inputs, outputs, outputBytes, hasTable }: LinearShape,
  { height, width }: Layout,
  isPartKernelFirst: boolean,
  weightMemory: MemorySpeed,
): ConvolutionWork {
  const shape = { inputs, outputs, isPartKernelFirst };
  return {
    output: { height, width, depth: outputs },
    inputDepth: inputs,
    inputBytes: 1,
    outputBytes,
    kernel: { height: 1, width: 1 },
    stride: { y: 1, x: 1 },
    isPartKernelFirst,
    accumulator: 'int32',
    activation: hasTable ? 'table' : 'clip',
    weightBytes: plainWeightBytes(accelerator, shape) + scaleStreamBytes(outputs),
    weightMemory,
  };
}

/** A byte for every weight that the op takes, zeros of the traversal included. */
export function plainWeightBytes(
  { microBlock }: Accelerator,
  {
    inputs,
    outputs,
    isPartKernelFirst,
  }: Pick<LinearPlan, 'inputs' | 'outputs' | 'isPartKernelFirst'>,
): number {
  // One tap is taken as four where the kernel's taps come first.
  const perOutput = isPartKernelFirst
    ? 4 * roundUp(inputs, inputMicroDepth)
    : roundUp(inputs, 4 * inputMicroDepth);
  return perOutput * roundUp(outputs, microBlock.depth);
}

/**
 * Layers one after the other whose weights a DMA brings to fast memory, brick by brick: while one is
 * in use the next is on its way, and then takes the place of the one before.
 */
export interface StagedLinears {
  readonly layers: readonly LinearPlan[];
  /** Of each of the two places. */
  readonly placeBytes: number;
  readonly cycles: number;
}

/** The size of bricks with the fewest cycles; of several the smallest. `plans`: with weights in SRAM. */
export function stageLinears(
  accelerator: Accelerator,
  plans: readonly LinearPlan[],
  weightMemory: MemorySpeed,
): StagedLinears {
  const ways = [1, 2, 4, 8, 32].map((blocks) => {
    const layers = plans.map((plan) => ({ ...plan, bricks: bricksOf(plan, blocks) }));
    const steps = layers.flatMap((plan) => plan.bricks.map((brick) => ({ plan, brick })));
    const bytes = steps.map(({ plan, brick }) => stagedBytes(accelerator, plan, brick));
    const cycles = pipelineCycles(
      bytes.map((length) => dmaCycles(length, weightMemory, sram)),
      steps.map(({ plan, brick }) => brickCycles(accelerator, plan, brick)),
    );
    return { layers, placeBytes: Math.max(...bytes), cycles };
  });
  return ways.reduce((best, way) => (way.cycles < best.cycles ? way : best));
}

function bricksOf({ outputs, block }: LinearPlan, blocks: number): readonly Brick[] {
  const depth = blocks * block.depth;
  return Array.from({ length: Math.ceil(outputs / depth) }, (_, index) => ({
    first: index * depth,
    count: Math.min(depth, outputs - index * depth),
  }));
}

/** No stream of a brick's weights is longer: some headers, and never more than a byte a weight. */
function stagedBytes(accelerator: Accelerator, plan: LinearPlan, { count }: Brick): number {
  const weights = plainWeightBytes(accelerator, { ...plan, outputs: count });
  return roundUp(weights + (weights >> 8) + 32, 16) + scaleStreamBytes(count);
}

function brickCycles(accelerator: Accelerator, plan: LinearPlan, { count }: Brick): number {
  const shape = { ...plan, outputs: count };
  const work = linearWork(accelerator, shape, plan, plan.isPartKernelFirst, sram);
  return convolutionCycles(accelerator, work, plan.block).total;
}

/** Transfer i waits for op i − 2, whose place it takes; op i for transfer i. */
function pipelineCycles(transfers: readonly number[], ops: readonly number[]): number {
  const opEnds: number[] = [];
  let transferEnd = 0;
  for (const [index, transfer] of transfers.entries()) {
    transferEnd = Math.max(transferEnd, opEnds[index - 2] ?? 0) + transfer;
    opEnds.push(Math.max(transferEnd, opEnds[index - 1] ?? 0) + ops[index]!);
  }
  return opEnds.at(-1)!;
}
