/** Weight streams and scale records, there and back. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readScales, scaleStreamBytes, writeScales } from '../../toolchain/ethosu/scales.ts';
import { decodeWeights } from '../../toolchain/ethosu/weight-decode.ts';
import { encodePlain, encodeWeights } from '../../toolchain/ethosu/weight-encode.ts';
import {
  countWeights,
  orderWeights,
  scatterWeights,
  type WeightOrder,
  weightIndexes,
} from '../../toolchain/ethosu/weight-order.ts';
import { fixedSequence } from '../../toolchain/integers.ts';

const runs = { numRuns: Number(process.env['LM2MCU_PROPERTY_RUNS'] ?? 60), seed: 1 };

/** What weights look like: spread, sparse, few values, changing along the stream. */
const shapes = ['uniform', 'laplace', 'sparse', 'few', 'zeros', 'changing', 'blocks'] as const;

function makeWeights(shape: (typeof shapes)[number], length: number, seed: number): Int16Array {
  const random = fixedSequence(seed);
  const largest = 1 + Math.floor(random() * 255);
  const share = random();
  const values = Array.from({ length: 1 + Math.floor(random() * 40) }, () => uniform());
  function uniform() {
    return Math.round((2 * random() - 1) * largest);
  }
  return Int16Array.from({ length }, (_, i) => {
    switch (shape) {
      case 'uniform':
        return uniform();
      case 'laplace': {
        const size = Math.round((-Math.log(1 - random()) * largest) / 6);
        return (random() < 0.5 ? -1 : 1) * Math.min(255, size);
      }
      case 'sparse':
        return random() < share ? 0 : uniform();
      case 'few':
        return values[Math.floor(random() * values.length)]!;
      case 'zeros':
        return 0;
      case 'changing':
        return Math.round(uniform() / (1 + (i >> 9)));
      case 'blocks':
        return ((i >> 8) & 1) === 0 ? 0 : values[i % values.length]!;
    }
  });
}

const someWeights = fc
  .tuple(fc.constantFrom(...shapes), fc.integer({ min: 1, max: 3000 }), fc.nat())
  .map(([shape, length, seed]) => makeWeights(shape, length, seed));

test('every stream decodes to the weights that were encoded', () => {
  fc.assert(
    fc.property(someWeights, (weights) => {
      for (const stream of [encodeWeights(weights), encodePlain(weights)]) {
        expect(stream.length % 16).toBe(0);
        const limits = { mostWeights: weights.length, where: 'own' };
        expect(decodeWeights(stream, limits)).toEqual(weights);
      }
    }),
    runs,
  );
});

test('the search never takes more than plain codes', () => {
  fc.assert(
    fc.property(someWeights, (weights) => {
      expect(encodeWeights(weights).length).toBeLessThanOrEqual(encodePlain(weights).length);
    }),
    runs,
  );
});

test('what the weights say, and the same weights the same bytes', () => {
  const bitsOf = (weights: Int16Array) => (8 * encodeWeights(weights).length) / weights.length;
  const gaussian = (length: number, deviation: number) => {
    const random = fixedSequence(7);
    return Int16Array.from({ length }, () => {
      let sum = -6;
      for (let i = 0; i < 12; i++) sum += random();
      return Math.max(-127, Math.min(127, Math.round(sum * deviation)));
    });
  };
  // Entropy of N(0, 30) rounded: log2(30·√(2πe)) = 6.95 bits.
  expect(bitsOf(gaussian(40_000, 30))).toBeLessThan(7.1);
  // Of N(0, 4): 4.05 bits.
  expect(bitsOf(gaussian(40_000, 4))).toBeLessThan(4.3);
  // 16 values: 4 bits.
  expect(
    bitsOf(Int16Array.from({ length: 40_000 }, (_, i) => ((i * 7919) % 16) * 9 - 70)),
  ).toBeLessThan(4.02);
  // Zeros only: a bit for eight.
  expect(bitsOf(new Int16Array(40_000))).toBeLessThan(0.14);
  expect(encodeWeights(gaussian(5000, 12))).toEqual(encodeWeights(gaussian(5000, 12)));
});

test('slices hold 32,767 weights', () => {
  for (const length of [32_766, 32_767, 32_768, 32_769, 65_535]) {
    const weights = makeWeights('few', length, length);
    const limits = { mostWeights: length, where: 'own' };
    expect(decodeWeights(encodeWeights(weights), limits)).toEqual(weights);
    expect(decodeWeights(encodePlain(weights), limits)).toEqual(weights);
  }
});

describe('the order of weights', () => {
  const someOrder: fc.Arbitrary<WeightOrder> = fc
    .record({
      outputs: fc.integer({ min: 1, max: 70 }),
      height: fc.integer({ min: 1, max: 10 }),
      width: fc.integer({ min: 1, max: 10 }),
      inputs: fc.integer({ min: 1, max: 70 }),
      isDepthwise: fc.boolean(),
      isPartKernelFirst: fc.boolean(),
      blockDepth: fc.constantFrom(8, 16, 32, 48, 64, 128),
      inputBits: fc.constantFrom(8 as const, 16 as const),
      subKernelHeight: fc.constantFrom(8, 4),
      subKernelWidth: fc.constantFrom(8, 4),
      microDepth: fc.constantFrom(4, 8),
    })
    .map((order) => (order.isDepthwise ? { ...order, inputs: 1, isPartKernelFirst: false } : order))
    .filter(({ outputs, height, width, inputs }) => outputs * height * width * inputs < 40_000);

  test('it has every weight once, and comes back', () => {
    fc.assert(
      fc.property(someOrder, fc.nat(), (order, seed) => {
        const { outputs, height, width, inputs } = order;
        const indexes = weightIndexes(order);
        const places = outputs * height * width * inputs;
        expect(indexes.length).toBe(countWeights(order));
        const seen = new Uint8Array(places);
        for (const index of indexes) if (index >= 0) seen[index]!++;
        expect(seen.every((count) => count === 1)).toBe(true);
        const weights = makeWeights('uniform', places, seed);
        expect(scatterWeights(order, orderWeights(order, weights))).toEqual(weights);
      }),
      { ...runs, numRuns: runs.numRuns / 2 },
    );
  });

  test('through the stream', () => {
    fc.assert(
      fc.property(someOrder, fc.nat(), (order, seed) => {
        const { outputs, height, width, inputs } = order;
        const weights = makeWeights('laplace', outputs * height * width * inputs, seed);
        const stream = encodeWeights(orderWeights(order, weights));
        const decoded = decodeWeights(stream, { mostWeights: countWeights(order), where: 'own' });
        expect(scatterWeights(order, decoded)).toEqual(weights);
      }),
      { ...runs, numRuns: runs.numRuns / 4 },
    );
  });

  test('a weight outside the tensor is noticed', () => {
    const order: WeightOrder = {
      outputs: 8,
      height: 1,
      width: 1,
      inputs: 20,
      isDepthwise: false,
      isPartKernelFirst: false,
      blockDepth: 8,
      inputBits: 8,
      subKernelHeight: 8,
      subKernelWidth: 8,
      microDepth: 8,
    };
    expect(scatterWeights(order, new Int16Array(countWeights(order)).fill(1))).toBeNull();
  });
});

test('scale records', () => {
  const record = fc.record({
    bias: fc.integer({ min: -(2 ** 39), max: 2 ** 39 - 1 }),
    scale: fc.nat(2 ** 32 - 1),
    shift: fc.nat(63),
  });
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 50 }), (channels) => {
      const bytes = writeScales(channels);
      expect(bytes.length).toBe(scaleStreamBytes(channels.length));
      expect(readScales(bytes, channels.length, 'own')).toEqual(channels);
    }),
    runs,
  );
});
