/** A linear layer as ops of a stream: written as read, and the bits of its definition at all edges. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { definedSpace } from '../../toolchain/emulate/ethosu/memory.ts';
import { simulate } from '../../toolchain/emulate/ethosu/simulate.ts';
import { type AcceleratorName, accelerators } from '../../toolchain/ethosu/accelerators.ts';
import { flash, sram } from '../../toolchain/ethosu/cost.ts';
import { brickStreams, linearOperation } from '../../toolchain/ethosu/linear-operation.ts';
import { planLinear } from '../../toolchain/ethosu/linear-plan.ts';
import { lint } from '../../toolchain/ethosu/lint.ts';
import type { Operation } from '../../toolchain/ethosu/operations.ts';
import { readOperations } from '../../toolchain/ethosu/read-operations.ts';
import { readStream, wordsOf } from '../../toolchain/ethosu/stream.ts';
import { type WrittenOperation, writeOperations } from '../../toolchain/ethosu/write-operations.ts';
import { fixedSequence } from '../../toolchain/integers.ts';
import { denseMatrix } from '../../toolchain/ir/graph.ts';
import { type LinearInteger, linear } from '../../toolchain/ops/linear.ts';
import { goldens } from './fixtures.ts';

/** Without the ops that the compiler does not emit, and without what only a place in a stream has. */
function writable(operations: readonly Operation[]): readonly WrittenOperation[] {
  return operations.flatMap((operation): readonly WrittenOperation[] => {
    switch (operation.kind) {
      case 'conv':
      case 'depthwise': {
        const { word: _word, missing: _missing, ...rest } = operation;
        return [rest];
      }
      case 'dma': {
        const { word: _word, missing: _missing, ...rest } = operation;
        return [rest];
      }
      case 'dma-wait':
      case 'kernel-wait': {
        const { word: _word, ...rest } = operation;
        return [rest];
      }
      default:
        return [];
    }
  });
}

test('ops of golden streams are read as they are written', () => {
  let compared = 0;
  for (const { stream, model } of goldens) {
    const operations = writable(readOperations(readStream(wordsOf(stream, model))));
    expect(writable(readOperations(readStream(writeOperations(operations))))).toEqual(operations);
    compared += operations.length;
  }
  expect(compared).toBeGreaterThan(100);
});

interface Layer {
  readonly accelerator: AcceleratorName;
  readonly rows: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly isWide: boolean;
  readonly hasTable: boolean;
  readonly isSlow: boolean;
  readonly seed: number;
  /** Of the values: all at an end of the range, or anywhere. */
  readonly isExtreme: boolean;
}

const layers: fc.Arbitrary<Layer> = fc
  .record({
    accelerator: fc.constantFrom(...(Object.keys(accelerators) as AcceleratorName[])),
    rows: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constantFrom(16, 17, 24, 48)),
    inputs: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(64, 96)),
    outputs: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(64, 130)),
    isWide: fc.boolean(),
    hasTable: fc.boolean(),
    isSlow: fc.boolean(),
    seed: fc.nat(2 ** 30),
    isExtreme: fc.boolean(),
  })
  .map((layer) => ({ ...layer, hasTable: layer.hasTable && !layer.isWide }));

/** Multipliers, shifts and biases at the ends of their ranges, and sums that just fit. */
function randomInteger(
  { inputs, outputs, isWide, hasTable, isExtreme, seed }: Layer,
  weights: Int8Array,
) {
  const random = fixedSequence(seed + 1);
  const below = (limit: number) => Math.floor(random() * limit);
  const pick = <T>(items: readonly T[]): T => items[below(items.length)]!;
  const bias = Int32Array.from({ length: outputs }, () =>
    isExtreme ? pick([-(2 ** 30), 2 ** 30, 0, -1]) : below(2 ** 16) - 2 ** 15,
  );
  const multipliers = Int32Array.from({ length: outputs }, () =>
    pick([0, 2 ** 30, 2 ** 31 - 1, 2 ** 30 + below(2 ** 30)]),
  );
  const shifts = Int8Array.from({ length: outputs }, (_, output) => {
    const row = weights.subarray(output * inputs, (output + 1) * inputs);
    const magnitude = row.reduce((sum, weight) => sum + Math.abs(weight), 0);
    const largest = Math.abs(bias[output]!) + magnitude * 128;
    const most = Math.floor(Math.log2((2 ** 31 - 256) / (largest + 1)));
    return Math.min(most, pick([-31, -30, -12, -8, -1, 0, most, 30]));
  });
  const [least, most] = isWide ? [-32768, 32767] : [-128, 127];
  const min = pick([least, least, -5, 0]);
  const integer: LinearInteger = {
    multipliers,
    shifts,
    zeroPoint: isWide ? 0 : pick([-128, 127, 0, 3]),
    min,
    max: pick([most, most, min, min + below(most - min + 1)]),
    table: hasTable ? Int8Array.from({ length: 256 }, () => below(256) - 128) : null,
  };
  return { bias, integer };
}

test('the simulator gives the bits of the definition, and the lint nothing to say', () => {
  fc.assert(
    fc.property(layers, (layer) => {
      const { rows, inputs, outputs, isWide, isSlow, isExtreme, seed } = layer;
      const random = fixedSequence(seed);
      const value = (least: number) =>
        isExtreme ? (random() < 0.5 ? least : 127) : Math.floor(random() * 256) - 128;
      const weights = Int8Array.from({ length: outputs * inputs }, () =>
        Math.max(-127, value(-127)),
      );
      const x = Int8Array.from({ length: rows * inputs }, () => value(-128));
      const { bias, integer } = randomInteger(layer, weights);

      const out = isWide ? new Int16Array(rows * outputs) : new Int8Array(rows * outputs);
      linear.evalInteger(
        [
          denseMatrix(x, rows, inputs),
          denseMatrix(weights, outputs, inputs),
          denseMatrix(bias, 1, outputs),
        ],
        {},
        integer,
        denseMatrix(out, rows, outputs),
        { tokens: rows, rowStart: 0 },
      );
      const found = onNpu(layer, weights, bias, integer, x, isSlow);
      expect(found.findings).toEqual([]);
      expect(found.output).toEqual(new Uint8Array(out.buffer));
    }),
    { numRuns: Number(process.env['LM2MCU_PROPERTY_RUNS'] ?? 60), seed: 3 },
  );
});

function onNpu(
  { accelerator: name, rows, inputs, outputs, isWide, hasTable }: Layer,
  weights: Int8Array,
  bias: Int32Array,
  integer: LinearInteger,
  x: Int8Array,
  isSlow: boolean,
) {
  const accelerator = accelerators[name];
  const outputBytes = isWide ? 2 : 1;
  const shape = { rows, inputs, outputs, outputBytes, hasTable } as const;
  const plan = planLinear(accelerator, shape, isSlow ? flash : sram);
  const [brick] = plan.bricks;
  const streams = brickStreams(accelerator, plan, brick!, { weights, bias, integer });
  const tableBase = streams.weights.length + streams.scales.length;
  const table = integer.table === null ? [] : new Uint8Array(integer.table.buffer);
  const constants = Uint8Array.from([...streams.weights, ...streams.scales, ...table]);
  const tableBank = (accelerator.shramBanks - 2) * 1024;
  const words = writeOperations([
    ...(hasTable
      ? ([
          {
            kind: 'dma',
            source: { region: 0, address: tableBase },
            destination: { region: null, address: tableBank },
            length: 256,
          },
          { kind: 'dma-wait', outstanding: 0 },
        ] as const)
      : []),
    linearOperation(accelerator, plan, brick!, integer, {
      input: { region: 1, base: 0, strideBytes: inputs },
      output: { region: 2, base: 0, strideBytes: outputs * outputBytes },
      weights: { region: 0, base: 0, length: streams.weights.length },
      scales: { region: 0, base: streams.weights.length, length: streams.scales.length },
      table: hasTable ? 0 : null,
    }),
  ]);
  const output = new Uint8Array(rows * outputs * outputBytes);
  const regionBytes = [constants.length, x.length, output.length];
  const findings = lint(words, accelerator, { regionBytes });
  simulate(words, accelerator, [
    definedSpace('the constants', constants),
    definedSpace('x', new Uint8Array(x.buffer)),
    definedSpace('y', output),
  ]);
  return { output, findings };
}
