/** `kernels/c/fixed_point.h` and `fixed-point.ts` are one arithmetic, and it is the one intended. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  divideRequant,
  doublingHighMul,
  reciprocalSqrt,
  requantize,
  roundingDivideByPowerOfTwo,
  roundingHighMul,
  roundingShiftRight,
  saturatingShiftLeft,
  toRequant,
} from '../../toolchain/ops/fixed-point.ts';
import { normalizerOf } from '../../toolchain/ops/layer-norm.ts';
import { packagePath } from '../../toolchain/package-root.ts';

type Words = readonly [number, number, number];

/** What makes an argument of a raw word. */
const kinds = {
  any: (word: number) => word,
  shift: (word: number) => word & 31,
  requantShift: (word: number) => ((word & 0x7fffffff) % 62) - 31,
  multiplier: (word: number) => (word === 0 ? 0 : (word & 0x3fffffff) | 0x40000000),
  quarterToOne: (word: number) => (word >>> 30 === 0 ? word | 0x40000000 : word),
  positive: (word: number) => Math.max(1, word & 0x7fffffff),
  nonnegative: (word: number) => word & 0x7fffffff,
  fraction: (word: number) => word & 15,
  none: () => 0,
} as const;

type Kind = keyof typeof kinds;

interface Row {
  readonly name: string;
  readonly kinds: readonly [Kind, Kind, Kind];
  apply(a: number, b: number, c: number): Words;
}

/** In the order of fixed_point_harness.c. */
const functions: readonly Row[] = [
  {
    name: 'doublingHighMul',
    kinds: ['any', 'any', 'none'],
    apply: (a, b) => [doublingHighMul(a, b), 0, 0],
  },
  {
    name: 'roundingDivideByPowerOfTwo',
    kinds: ['any', 'shift', 'none'],
    apply: (a, b) => [roundingDivideByPowerOfTwo(a, b), 0, 0],
  },
  {
    name: 'requantize',
    kinds: ['any', 'multiplier', 'requantShift'],
    apply: (a, b, c) => [requantize(a, b, c), 0, 0],
  },
  {
    name: 'roundingHighMul',
    kinds: ['any', 'any', 'none'],
    apply: (a, b) => [roundingHighMul(a, b), 0, 0],
  },
  {
    name: 'roundingShiftRight',
    kinds: ['any', 'shift', 'none'],
    apply: (a, b) => [roundingShiftRight(a, b), 0, 0],
  },
  {
    name: 'reciprocalSqrt',
    kinds: ['quarterToOne', 'none', 'none'],
    apply: (a) => [reciprocalSqrt(a >>> 0), 0, 0],
  },
  {
    name: 'divideRequant',
    kinds: ['multiplier', 'requantShift', 'positive'],
    apply: (multiplier, shift, divisor) => {
      const divided = divideRequant({ multiplier, shift }, divisor);
      return [divided.multiplier, divided.shift, 0];
    },
  },
  {
    name: 'normalizerOf',
    kinds: ['nonnegative', 'any', 'fraction'],
    apply: (high, low, fraction) => {
      const variance = (BigInt(high) << 32n) | BigInt(low >>> 0);
      const { factor, left, right } = normalizerOf(variance, fraction);
      return [factor, left, right];
    },
  },
  {
    name: 'saturatingShiftLeft',
    kinds: ['any', 'shift', 'none'],
    apply: (a, b) => [saturatingShiftLeft(a, b), 0, 0],
  },
];

const edges = [
  ...[0, 1, -1, 2, -2, 3, -3, 127, -128, 0x7fff, -0x8000, 0xffff, 0x10000, 0x3fffffff, 0x40000000],
  ...[0x40000001, -0x40000000, -0x40000001, 0x7ffffffe, 0x7fffffff, -0x80000000, -0x7fffffff],
  ...[12, 15, 16, 29, 30, 31, 32, 61, 62, 0x60000000, -0x60000000],
];

const hasCompiler = spawnSync('gcc', ['--version'], { stdio: 'ignore' }).error === undefined;

describe.skipIf(!hasCompiler)(hasCompiler ? 'the C twin' : 'the C twin needs gcc', () => {
  test('agrees at all edges', () => {
    const inputs = functions.flatMap(({ kinds: [a, b, c] }, number) =>
      edges.flatMap((x) =>
        edges.flatMap((y) =>
          (c === 'none' ? [0] : edges).map((z) => [number, kinds[a](x), kinds[b](y), kinds[c](z)]),
        ),
      ),
    );
    compareWithC(Int32Array.from(inputs.flat()));
  });

  test('agrees at 1,000,000 random values', () => {
    const count = 1_000_000;
    const [seed = 1] = fc.sample(fc.integer({ min: 1 }), { numRuns: 1, seed: 1 });
    let state = seed;
    const word = () => {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      return state >> ((state >>> 3) & 24); // all magnitudes, and the generator's better bits
    };
    const inputs = new Int32Array(count * 4);
    for (let row = 0; row < count; row++) {
      const number = row % functions.length;
      const [a, b, c] = functions[number]!.kinds;
      inputs.set([number, kinds[a](word()), kinds[b](word()), kinds[c](word())], row * 4);
    }
    compareWithC(inputs);
  });
});

/** `inputs`: (rows, 4) of function, a, b, c. */
function compareWithC(inputs: Int32Array<ArrayBuffer>): void {
  const results = runHarness(inputs);
  const failures: string[] = [];
  for (let row = 0; row < inputs.length / 4; row++) {
    const [number = 0, a = 0, b = 0, c = 0] = inputs.subarray(row * 4, row * 4 + 4);
    const { name, apply } = functions[number]!;
    const expected = apply(a, b, c);
    const actual = results.subarray(row * 3, row * 3 + 3);
    if (expected.every((value, i) => value === actual[i])) continue;
    failures.push(`${name}(${a}, ${b}, ${c}) is ${expected}, in C ${actual.join()}`);
  }
  expect(failures.slice(0, 5), `${failures.length} differ`).toEqual([]);
}

function runHarness(inputs: Int32Array<ArrayBuffer>): Int32Array {
  const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-fixed-point-'));
  try {
    const flags = ['-std=c99', '-O1', '-fsanitize=undefined', '-fno-sanitize-recover=all'];
    const warnings = ['-Wall', '-Wextra', '-Wconversion', '-Wsign-conversion', '-Werror'];
    const source = packagePath('test', 'quantize', 'fixed_point_harness.c');
    const include = `-I${packagePath('kernels', 'c')}`;
    const program = join(folder, 'harness');
    const build = spawnSync('gcc', [...flags, ...warnings, include, source, '-o', program]);
    expect(build.stderr.toString()).toBe('');
    const run = spawnSync(program, { input: Buffer.from(inputs.buffer), maxBuffer: 2 ** 28 });
    expect(run.stderr.toString()).toBe('');
    return new Int32Array(Uint8Array.from(run.stdout).buffer);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });

describe('the meaning', () => {
  test('doublingHighMul is floor((a·b + 2^30) / 2^31), saturated', () => {
    fc.assert(
      fc.property(int32, int32, (a, b) => {
        const exact = (BigInt(a) * BigInt(b) + (1n << 30n)) >> 31n;
        return doublingHighMul(a, b) === Math.min(Number(exact), 2 ** 31 - 1);
      }),
    );
    expect(doublingHighMul(-(2 ** 31), -(2 ** 31))).toBe(2 ** 31 - 1);
  });

  test('roundingDivideByPowerOfTwo rounds ties away from zero', () => {
    expect([5, -5, 6, -6, 7, -7].map((x) => roundingDivideByPowerOfTwo(x, 2))).toEqual([
      1, -1, 2, -2, 2, -2,
    ]);
    expect(roundingDivideByPowerOfTwo(-(2 ** 31), 31)).toBe(-1);
    expect(roundingDivideByPowerOfTwo(2 ** 31 - 1, 31)).toBe(1);
  });

  test('roundingShiftRight rounds ties up', () => {
    expect([5, -5, 6, -6, 7, -7].map((x) => roundingShiftRight(x, 2))).toEqual([
      1, -1, 2, -1, 2, -2,
    ]);
  });

  test('requantize by toRequant is a multiplication', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -1_000_000, max: 1_000_000 }),
        fc.double({ min: 1e-6, max: 100, noNaN: true }),
        (accumulator, factor) => {
          const { multiplier, shift } = toRequant(factor);
          const result = requantize(accumulator, multiplier, shift);
          // Two roundings, and the multiplier's error of 2^-31 relative.
          return Math.abs(result - accumulator * factor) <= 1.01;
        },
      ),
    );
  });

  test('divideRequant divides', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.001, max: 10, noNaN: true }),
        fc.integer({ min: 1, max: 127 * 512 }),
        (factor, divisor) => {
          const { multiplier, shift } = divideRequant(toRequant(factor), divisor);
          const value = multiplier * 2 ** (shift - 31);
          return Math.abs(value / (factor / divisor) - 1) < 2 ** -28;
        },
      ),
    );
  });

  test('reciprocalSqrt has a relative error below 2^-23', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2 ** 30, max: 2 ** 32 - 1 }), (x) => {
        const exact = 2 ** 30 / Math.sqrt(x / 2 ** 32);
        return Math.abs(reciprocalSqrt(x) / exact - 1) < 2 ** -23;
      }),
      { numRuns: 2000, examples: [[2 ** 30], [2 ** 32 - 1]] },
    );
  });
});
