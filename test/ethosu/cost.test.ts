/** The cost model against what Vela 5.1 prints for the fixtures' models; the block that it chooses. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type AcceleratorName, accelerators } from '../../toolchain/ethosu/accelerators.ts';
import {
  type ConvolutionWork,
  chooseBlock,
  convolutionCycles,
  flash,
  sram,
} from '../../toolchain/ethosu/cost.ts';
import { lint } from '../../toolchain/ethosu/lint.ts';
import { columnProductCycles } from '../bench/column-product.ts';
import { compileFullyConnected } from './fully-connected.ts';

const fullyConnected: ConvolutionWork = {
  output: { height: 1, width: 1, depth: 32 },
  inputDepth: 64,
  inputBytes: 1,
  outputBytes: 1,
  kernel: { height: 1, width: 1 },
  stride: { y: 1, x: 1 },
  isPartKernelFirst: false,
  accumulator: 'int32',
  // Vela counts an op without activation like one with a table.
  activation: 'table',
  weightBytes: 2144,
  weightMemory: flash,
};

type Golden = readonly [
  name: string,
  work: ConvolutionWork,
  block: readonly number[],
  accelerator: AcceleratorName,
  npu: number,
  activations: number,
  total: number,
];
const shape = ([height, width, depth]: readonly number[]) => ({
  height: height!,
  width: width!,
  depth: depth!,
});
const conv1x1: ConvolutionWork = {
  ...fullyConnected,
  output: shape([8, 8, 32]),
  inputDepth: 16,
  activation: 'clip',
  weightBytes: 896,
};
const conv3x3: ConvolutionWork = {
  ...fullyConnected,
  output: shape([10, 10, 16]),
  inputDepth: 8,
  kernel: { height: 3, width: 3 },
  isPartKernelFirst: true,
  weightBytes: 1360,
};
const perch: ConvolutionWork = {
  ...fullyConnected,
  output: shape([1, 1, 40]),
  inputDepth: 96,
  weightBytes: 4256,
};
const sparse: ConvolutionWork = {
  ...fullyConnected,
  output: shape([2, 4, 64]),
  inputDepth: 128,
  weightBytes: 2560,
};

/** Columns "NPU", "SRAM AC" and "Op Cycles" of Vela's table of operators. */
const goldens: readonly Golden[] = [
  ['fc_64x32', fullyConnected, [1, 2, 32], 'ethos-u55-128', 416, 16, 2144],
  ['fc_64x32', fullyConnected, [2, 2, 32], 'ethos-u55-256', 416, 16, 2144],
  ['fc_perch_96x40', perch, [1, 2, 40], 'ethos-u55-128', 703, 22, 4256],
  ['fc_perch_96x40', perch, [2, 2, 40], 'ethos-u55-256', 703, 22, 4256],
  ['fc_sparse_128x64', sparse, [2, 4, 64], 'ethos-u55-128', 1760, 256, 2560],
  ['fc_sparse_128x64', sparse, [2, 4, 64], 'ethos-u55-256', 1760, 256, 2560],
  ['conv1x1', conv1x1, [8, 8, 32], 'ethos-u55-128', 2240, 640, 2240],
  ['conv1x1', conv1x1, [8, 8, 32], 'ethos-u55-256', 1472, 640, 1472],
  ['conv3x3', conv3x3, [10, 10, 16], 'ethos-u55-128', 3164, 300, 3164],
  ['conv3x3', conv3x3, [10, 10, 16], 'ethos-u55-256', 2564, 300, 2564],
];

test.each(goldens)('%s', (_name, work, block, accelerator, npu, activations, total) => {
  const cycles = convolutionCycles(accelerators[accelerator], work, shape(block));
  expect(cycles).toMatchObject({ npu, activations, total });
});

test('a product of two activations, column by column, takes what Vela prints within 1 %', () => {
  const ofHead = { rows: 64, depth: 32, columns: 64 };
  const cycles = 4 * columnProductCycles(accelerators['ethos-u55-256'], ofHead);
  expect(Math.abs(cycles / 571_000 - 1)).toBeLessThan(0.01);
});

test('the block that is chosen is legal, and works within the peak', () => {
  const side = fc.integer({ min: 1, max: 16 });
  const depth = fc.constantFrom(2, 24, 32, 64, 128, 512);
  const layers = fc.record({
    accelerator: fc.constantFrom(...Object.values(accelerators)),
    height: side,
    width: side,
    inputs: depth,
    outputs: depth,
  });
  fc.assert(
    fc.property(layers, ({ accelerator, height, width, inputs, outputs }) => {
      const work: ConvolutionWork = {
        ...fullyConnected,
        output: { height, width, depth: outputs },
        inputDepth: inputs,
        activation: 'none',
        weightBytes: inputs * outputs,
        weightMemory: sram,
      };
      const { block, cycles } = chooseBlock(accelerator, work);
      const compiled = compileFullyConnected({
        accelerator,
        height,
        width,
        inputs,
        outputs,
        block,
        weights: new Int8Array(inputs * outputs),
        scales: Array.from({ length: outputs }, () => ({ bias: 0, scale: 2 ** 30, shift: 40 })),
        inputZeroPoint: 0,
        outputZeroPoint: 0,
        min: -128,
        max: 127,
        table: null,
      })!;
      const regionBytes = [compiled.constants.length, compiled.arenaBytes];
      expect(lint(compiled.words, accelerator, { regionBytes })).toEqual([]);
      // Peak: no block does more than the array's products a cycle.
      const macs = height * width * inputs * outputs;
      expect(macs / cycles.mac).toBeLessThanOrEqual(accelerator.macsPerCycle);
      expect(cycles.total).toBeGreaterThanOrEqual(Math.max(cycles.mac, cycles.weights));
    }),
    { numRuns: 30, seed: 1 },
  );
});
