import { expect, test } from 'vitest';
import { graphBuilder } from '../../toolchain/ir/build.ts';
import { bestRange, calibrate, type Observed } from '../../toolchain/quantize/calibrate.ts';

const everything = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY] as const;

/** A histogram of `values` as calibration makes it. */
function observed(values: readonly number[]): Observed {
  const limit =
    2 ** Math.ceil(Math.log2(values.reduce((a, b) => Math.max(a, Math.abs(b)), 0) * 1.001));
  const counts = new Float64Array(4096);
  for (const value of values) counts[Math.floor(((value / limit + 1) * 4096) / 2)]! += 1;
  return {
    min: values.reduce((a, b) => Math.min(a, b), 0),
    max: values.reduce((a, b) => Math.max(a, b), 0),
    limit,
    counts,
  };
}

test('evenly spread values keep their whole range', () => {
  const values = Array.from({ length: 10_000 }, (_, index) => -1 + index * 0.0004);
  const [min, max] = bestRange(observed(values), 255, false, everything);
  expect(min).toBeCloseTo(-1, 1);
  expect(max).toBeCloseTo(3, 1);
});

test('one far value among many near ones is clipped when that costs less', () => {
  const values = Array.from({ length: 1_000_000 }, (_, index) => ((index % 201) - 100) / 100);
  const [min, max] = bestRange(observed([...values.slice(0, 999_999), 4]), 255, false, everything);
  expect(max).toBeLessThan(4);
  expect(min).toBeGreaterThan(-1.01);
});

test('a symmetric range is symmetric, zero is always inside', () => {
  const [min, max] = bestRange(observed([0.5, 0.75, 2]), 254, true, everything);
  expect(min).toBe(-max);
  const positive = bestRange(observed([5, 6, 7]), 255, false, everything);
  expect(positive[0]).toBe(0);
});

test('values that cannot matter to the reader take no room', () => {
  const values = [-100, -50, -3, -1, 0, 1, 2, 3];
  const [min] = bestRange(observed(values), 255, false, [-4, Number.POSITIVE_INFINITY]);
  expect(min).toBeGreaterThanOrEqual(-4);
});

test('calibration sees every tensor of every example, and what ops observe inside', () => {
  const builder = graphBuilder('tiny');
  const ids = builder.input('tokenIds', 'int32', ['tokens', 1]);
  const start = builder.input('segmentStart', 'int32', [1, 1]);
  const table = (name: string, rows: number, data: readonly number[]) =>
    builder.constant(name, [rows, 1], Float32Array.from(data));
  const x = builder.node(
    'embed',
    'x',
    [
      builder.node('lookupRows', 'words', [ids, table('word', 3, [1, -20, 3])], { index: 'token' }),
      table('position', 2, [0, 0.5]),
      start,
      table('segment', 1, [0]),
    ],
    {},
  );
  const y = builder.node('attention', 'y', [x, x, x], { heads: 1, scale: 1, causal: false });
  const graph = builder.finish([y]);
  const calibration = calibrate(graph, [
    { ids: [0, 2], segmentStart: 2 },
    { ids: [1], segmentStart: 1 },
  ]);
  const seen = calibration.tensors.get('x')!;
  expect([seen.min, seen.max]).toEqual([-20, 3.5]);
  expect(seen.counts.reduce((sum, count) => sum + count, 0)).toBe(3);
  expect(calibration.internals.get('y')).toEqual([400]);
});
