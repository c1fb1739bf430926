/**
 * How a linear layer over rows runs on the NPU: as a convolution of 1 × 1 whose places are the rows,
 * laid out as height × width, for in one line half of the multipliers would idle.
 */
import { type Accelerator, inputMicroDepth, type Shape3 } from './accelerators.ts';
import { type ConvolutionWork, type Cycles, chooseBlock, type MemorySpeed } from './cost.ts';
import { scaleStreamBytes } from './scales.ts';

export interface LinearShape {
  readonly rows: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly outputBytes: 1 | 2 | 4;
  readonly hasTable: boolean;
}

export interface LinearPlan extends LinearShape {
  /** `height · width = rows`. */
  readonly height: number;
  readonly width: number;
  readonly block: Shape3;
  readonly isPartKernelFirst: boolean;
  readonly cycles: Cycles;
}

/** The layout, traversal and block of the fewest cycles; of several the squarest layout. */
export function planLinear(
  accelerator: Accelerator,
  shape: LinearShape,
  weightMemory: MemorySpeed,
): LinearPlan {
  const plans = layoutsOf(shape.rows).flatMap((layout) =>
    [false, true].map((isPartKernelFirst): LinearPlan => {
      const work = linearWork(accelerator, shape, layout, isPartKernelFirst, weightMemory);
      return { ...shape, ...layout, isPartKernelFirst, ...chooseBlock(accelerator, work) };
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
  { inputs, outputs, hasTable }: LinearShape,
  { height, width }: Layout,
  isPartKernelFirst: boolean,
  weightMemory: MemorySpeed,
): ConvolutionWork {
  const shape = { inputs, outputs, isPartKernelFirst };
  return {
    output: { height, width, depth: outputs },
    inputDepth: inputs,
    inputBytes: 1,
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

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}
