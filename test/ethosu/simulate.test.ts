/** The simulator's arithmetic against its definition, and a layer of ours against the interpreter. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { meanScale, scaled } from '../../toolchain/emulate/ethosu/arithmetic.ts';
import { definedSpace, undefinedSpace, writeSpace } from '../../toolchain/emulate/ethosu/memory.ts';
import { simulate } from '../../toolchain/emulate/ethosu/simulate.ts';
import { accelerators } from '../../toolchain/ethosu/accelerators.ts';
import { lint } from '../../toolchain/ethosu/lint.ts';
import type { Rounding } from '../../toolchain/ethosu/operations.ts';
import { scaleOf } from '../../toolchain/ethosu/scales.ts';
import { fixedSequence } from '../../toolchain/integers.ts';
import { requantize } from '../../toolchain/ops/fixed-point.ts';
import { linear } from '../../toolchain/ops/linear.ts';

import { compileFullyConnected } from './fully-connected.ts';

const runs = Number(process.env['LM2MCU_PROPERTY_RUNS'] ?? 60);

/** `(value · scale) / 2^shift` in exact integers, one rounding after the other as the names say. */
function definition(value: bigint, scale: bigint, shift: bigint, rounding: Rounding): bigint {
  const product = value * scale;
  if (shift === 0n) return product;
  const unit = 1n << shift;
  const floor = (a: bigint, b: bigint) => (a - (((a % b) + b) % b)) / b;
  switch (rounding) {
    case 'truncate':
      return product / unit;
    case 'natural':
      return floor(product + unit / 2n, unit);
    case 'tfl': {
      if (shift <= 31n) return floor(product + unit / 2n, unit);
      const first = floor(product + (1n << 30n), 1n << 31n);
      const rest = 1n << (shift - 31n);
      const magnitude = first < 0n ? -first : first;
      const rounded = floor(magnitude + rest / 2n, rest);
      return first < 0n ? -rounded : rounded;
    }
  }
}

const edges = [0, 1, -1, 2 ** 31 - 1, -(2 ** 31), 2 ** 36, -(2 ** 36), 2 ** 36 + 1, 2 ** 39 - 1];
const value = fc.oneof(
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  fc.integer({ min: -(2 ** 39), max: 2 ** 39 - 1 }),
  fc.integer({ min: -300, max: 300 }),
  fc.constantFrom(...edges),
);
const multiplier = fc.oneof(
  fc.nat(2 ** 32 - 1),
  fc.constantFrom(0, 1, 2 ** 31, 2 ** 30, 2 ** 32 - 1),
);
const rounding = fc.constantFrom<Rounding>('tfl', 'truncate', 'natural');

test('scaling is exact for every accumulator, scale, shift and rounding', () => {
  fc.assert(
    fc.property(value, multiplier, fc.nat(63), rounding, (sum, scale, shift, mode) => {
      const exact = definition(BigInt(sum), BigInt(scale), BigInt(shift), mode);
      fc.pre(exact > -(2n ** 53n) && exact < 2n ** 53n);
      // -0 is 0 in memory.
      expect(scaled(sum, { scale, shift }, mode) + 0).toBe(Number(exact));
    }),
    { numRuns: 200 * runs, seed: 1 },
  );
});

test('scaling in "tfl" is requantize of the interpreter', () => {
  const accumulator = fc.integer({ min: -(2 ** 30), max: 2 ** 30 });
  const shift = fc.integer({ min: -31, max: 0 });
  fc.assert(
    fc.property(accumulator, fc.integer({ min: 2 ** 30, max: 2 ** 31 - 1 }), shift, (sum, m, s) => {
      const own = scaled(sum, scaleOf({ multiplier: m, shift: s }), 'tfl');
      expect(own).toBe(requantize(sum, m, s));
    }),
    { numRuns: 100 * runs, seed: 1 },
  );
});

test.each([
  [20, 255],
  [15, 65_535],
])('an operand of ADD counts as shifted left by %i, as TFLite shifts it', (leftShift, most) => {
  const operand = fc.integer({ min: -most, max: most });
  const factor = fc.integer({ min: 2 ** 30, max: 2 ** 31 - 1 });
  fc.assert(
    fc.property(operand, factor, fc.integer({ min: -11, max: 0 }), (value, m, s) => {
      const { scale, shift } = scaleOf({ multiplier: m, shift: s });
      const own = scaled(value, { scale, shift: shift - leftShift }, 'tfl', leftShift);
      // -0 is 0 in memory.
      expect(own + 0).toBe(requantize(value * 2 ** leftShift, m, s));
    }),
    { numRuns: 50 * runs, seed: 1 },
  );
});

test('a mean is rounded as TFLite rounds it', () => {
  const different: string[] = [];
  for (let count = 1; count <= 64; count++) {
    for (let sum = -128 * count; sum <= 127 * count; sum++) {
      const half = Math.trunc(count / 2);
      const expected = Math.trunc((sum > 0 ? sum + half : sum - half) / count);
      if (scaled(sum, meanScale(count), 'tfl') !== expected) different.push(`${sum} / ${count}`);
    }
  }
  expect(different).toEqual([]);
});

test('a fully connected layer gives the bits of the interpreter on every accelerator', () => {
  const side = fc.integer({ min: 1, max: 6 });
  const layer = fc.record({
    accelerator: fc.constantFrom(...Object.values(accelerators)),
    height: side,
    width: side,
    inputs: fc.integer({ min: 1, max: 80 }),
    outputs: fc.integer({ min: 1, max: 70 }),
    blocks: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 }), side),
    hasTable: fc.boolean(),
    seed: fc.nat(),
  });
  let compared = 0;
  fc.assert(
    fc.property(
      layer,
      ({ accelerator, height, width, inputs, outputs, blocks, hasTable, seed }) => {
        const random = fixedSequence(seed);
        const int = (min: number, max: number) => min + Math.floor(random() * (max - min + 1));
        const rows = height * width;
        const { microBlock } = accelerator;
        // Depths of 16 fit every output.
        const block = {
          height: blocks[0] * microBlock.height,
          width: blocks[1] * microBlock.width,
          depth: blocks[2] * 16,
        };
        const weights = Int8Array.from({ length: outputs * inputs }, () => int(-127, 127));
        const multipliers = Int32Array.from({ length: outputs }, () => int(2 ** 30, 2 ** 31 - 1));
        const shifts = Int8Array.from({ length: outputs }, () => int(-12, -4));
        const bias = Int32Array.from({ length: outputs }, () => int(-20_000, 20_000));
        const input = Int8Array.from({ length: rows * inputs }, () => int(-128, 127));
        const inputZeroPoint = int(-128, 127);
        const [min, max] = hasTable ? [-128, 127] : [int(-128, -1), int(0, 127)];
        const table = hasTable ? Int8Array.from({ length: 256 }, () => int(-128, 127)) : null;
        const zeroPoint = int(-20, 20);

        const sums = Int32Array.from({ length: outputs }, (_, o) =>
          weights.subarray(o * inputs, (o + 1) * inputs).reduce((sum, weight) => sum + weight, 0),
        );
        const expected = new Int8Array(rows * outputs);
        const matrix = (
          data: Int8Array<ArrayBuffer> | Int32Array<ArrayBuffer>,
          of: number,
          columns: number,
        ) => ({
          data,
          offset: 0,
          stride: columns,
          rows: of,
          columns,
        });
        linear.evalInteger(
          [
            matrix(input, rows, inputs),
            matrix(weights, outputs, inputs),
            // The interpreter's bias holds the zero point of the input; the NPU subtracts it itself.
            matrix(
              bias.map((b, o) => b - inputZeroPoint * sums[o]!),
              1,
              outputs,
            ),
          ],
          {},
          { multipliers, shifts, zeroPoint, min, max, table },
          matrix(expected, rows, outputs),
          { tokens: rows, rowStart: 0 },
        );

        const compiled = compileFullyConnected({
          accelerator,
          height,
          width,
          inputs,
          outputs,
          block,
          weights,
          scales: Array.from(bias, (b, o) => ({
            bias: b,
            ...scaleOf({ multiplier: multipliers[o]!, shift: shifts[o]! }),
          })),
          inputZeroPoint,
          outputZeroPoint: zeroPoint,
          min,
          max,
          table,
        });
        fc.pre(compiled !== null);
        const { words, constants, outputOffset, arenaBytes } = compiled;
        expect(lint(words, accelerator, { regionBytes: [constants.length, arenaBytes] })).toEqual(
          [],
        );
        const arena = undefinedSpace('the arena', arenaBytes);
        writeSpace(arena, compiled.inputOffset, new Uint8Array(input.buffer));
        simulate(words, accelerator, [definedSpace('constants', constants), arena]);
        const output = new Int8Array(arena.bytes.buffer, outputOffset, rows * outputs);
        expect(output).toEqual(expected);
        compared++;
      },
    ),
    { numRuns: runs, seed: 1 },
  );
  expect(compared).toBeGreaterThan(runs / 2);
});
