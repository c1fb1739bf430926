/** Tokens permit exactly the texts that the expression does, as far as there are tokens to say them. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  byteAutomaton,
  type SourceAutomaton,
  sourceAutomaton,
} from '../../toolchain/constrain/byte-automaton.ts';
import { literal, union } from '../../toolchain/constrain/expression.ts';
import { boundedInteger } from '../../toolchain/constrain/json-integer.ts';
import { parsePattern } from '../../toolchain/constrain/pattern.ts';
import { distancesOf, tokenAutomaton } from '../../toolchain/constrain/token-automaton.ts';
import { accepts, canSay, patternsOver, textsOver, vocabularyOf } from './texts.ts';

const numRuns = Number(process.env['LM2MCU_PROPERTY_RUNS'] ?? 150);
/** One of two bytes, one of three. */
const alphabet = ['a', 'b', 'é', '…'];
const texts = textsOver(alphabet, 4);

const words = fc
  .array(fc.array(fc.constantFrom(...alphabet), { minLength: 1, maxLength: 3 }), { maxLength: 6 })
  .map((all) => all.map((letters) => letters.join('')));

test('as JavaScript matches them, with and without a token of every character', () => {
  fc.assert(
    fc.property(patternsOver(alphabet), words, fc.boolean(), (pattern, some, hasAll) => {
      const tokens = [...new Set([...(hasAll ? alphabet : []), ...some])];
      const bytes = byteAutomaton(sourceOf(pattern));
      const automaton = bytes && tokenAutomaton(bytes, vocabularyOf(tokens));
      const expression = new RegExp(`^(?:${pattern})$`, 'u');
      for (const text of texts) {
        const isPermitted = expression.test(text) && canSay(tokens, text);
        const found = automaton !== null && accepts(automaton, tokens, text);
        expect(found, JSON.stringify({ pattern, tokens, text })).toBe(isPermitted);
      }
    }),
    { numRuns },
  );
});

test('from every state tokens lead to an end, and no two states or classes do the same', () => {
  fc.assert(
    fc.property(patternsOver(alphabet), words, (pattern, some) => {
      const bytes = byteAutomaton(sourceOf(pattern));
      const automaton = bytes && tokenAutomaton(bytes, vocabularyOf([...new Set(some)]));
      if (automaton === null) return;
      const { rows, isAccepting, tokensOfClass } = automaton;
      expect(distancesOf(automaton).every(Number.isFinite)).toBe(true);
      const forms = rows.map((row, state) => JSON.stringify([row, isAccepting[state]]));
      expect(new Set(forms).size).toBe(rows.length);
      const columns = tokensOfClass.map((_, one) =>
        rows.map((row) => row.find(({ label }) => label === one)?.to ?? '').join(),
      );
      expect(new Set(columns).size).toBe(columns.length);
    }),
    { numRuns },
  );
});

test('sets of characters, at their edges', () => {
  const codePoint = fc.oneof(
    fc.integer({ min: 0, max: 0x10ffff }),
    fc.constantFrom(0, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xfffd, 0xffff, 0x10000, 0x10ffff),
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(codePoint, codePoint), { maxLength: 3 }),
      codePoint,
      (pairs, other) => {
        const ranges = pairs.map(([a, b]) => ({ first: Math.min(a, b), last: Math.max(a, b) }));
        const bytes = byteAutomaton(
          sourceAutomaton({ kind: 'character', set: union(ranges), origin: '' }),
        );
        const edges = ranges.flatMap(({ first, last }) => [first - 1, first, last, last + 1]);
        for (const one of [...edges, other]) {
          if (one < 0 || one > 0x10ffff || (one >= 0xd800 && one < 0xe000)) continue;
          let state = 0;
          for (const byte of new TextEncoder().encode(String.fromCodePoint(one))) {
            if (bytes === null || state < 0) break;
            state = bytes.next[state * bytes.classes + bytes.classOfByte[byte]!]!;
          }
          const found = bytes !== null && state >= 0 && bytes.isAccepting[state] === 1;
          expect(found, one.toString(16)).toBe(
            ranges.some(({ first, last }) => first <= one && one <= last),
          );
        }
      },
    ),
    { numRuns },
  );
});

test('integers between bounds', () => {
  const bound = fc.oneof(
    fc.integer({ min: -120, max: 120 }),
    fc.integer({ min: -99999, max: 99999 }),
  );
  fc.assert(
    fc.property(bound, bound, fc.array(bound), (a, b, others) => {
      const [least, most] = [Math.min(a, b), Math.max(a, b)];
      const text = (one: string) => literal(one, () => '');
      const bytes = byteAutomaton(sourceAutomaton(boundedInteger(least, most, text, '')))!;
      const digits = [...'-0123456789'];
      const automaton = tokenAutomaton(bytes, vocabularyOf(digits))!;
      for (const value of [least - 1, least, least + 1, most - 1, most, most + 1, 0, ...others]) {
        expect(accepts(automaton, digits, String(value)), `${least} ${value} ${most}`).toBe(
          least <= value && value <= most,
        );
      }
      for (const wrong of ['-0', '', '-', `0${most}`]) {
        expect(accepts(automaton, digits, wrong)).toBe(false);
      }
    }),
    { numRuns },
  );
});

test('a text that can go on in one way only has the tokens of the tokenizer', () => {
  const tokens = [...'abcd', 'ab', 'cd', 'abc'];
  const automaton = tokenAutomaton(byteAutomaton(sourceOf('(?:a|b)abcd'))!, vocabularyOf(tokens))!;
  const start = automaton.rows[0]!.flatMap(({ label }) => automaton.tokensOfClass[label]!);
  expect(start.map((token) => tokens[token])).toEqual(['a', 'b']);
  const behind = automaton.rows[automaton.rows[0]![0]!.to]!;
  const next = behind.flatMap(({ label }) => automaton.tokensOfClass[label]!);
  expect(next.map((token) => tokens[token])).toEqual(['abc']);
});

function sourceOf(pattern: string): SourceAutomaton {
  return sourceAutomaton(parsePattern(pattern, 'the pattern').expression);
}
