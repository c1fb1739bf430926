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
  ['windows:28', 'there is no "windows"', 'Did you mean window?'],
  ['window:64,sink:4', 'window has no "sink"', 'Did you mean sinks?'],
  ['window:0', 'window must be 1 or more', ''],
  ['window:-3', 'window must be 1 or more', ''],
  ['window:8,sinks:-1', 'sinks must be 0 or more', ''],
  ['window:many', 'window must be a whole number below 1,000,000', ''],
  ['window:8,sinks:1000000', 'sinks must be a whole number below 1,000,000', ''],
  ['window', 'it lacks its number', ''],
  ['heavy:28', 'it lacks recent', ''],
  ['local-sum', 'it lacks its number and recent and steps', ''],
])('of %s: %s', (text, problem, suggestion) => {
  const message = `--cache "${text}" is no cache policy: ${problem}`;
  const hint = `${suggestion} Use one of: full | window:N[,sinks:N] | heavy:N,recent:N | local-sum:N,recent:N,steps:N`;
  expect(() => parseCache(text)).toThrow(
    expect.objectContaining({
      message,
      details: { code: 'bad-cache', message, hint: hint.trim() },
    }),
  );
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
