import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Lm2mcuError } from '../../toolchain/errors.ts';
import { parseGraphText, printGraph } from '../../toolchain/ir/text.ts';
import { verify } from '../../toolchain/ir/verify.ts';
import { fixtures, stagesOf, withoutNegativeZero } from './graphs.ts';

describe.each(fixtures)('%s', (fixture) => {
  test.each(Object.entries(stagesOf(fixture)))('the %s graph comes back', (_name, graph) => {
    const whole = printGraph(graph, { maxElements: Number.POSITIVE_INFINITY });
    expect(parseGraphText(whole)).toEqual(withoutNegativeZero(graph));
    const short = printGraph(graph);
    const madeUp = parseGraphText(short);
    expect(() => verify(madeUp)).not.toThrow();
    expect(parseGraphText(short)).toEqual(madeUp);
  });
});

test.each([
  ['', 'there is no line "graph STAGE NAME"'],
  ['graph half "x"', 'not a line of a graph: graph half "x"'],
  ['graph float "x"\ninput a: int33[1, 1]', 'not a type: int33[1, 1]'],
  ['graph float "x"\ninput a: int32[1, 1]\ninput a: int32[1, 1]', "a second 'a'"],
  ['graph float "x"\nconstant a: int8[1000000, 1000]', '1000000000 elements'],
  ['graph float "x"\nconstant a: int8[1, 2] = 1 x', "not a number: 'x'"],
  ['graph float "x"\ny: int8[1, 1] = lynear(x)', "there is no op 'lynear'"],
  ['graph float "x"\n    a = 1', 'a field before any node'],
  ['graph float "x"\ny: int8[1, 1] = add(x, x) heads', "expected key=value at 'heads'"],
  ['graph float "x"\ny: int8[1, 1] = add(x, x) a=', "'a' has no value"],
  ['graph legal "x"\ny: int8[1, 1] = add(x, x)\n  a = int8[1', "the array of 'a' has no end"],
])('%j is refused', (text, message) => {
  expect(() => parseGraphText(text)).toThrow(message);
});

test('damaged text never crashes', () => {
  const text = printGraph(stagesOf('seqcls-odd-f32')['legal']!);
  fc.assert(
    fc.property(fc.nat(), fc.string({ maxLength: 4 }), fc.nat(9), (at, insert, removed) => {
      const index = at % text.length;
      try {
        parseGraphText(text.slice(0, index) + insert + text.slice(index + removed));
      } catch (error) {
        expect(error).toBeInstanceOf(Lm2mcuError);
      }
    }),
    { numRuns: 500 },
  );
});
