/** Selection, scratch and packing by the rows of kernels.json. */
import { existsSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ops } from '../../toolchain/ops/index.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import {
  loadKernels,
  packWeights,
  scratchBytes,
  selectKernel,
} from '../../toolchain/schedule/kernels.ts';

const table = loadKernels();

test('every file exists', () => {
  const files = [...table.headers, ...table.kernels.map(({ file }) => file)];
  expect(files.filter((file) => !existsSync(packagePath('kernels', file)))).toEqual([]);
});

test('the best variant a core can run is selected', () => {
  const select = (features: readonly string[]) =>
    selectKernel(table, 'linear', 'int8', features).name;
  expect(select([])).toBe('lm_linear_s8_s8');
  expect(select(['fpu', 'dsp'])).toBe('lm_linear_s8_s8_dsp');
  expect(select(['dsp', 'spare-flash'])).toBe('lm_linear_triples_s8_s8_dsp');
  expect(select(['mve', 'dsp', 'fpu', 'caches'])).toBe('lm_linear_s8_s8_mve');
  expect(selectKernel(table, 'mean_rows', 'int16', ['dsp', 'mve']).name).toBe(
    'lm_mean_rows_s8_s16',
  );
});

test('an unknown kernel is our bug', () => {
  expect(() => selectKernel(table, 'convolution', 'int8', [])).toThrow(
    'no kernel computes convolution to int8',
  );
});

test('every family of the table belongs to an op', () => {
  const families = new Set(Object.values(ops).map(({ kernel }) => kernel));
  expect(table.kernels.filter(({ family }) => !families.has(family))).toEqual([]);
});

test('scratch follows the shape', () => {
  const scratch = (family: string, features: readonly string[], input: 'int8' | 'int16' = 'int8') =>
    scratchBytes(
      selectKernel(table, family, family === 'attend_inputs' ? 'int16' : 'int8', features, {
        input,
      }),
      { inputs: 128, outputs: 64, columns: 64, tokens: 100 },
    );
  expect(scratch('linear', [])).toBe(0);
  expect(scratch('linear', ['dsp'])).toBe(256 + 4 * 128);
  expect(scratch('attend_inputs', ['dsp'], 'int16')).toBe(512 + 8 * 64);
  expect(scratch('attention', [])).toBe(100);
  expect(scratch('attention', ['dsp'])).toBe(4 + 8 * 128 + 4 * 100);
  expect(scratch('attention', ['mve'])).toBe(93 + 3 * 100);
});

test('row-major weights stay as they are', () => {
  const weights = Int8Array.of(1, 2, 3, 4, 5, 6);
  expect(packWeights(selectKernel(table, 'linear', 'int8', []), weights, 2, 3)).toEqual(weights);
});

test('bands of 64 outputs, in them groups of 32 inputs, filled up with zeros', () => {
  const kernel = selectKernel(table, 'linear', 'int8', ['dsp', 'mve']);
  const [outputs, inputs] = [67, 37];
  const weights = Int8Array.from({ length: outputs * inputs }, (_, i) => (i % 251) - 125);
  const expected: number[] = [];
  for (const [band, outputsOfBand] of [
    [0, 64],
    [64, 4],
  ] as const) {
    for (const group of [0, 32]) {
      for (let output = band; output < band + outputsOfBand; output++) {
        for (let input = group; input < group + 32; input++) {
          const exists = output < outputs && input < inputs;
          expected.push(exists ? weights[output * inputs + input]! : 0);
        }
      }
    }
  }
  expect([...packWeights(kernel, weights, outputs, inputs)]).toEqual(expected);
});

test('pairs of outputs as halfwords low + 256 * high, inputs in the order of SXTB16', () => {
  const kernel = selectKernel(table, 'linear', 'int8', ['dsp']);
  for (const [outputs, inputs] of [
    [4, 32],
    [5, 37],
    [1, 1],
    [2, 512],
  ] as const) {
    const weights = Int8Array.from({ length: outputs * inputs }, (_, i) => ((i * 89) % 255) - 127);
    const padded = Math.ceil(inputs / 32) * 32;
    const packed = packWeights(kernel, weights, outputs, inputs);
    expect(packed.length).toBe(Math.ceil(outputs / 4) * 4 * padded);
    const halves = new DataView(packed.buffer);
    for (let half = 0; half < packed.length / 2; half++) {
      // Four inputs of a pair, then those of the pair beside it.
      const [four, within] = [Math.floor(half / 8), half % 8];
      const input = 4 * (four % (padded / 4)) + [0, 2, 1, 3][within % 4]!;
      const output = 4 * Math.floor(four / (padded / 4)) + (within < 4 ? 0 : 2);
      const low = halves.getInt8(2 * half);
      const high = (halves.getInt16(2 * half, true) - low) / 256;
      const weightOf = (o: number) =>
        o < outputs && input < inputs ? weights[o * inputs + input] : 0;
      expect([low, high]).toEqual([weightOf(output), weightOf(output + 1)]);
    }
  }
});

test('rows too long for the sums of pairs stay rows, and -128 is no weight', () => {
  const kernel = selectKernel(table, 'linear', 'int8', ['dsp']);
  const long = new Int8Array(8193).fill(3);
  expect(packWeights(kernel, long, 1, 8193)).toEqual(long);
  expect(() => packWeights(kernel, Int8Array.of(-1, -128), 2, 1)).toThrow('-128');
});

test('triples of four outputs as halfwords low + 256 * high of neighbours', () => {
  const kernel = selectKernel(table, 'linear', 'int8', ['dsp', 'spare-flash']);
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 40 }),
      (outputs, inputs) => {
        const weights = Int8Array.from(
          { length: outputs * inputs },
          (_, i) => ((i * 89) % 255) - 127,
        );
        const weightOf = (o: number, i: number): number =>
          o < outputs && i < inputs ? weights[o * inputs + i]! : 0;
        const packed = packWeights(kernel, weights, outputs, inputs);
        const padded = Math.ceil(inputs / 16) * 16;
        expect(packed.length).toBe(Math.ceil(outputs / 4) * 6 * padded);
        const halves = new DataView(packed.buffer);
        for (let half = 0; half < packed.length / 2; half++) {
          // Two inputs of each of three neighbours, of inputs 0 and 2 and then of 1 and 3.
          const [pair, within] = [Math.floor(half / 6), half % 6];
          const [fours, at] = [Math.floor(pair / (padded / 2)), pair % (padded / 2)];
          const input = 4 * (at >> 1) + (at & 1) + 2 * (within & 1);
          const output = 4 * fours + (within >> 1);
          expect(halves.getInt16(2 * half, true)).toBe(
            weightOf(output, input) + 256 * weightOf(output + 1, input),
          );
        }
      },
    ),
  );
  expect(() => packWeights(kernel, Int8Array.of(0, -128), 2, 1)).not.toThrow();
  expect(() => packWeights(kernel, Int8Array.of(-1, -128), 2, 1)).toThrow('-128');
});

/** What a packing of int4 says of weight (output, input). */
const readers: Readonly<
  Record<string, (packed: Int8Array, inputs: number, output: number, input: number) => number>
> = {
  nibbles: (packed, inputs, output, input) => {
    const byte = packed[output * Math.ceil(inputs / 2) + (input >> 1)]!;
    return input % 2 === 0 ? (byte << 28) >> 28 : byte >> 4;
  },
  'nibble-pairs': (packed, inputs, output, input) =>
    halfOf(packed[(output >> 1) * inputs + input]!, output),
  'offset-nibble-pairs': (packed, inputs, output, input) => {
    const byte = packed[(output >> 1) * (Math.ceil(inputs / 32) * 32) + input]!;
    return output % 2 === 0 ? (byte & 15) - 8 : byte >> 4;
  },
};

/** Of low + 16 · high. */
function halfOf(byte: number, output: number): number {
  const low = (byte << 28) >> 28;
  return output % 2 === 0 ? low : (byte - low) / 16;
}

test.each([
  ['portable', 'int8', [], 'nibbles'],
  ['dsp', 'int8', ['dsp'], 'offset-nibble-pairs'],
  ['dsp', 'int16', ['dsp'], 'offset-nibble-pairs'],
  ['mve', 'int16', ['dsp', 'mve'], 'nibble-pairs'],
] as const)('%s kernels of %s rows read int4 weights as they were', (_, input, features, name) => {
  const kernel = selectKernel(table, 'linear', 'int8', features, { input, weights: 'int4' });
  expect(kernel.weights).toBe(name);
  for (const [outputs, inputs] of shapesOfInt4) {
    const weights = int4Weights(outputs, inputs);
    const packed = packWeights(kernel, weights, outputs, inputs);
    const found = weights.map((_, index) =>
      readers[name]!(packed, inputs, Math.floor(index / inputs), index % inputs),
    );
    expect([...found]).toEqual([...weights]);
  }
});

const shapesOfInt4 = [
  [1, 1],
  [2, 32],
  [5, 37],
  [67, 37],
] as const;

function int4Weights(outputs: number, inputs: number) {
  return Int8Array.from({ length: outputs * inputs }, (_, i) => ((i * 11) % 15) - 7);
}

test('bands of int4 are the bands of int8 with two outputs a byte', () => {
  const features = ['dsp', 'mve'];
  const kernel = selectKernel(table, 'linear', 'int8', features, { weights: 'int4' });
  const bands = selectKernel(table, 'linear', 'int8', features);
  for (const [outputs, inputs] of shapesOfInt4) {
    const weights = int4Weights(outputs, inputs);
    const packed = packWeights(kernel, weights, outputs, inputs);
    const wide = packWeights(bands, weights, outputs, inputs);
    const unpacked = Array.from(wide, (_, index) => {
      const byte = packed[32 * Math.floor(index / 64) + (index % 32)]!;
      return halfOf(byte, Math.floor(index / 32));
    });
    expect(unpacked).toEqual([...wide]);
    expect(() => packWeights(kernel, Int8Array.of(-1, -8), 2, 1)).toThrow('-8');
  }
});

test('models with int4 weights run our kernels where CMSIS-NN would compute int8', () => {
  const features = ['dsp', 'cmsis-nn'];
  expect(selectKernel(table, 'linear', 'int8', features).variant).toBe('cmsis-nn');
  expect(selectKernel(table, 'linear', 'int8', features, { weights: 'int4' }).variant).toBe('dsp');
});
