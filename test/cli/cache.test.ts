/** `--cache` reads what it writes, and a window without its sinks. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseCache } from '../../toolchain/cli/cache.ts';
import { type CachePolicy, cacheText } from '../../toolchain/passes/cache-policy.ts';

const count = fc.integer({ min: 1, max: 999_999 });
const policies: fc.Arbitrary<CachePolicy> = fc.oneof(
  fc.constant({ kind: 'full' as const }),
  fc.record({ kind: fc.constant('window' as const), window: count, sinks: fc.nat(999_999) }),
  fc.record({ kind: fc.constant('heavy' as const), heavy: count, recent: count }),
  fc.record({ kind: fc.constant('local-sum' as const), heavy: count, recent: count, steps: count }),
);

test('every policy', () => {
  const property = fc.property(policies, (policy) => {
    expect(parseCache(cacheText(policy))).toEqual(policy);
  });
  fc.assert(property);
});

test('a window alone has four sinks', () => {
  expect(parseCache('window:8')).toEqual(parseCache('window:8,sinks:4'));
});

test.each([
  '',
  'Full',
  'full:1',
  'window',
  'window:8,',
  'heavy:8',
  'window:8,sinks:-1',
  'window:8,sinks:1.5',
  'window:8,sinks:4,steps:2',
  'window:08,sinks:4',
  'sinks:4,window:8',
  'heavy:0,recent:8',
  'local-sum:8,recent:8',
  'constructor:1',
])('not %j', (text) => {
  expect(() => parseCache(text)).toThrow('is no cache policy');
});
