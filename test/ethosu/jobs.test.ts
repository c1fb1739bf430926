/**
 * The NPU's part of a program: whatever the target has there, and however tiles fall, the program with
 * its jobs in the simulator gives the interpreter's bits.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { interpret } from '../../toolchain/emulate/interpreter.ts';
import { runProgram } from '../../toolchain/emulate/program.ts';
import { type AcceleratorName, accelerators } from '../../toolchain/ethosu/accelerators.ts';
import { flash, sram } from '../../toolchain/ethosu/cost.ts';
import { fixedSequence } from '../../toolchain/integers.ts';
import type { Matrix } from '../../toolchain/ir/graph.ts';
import { narrowKeys } from '../../toolchain/passes/narrow-keys.ts';
import { jobCycles, type NpuTarget } from '../../toolchain/schedule/npu.ts';
import type { Program } from '../../toolchain/schedule/program.ts';
import { schedule } from '../../toolchain/schedule/schedule.ts';
import { storedAs } from '../ir/stored-weights.ts';
import {
  type EncoderShape,
  encoderShapes,
  legalEncoder,
  type PlanShape,
  planShapes,
  randomTokens,
} from '../schedule/encoders.ts';

const runs = Number(process.env['LM2MCU_PROPERTY_RUNS'] ?? 12);

/** `onCore`: layers that the core is faster at, by the letters of their names. */
function npuTarget(
  accelerator: AcceleratorName,
  isSlow: boolean,
  onCore: number,
  canAttend = false,
): NpuTarget {
  return {
    accelerator,
    // Slow enough that bringing weights ahead pays wherever it can.
    weightMemory: isSlow ? { ...flash, readLatency: 0, bytesPerCycle: 0.25 } : sram,
    coreCyclesPerCycle: 1,
    jobCoreCycles: 10,
    attention: canAttend ? { pack: 0, weigh: 0, scale: 0, row: 0 } : null,
    coreCycles: (_graph, { node }) =>
      node.name.length % 4 < onCore ? 0 : Number.POSITIVE_INFINITY,
  };
}

const npuTargets: fc.Arbitrary<NpuTarget> = fc
  .tuple(
    fc.constantFrom(...(Object.keys(accelerators) as AcceleratorName[])),
    fc.boolean(),
    fc.nat(2),
    fc.boolean(),
  )
  .map((choices) => npuTarget(...choices));

interface Seen {
  jobs: number;
  layers: number;
  tables: number;
  staged: number;
  bricks: number;
  attentions: number;
}

const nothing: Seen = { jobs: 0, layers: 0, tables: 0, staged: 0, bricks: 0, attentions: 0 };

test('jobs give the bits of the graph, whatever lies behind the last token', () => {
  const seen: Seen = { ...nothing };
  fc.assert(
    fc.property(encoderShapes, planShapes, npuTargets, (shape, plan, npu) => {
      expect(wrongLengths(shape, plan, npu, seen)).toEqual([]);
    }),
    { numRuns: runs, seed: 5 },
  );
  console.info(`random encoders: ${JSON.stringify(seen)}`);
  const { jobs, layers, tables, attentions } = seen;
  expect(Math.min(jobs, layers - jobs, tables, attentions)).toBeGreaterThan(0);
});

test.each(['ethos-u55-32', 'ethos-u55-64'] as const)(
  'weights that are brought brick by brick give them too, %s',
  (accelerator) => {
    const seen: Seen = { ...nothing };
    expect(wrongLengths(wideShape, widePlan, npuTarget(accelerator, true, 0, true), seen)).toEqual(
      [],
    );
    expect(seen.staged).toBeGreaterThan(1);
    expect(seen.bricks).toBeGreaterThan(1);
    expect(seen.attentions).toBe(1);
  },
);

test('no other division of the layers would take fewer cycles', () => {
  const graph = legalEncoder(wideShape, widePlan);
  const prices = fc.record({
    accelerator: fc.constantFrom(...(Object.keys(accelerators) as AcceleratorName[])),
    jobCoreCycles: fc.integer({ min: 0, max: 3000 }),
    seed: fc.nat(2 ** 30),
  });
  fc.assert(
    fc.property(prices, ({ accelerator, jobCoreCycles, seed }) => {
      /** Of all runs of a layer on the core. */
      const coreCycles: NpuTarget['coreCycles'] = (_graph, { node }) =>
        20_000 * fixedSequence(seed + node.name.length + 7 * node.name.charCodeAt(2))();
      const target = { ...npuTarget(accelerator, false, 0), jobCoreCycles, coreCycles };
      const total = (npu: NpuTarget): number => {
        const program = schedule(graph, {
          ...{ maxTokens: 128, tileRows: 128, recomputeInputs: false, scratchBytes: () => 0, npu },
        });
        const onCore = program.segments.flatMap((segment) =>
          segment.calls.map((call) =>
            call.job !== null || call.node?.op !== 'linear'
              ? 0
              : coreCycles(program.graph, { ...call, node: call.node }, segment, 128),
          ),
        );
        return jobCycles(program, 128, target) + onCore.reduce((sum, one) => sum + one, 0);
      };
      const chosen = total(target);
      // Layers that are free are left to the core, those that take for ever to the NPU.
      for (const mask of divisions) {
        const forced: NpuTarget = {
          ...target,
          coreCycles: (_graph, { node }) => {
            const index = layerNames.indexOf(node.name);
            return (mask >> index) & 1 ? Number.POSITIVE_INFINITY : 0;
          },
        };
        expect(chosen).toBeLessThanOrEqual(total(forced) + 1e-6);
      }
    }),
    { numRuns: 4, seed: 2 },
  );
});

/** Sets of layers on the NPU: none, all, some. */
const divisions = [0, 0b1111111, 0b0000111, 0b1111000, 0b0110011, 0b1010101];
const layerNames = ['0.q', '0.k', '0.v', '0.out', '0.up', '0.down', 'classifier'];

/** So many rows that weights would be read again for each block of them. */
const wideShape: EncoderShape = {
  ...{ layers: 1, heads: 2, headWidth: 32, ffn: 130, activation: 'gelu', head: 'tokens' },
  ...{ outputs: 5, vocabulary: 40, wordTable: null, positionTable: null, maxTokens: 128, seed: 7 },
  storages: [storedAs.float32],
};
const widePlan: PlanShape = {
  ...{ tileRows: 128, absorbed: [0, 0, 0], grouping: [0, 0, 0], features: [], absorbs: false },
  ...{ kernels: 'native', recomputeInputs: false },
};

/** The lengths at which the poisoned program gives other bits than its graph. */
function wrongLengths(
  shape: EncoderShape,
  plan: PlanShape,
  npu: NpuTarget,
  seen: Seen,
): readonly number[] {
  const { maxTokens } = shape;
  const { tileRows, recomputeInputs } = plan;
  const legal = legalEncoder(shape, plan);
  const graph = npu.attention === null ? legal : narrowKeys(legal);
  const options = { maxTokens, tileRows, recomputeInputs, scratchBytes: () => 0, npu };
  const program = schedule(graph, options);
  count(program, seen);
  return [1, 1 + (maxTokens >> 1), maxTokens].filter((length) => {
    const tokens = randomTokens(shape, length);
    const valuesOf = (outputs: readonly Matrix[]) =>
      JSON.stringify(outputs.map(({ data }) => [...data]));
    const expected = valuesOf(interpret(graph, tokens));
    return [0x5a, 0xa5].some(
      (poison) => valuesOf(runProgram(program, tokens, { poison })) !== expected,
    );
  });
}

function count(program: Program, seen: Seen): void {
  seen.attentions += program.npu!.attentions.length;
  for (const { layers, stagedPlaceBytes } of program.npu!.jobs) {
    seen.jobs += 1;
    seen.layers += layers.length;
    seen.staged += stagedPlaceBytes > 0 ? 1 : 0;
    seen.tables += layers.filter(({ hasTable }) => hasTable).length;
    seen.bricks += layers.filter(({ bricks }) => bricks.length > 1).length;
  }
  for (const { offset, sizeBytes } of Object.values(program.buffers)) {
    expect(offset % 16).toBe(0);
    expect(sizeBytes % 16).toBe(0);
  }
}
