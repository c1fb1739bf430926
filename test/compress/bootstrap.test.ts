/** The interval of a mean over texts. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bootstrapInterval } from '../../toolchain/compress/bootstrap.ts';

test('it holds the mean, moves with it, and is the same every time', () => {
  const values = fc.array(fc.integer({ min: -1, max: 1 }), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(values, (list) => {
      const mean = list.reduce((sum, value) => sum + value, 0) / list.length;
      const [low, high] = bootstrapInterval(list);
      expect(low).toBeLessThanOrEqual(mean + 1e-12);
      expect(high).toBeGreaterThanOrEqual(mean - 1e-12);
      expect(bootstrapInterval(list)).toEqual([low, high]);
      const [lowMoved, highMoved] = bootstrapInterval(list.map((value) => value + 2));
      expect(lowMoved).toBeCloseTo(low + 2, 9);
      expect(highMoved).toBeCloseTo(high + 2, 9);
    }),
    { numRuns: 20, seed: 1 },
  );
});

test('its width is that of the normal distribution, where there are many values', () => {
  const values = Array.from({ length: 2000 }, (_, index) => (index % 10 === 0 ? 1 : 0));
  const [low, high] = bootstrapInterval(values);
  const deviation = Math.sqrt((0.1 * 0.9) / 2000);
  expect(low).toBeCloseTo(0.1 - 1.96 * deviation, 2);
  expect(high).toBeCloseTo(0.1 + 1.96 * deviation, 2);
});
