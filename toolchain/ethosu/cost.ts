/**
 * Cycles of an op for a block, and the block that needs the fewest: an estimate, not a measurement.
 *
 * The formulas and constants are those of Vela 5.1's `ethos_u55_performance.cpp`; memories are those of
 * its `Ethos_U55_High_End_Embedded`. `test/ethosu/cost.test.ts` compares with what Vela prints.
 */
import { roundUp } from '../integers.ts';
import type { Accelerator, Shape3 } from './accelerators.ts';
import { type BlockUse, inputBlockDepth, layOut, mostBlock, splitDepth } from './shram.ts';
import { subKernelLimit } from './weight-order.ts';

/** As the NPU sees it: 500 MHz, 64 bits wide. */
export interface MemorySpeed {
  readonly bytesPerCycle: number;
  readonly readLatency: number;
  readonly writeLatency: number;
  readonly burstBytes: number;
}

export const sram: MemorySpeed = {
  bytesPerCycle: 8,
  readLatency: 32,
  writeLatency: 32,
  burstBytes: 32,
};
export const flash: MemorySpeed = {
  bytesPerCycle: 1,
  readLatency: 64,
  writeLatency: 0,
  burstBytes: 128,
};

/** A convolution over all channels, without dilation; a fully connected layer has a kernel of 1 × 1. */
export interface ConvolutionWork {
  readonly output: Shape3;
  readonly inputDepth: number;
  readonly inputBytes: 1 | 2;
  readonly outputBytes: 1 | 2 | 4;
  readonly kernel: BlockUse['kernel'];
  readonly stride: BlockUse['stride'];
  readonly isPartKernelFirst: boolean;
  readonly accumulator: 'int32' | 'int40';
  readonly activation: 'none' | 'clip' | 'table';
  /** Encoded, with the scale records. */
  readonly weightBytes: number;
  readonly weightMemory: MemorySpeed;
}

export interface Cycles {
  readonly mac: number;
  /** Scaling and writing of results. */
  readonly output: number;
  /** Both, as they overlap, with the first input and the last output. */
  readonly npu: number;
  /** Inputs, read again for every block of channels, and outputs: both in SRAM. */
  readonly activations: number;
  /** Weights, read again for every block of rows and columns. */
  readonly weights: number;
  /** The longest of the array's and each memory's. */
  readonly total: number;
}

/** Cycles an element of output takes, at least. */
export const outputCycles = {
  32: { scaled: 2, wide: 3, clip: 1, table: 1 },
  64: { scaled: 1, wide: 1.5, clip: 1, table: 1 },
  128: { scaled: 0.5, wide: 0.75, clip: 0.5, table: 1 },
  256: { scaled: 0.25, wide: 0.375, clip: 0.25, table: 1 },
} as const satisfies Record<number, Readonly<Record<'scaled' | 'wide' | 'clip' | 'table', number>>>;

const scaleRecordBytes = 10;
/** Commands of a block may be issued while so many blocks are in the pipeline. */
const blocksInPipeline = 4;

export function convolutionCycles(
  accelerator: Accelerator,
  work: ConvolutionWork,
  block: Shape3,
): Cycles {
  const clipped = least(block, work.output);
  const micro = microBlockOf(accelerator, work);
  const microInBlock = volume(divided(clipped, micro));
  const blocks = volume(divided(work.output, micro)) / microInBlock;
  const mac = macCyclesOfBlock(accelerator, work, clipped, micro);
  const perElement = outputCyclesOfElement(accelerator, work);
  const records = (scaleRecordBytes * clipped.depth * work.weightMemory.readLatency) / 256;
  const output = Math.max(Math.ceil(perElement * volume(clipped)), records);

  const input = firstInputCycles(work, block);
  const last = lastOutputCycles(work, block);
  const issue = ((blocks > 1 ? Math.abs(last - input) : 0) + mac + output) / blocksInPipeline;
  const [macBalanced, outputBalanced] = [Math.max(mac, issue), Math.max(output, issue)];
  const overlapped =
    macBalanced > outputBalanced
      ? Math.floor(macBalanced * blocks) + outputBalanced
      : Math.floor(outputBalanced * blocks + macBalanced);
  const npu = overlapped + last + input;

  const times = divided(work.output, block);
  const spatial = times.height * times.width;
  const weights = (work.weightBytes * spatial) / work.weightMemory.bytesPerCycle;
  const activations = activationCycles(work, block, volume(times));
  const isShared = work.weightMemory === sram;
  return {
    mac: mac * blocks,
    output: output * blocks,
    npu,
    activations,
    weights,
    total: Math.max(npu, isShared ? activations + weights : Math.max(activations, weights)),
  };
}

function activationCycles(work: ConvolutionWork, block: Shape3, blocks: number): number {
  const { kernel, inputDepth, inputBytes, output } = work;
  const { height, width } = inputOf(work, block);
  const subKernels =
    Math.ceil(kernel.height / subKernelLimit) * Math.ceil(kernel.width / subKernelLimit);
  const read = height * width * inputDepth * inputBytes * subKernels * blocks;
  const transferred =
    (read * sram.burstBytes) / inputBurst(work, block) +
    (volume(output) * work.outputBytes * sram.burstBytes) / outputBurst(work, block);
  return Math.floor(transferred / sram.bytesPerCycle);
}

/** With an output of one row, the 256-MAC parts take four columns of one row at a time. */
function microBlockOf({ microBlock }: Accelerator, work: ConvolutionWork): Shape3 {
  const { output, kernel } = work;
  const isRow = output.height === 1 && output.width % 2 === 0 && kernel.height === 1;
  return microBlock.height === 2 && isRow
    ? { height: 1, width: 4, depth: microBlock.depth }
    : microBlock;
}

function macCyclesOfBlock(
  { macsPerCycle }: Accelerator,
  work: ConvolutionWork,
  block: Shape3,
  micro: Shape3,
): number {
  const { kernel, inputBytes, isPartKernelFirst } = work;
  const counts = divided(block, micro);
  const places = counts.height * counts.width;
  const inputDepth = Math.min(work.inputDepth, inputBlockDepth(useOf(work, block)));
  const inputSteps = isPartKernelFirst ? Math.ceil(inputDepth / 8) : 1;
  // Weights of a micro block's channels arrive in so many cycles.
  const weightCycles = (32 * micro.depth) / 8;
  let cycles = 0;
  for (let x = 0; x < kernel.width; x += subKernelLimit) {
    for (let y = 0; y < kernel.height; y += subKernelLimit) {
      const taps =
        Math.min(kernel.height - y, subKernelLimit) * Math.min(kernel.width - x, subKernelLimit);
      const steps = isPartKernelFirst ? Math.ceil(taps / (inputBytes === 2 ? 2 : 4)) : taps;
      cycles += Math.max(weightCycles, 4 * places) * steps * counts.depth * inputSteps;
      cycles += delayCycles(macsPerCycle, work, places, counts.depth, steps) * inputSteps;
    }
  }
  return cycles * Math.ceil(work.inputDepth / inputDepth);
}

/** The pipeline's bubbles where a block has one place only. */
function delayCycles(
  macs: number,
  { accumulator }: ConvolutionWork,
  places: number,
  depth: number,
  steps: number,
): number {
  const wide = accumulator === 'int40';
  const delay = macs === 32 ? (wide ? 7 : 3) : wide && macs <= 128 ? 3 : 2;
  if (places > 1) return 0;
  if (depth === 1) return delay * steps;
  return steps > 1 ? delay * (steps - 1) * depth : 0;
}

function outputCyclesOfElement(
  { macsPerCycle }: Accelerator,
  { accumulator, activation }: ConvolutionWork,
): number {
  const row = outputCycles[macsPerCycle as keyof typeof outputCycles];
  const scaled = accumulator === 'int40' ? row.wide : row.scaled;
  return activation === 'none' ? scaled : Math.max(scaled, row[activation]);
}

function firstInputCycles(work: ConvolutionWork, block: Shape3): number {
  const { height, width } = inputOf(work, block);
  const depth = Math.min(work.inputDepth, inputBlockDepth(useOf(work, block)));
  const bytes =
    height * width * depth * work.inputBytes * (sram.burstBytes / inputBurst(work, block));
  return sram.readLatency + Math.floor(bytes / sram.bytesPerCycle);
}

function lastOutputCycles(work: ConvolutionWork, block: Shape3): number {
  const { output } = work;
  const written = volume(least(block, output)) * work.outputBytes;
  const bytes = written * (sram.burstBytes / outputBurst(work, block));
  return sram.writeLatency + Math.floor(bytes / sram.bytesPerCycle);
}

/** Rows and columns that a block reads of an input padded to the output's size. */
function inputOf(work: ConvolutionWork, block: Shape3) {
  const { kernel, stride, output } = work;
  return {
    height: Math.min(inputSide(block.height, stride.y, kernel.height), output.height * stride.y),
    width: Math.min(inputSide(block.width, stride.x, kernel.width), output.width * stride.x),
  };
}

function inputSide(outputs: number, step: number, taps: number): number {
  return (outputs - 1) * step + Math.min(taps, subKernelLimit);
}

/** Consecutive bytes of a tensor in NHWC that a block reads or writes, up to a burst. */
function inputBurst(work: ConvolutionWork, block: Shape3): number {
  const { inputDepth, inputBytes, kernel, stride } = work;
  const blockDepth = inputBlockDepth(useOf(work, block));
  const run = inputDepth === blockDepth ? inputSide(block.width, stride.x, kernel.width) : 1;
  return Math.min(sram.burstBytes, inputBytes * blockDepth * run);
}

function outputBurst({ output, outputBytes }: ConvolutionWork, block: Shape3): number {
  const isWhole = output.depth === block.depth && block.depth <= 16;
  const run = isWhole ? block.depth * block.width : Math.min(16, block.depth);
  return Math.min(sram.burstBytes, run * outputBytes);
}

/** Of a transfer between two memories, whose slower one decides. */
export function dmaCycles(bytes: number, from: MemorySpeed, to: MemorySpeed): number {
  return Math.max(
    from.readLatency + bytes / from.bytesPerCycle,
    to.writeLatency + bytes / to.bytesPerCycle,
  );
}

export interface ChosenBlock {
  readonly block: Shape3;
  readonly cycles: Cycles;
}

/** The block of the fewest cycles; of several the one with the fewest blocks, then the first. */
export function chooseBlock(accelerator: Accelerator, work: ConvolutionWork): ChosenBlock {
  let best: ChosenBlock | null = null;
  for (const block of legalBlocks(accelerator, work)) {
    const cycles = convolutionCycles(accelerator, work, block);
    const isBetter =
      best === null ||
      cycles.total < best.cycles.total ||
      (cycles.total === best.cycles.total && volume(block) > volume(best.block));
    if (isBetter) best = { block, cycles };
  }
  // The smallest block of all fits every accelerator.
  return best!;
}

function legalBlocks(accelerator: Accelerator, work: ConvolutionWork): readonly Shape3[] {
  const { microBlock } = accelerator;
  const { output } = work;
  const sizes = (axis: 'height' | 'width') => {
    // Four columns of one row are made at a time: other widths leave some of them idle.
    const micro = Math.max(microBlock[axis], microBlockOf(accelerator, work)[axis]);
    const most = Math.min(mostBlock[axis], roundUp(output[axis], micro));
    return steps(micro, most, micro);
  };
  const whole = roundUp(output.depth, microBlock.depth);
  const depths = [
    ...steps(splitDepth, Math.min(mostBlock.depth, whole), splitDepth),
    ...(whole <= mostBlock.depth && whole % splitDepth !== 0 ? [whole] : []),
  ];
  return depths.flatMap((depth) =>
    sizes('height').flatMap((height) =>
      sizes('width')
        .map((width) => ({ height, width, depth }))
        .filter((block) => layOut(accelerator, useOf(work, block)) !== null),
    ),
  );
}

function useOf(work: ConvolutionWork, block: Shape3): BlockUse {
  return {
    kind: 'conv',
    block,
    inputDepth: work.inputDepth,
    inputBytes: work.inputBytes,
    kernel: work.kernel,
    stride: work.stride,
    isPartKernelFirst: work.isPartKernelFirst,
    upscale: 'none',
    accumulator: work.accumulator,
    usesTable: work.activation === 'table',
    hasSecondInput: false,
    accumulatorRows: block.height,
  };
}

function steps(first: number, last: number, step: number): readonly number[] {
  const count = Math.max(0, Math.floor((last - first) / step) + 1);
  return Array.from({ length: count }, (_, i) => first + i * step);
}

function least(a: Shape3, b: Shape3): Shape3 {
  return {
    height: Math.min(a.height, b.height),
    width: Math.min(a.width, b.width),
    depth: Math.min(a.depth, b.depth),
  };
}

function divided(a: Shape3, b: Shape3): Shape3 {
  return {
    height: Math.ceil(a.height / b.height),
    width: Math.ceil(a.width / b.width),
    depth: Math.ceil(a.depth / b.depth),
  };
}

function volume({ height, width, depth }: Shape3): number {
  return height * width * depth;
}
