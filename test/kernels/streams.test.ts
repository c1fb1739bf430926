/** What a streamed operand's blocks are changes nothing: neither the result nor what is carried. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { loadKernels, selectKernel } from '../../toolchain/schedule/kernels.ts';
import { type AttendInputsShape, attendInputsCase } from './cases/attention.ts';
import type { Case } from './cases/common.ts';
import { meanRowsCaseOf } from './cases/rows.ts';
import { seedRandom } from './random.ts';

const table = loadKernels();
const seeds = fc.integer({ min: 1, max: 0x7fffffff });
const sizes = fc.integer({ min: 1, max: 4 });

/** The same case twice, with the same random numbers. */
function both(seed: number, make: (blockRows: readonly [number, number]) => Case, rows: number[]) {
  return rows.map((size) => {
    seedRandom(seed);
    return make([size, 2 * size]).after;
  });
}

test('attention to blocks of inputs', () => {
  const kernel = selectKernel(table, 'attend_inputs', 'int16', [], { input: 'int16' });
  fc.assert(
    fc.property(seeds, fc.integer({ min: 1, max: 90 }), sizes, sizes, (seed, tokens, a, b) => {
      const shape: Omit<AttendInputsShape, 'blockRows'> = {
        ...{ heads: 2, width: 9, tokens, rows: 3, inPlace: false },
        ...{ data: 'random', gap: 1, anyShift: false },
      };
      const make = (blockRows: readonly [number, number]) =>
        attendInputsCase(kernel, { ...shape, blockRows });
      const [one, other] = both(seed, make, [16 * a, 16 * b]);
      expect(one).toEqual(other);
    }),
  );
});

test('the mean over blocks of rows', () => {
  const kernel = selectKernel(table, 'mean_rows', 'int16', []);
  fc.assert(
    fc.property(seeds, fc.integer({ min: 1, max: 40 }), sizes, sizes, (seed, tokens, a, b) => {
      const make = (blockRows: readonly [number, number]) =>
        meanRowsCaseOf(kernel, 9, tokens, blockRows);
      const [one, other] = both(seed, make, [a, b]);
      expect(one).toEqual(other);
    }),
  );
});
