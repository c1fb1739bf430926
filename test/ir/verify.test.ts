import { describe, expect, test } from 'vitest';
import { verify } from '../../toolchain/ir/verify.ts';
import { fixtures, stagesOf } from './graphs.ts';

describe.each(fixtures)('%s', (fixture) => {
  test.each(Object.entries(stagesOf(fixture)))('the %s graph keeps the rules', (_name, graph) => {
    expect(() => verify(graph)).not.toThrow();
  });
});
