/** The name of a part leads back to the whole, whatever names a model comes with. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { validName } from '../../toolchain/importers/recognize/layer-name.ts';
import { nameOfHeads, nameOfRows, wholeOf } from '../../toolchain/ir/derived-names.ts';
import { namePattern } from '../../toolchain/ir/verify.ts';

const makers: readonly ((whole: string) => string)[] = [
  (whole) => nameOfRows(whole, 'first'),
  (whole) => nameOfRows(whole, 'vocabulary'),
  (whole) => nameOfHeads(whole, 1),
  (whole) => `${nameOfHeads(whole, '0-3')}.transposed`,
];

test('a part of a part is a part of the whole, and has a valid name of its own', () => {
  const steps = fc.array(fc.constantFrom(...makers), { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(fc.string(), steps, (name, parts) => {
      const whole = validName(name);
      const part = parts.reduce((made, make) => make(made), whole);
      expect(wholeOf(whole)).toBe(whole);
      expect(wholeOf(part)).toBe(whole);
      expect(part).not.toBe(whole);
      expect(part).toMatch(namePattern);
    }),
  );
});

test('marks in names of a model are no marks', () => {
  expect(validName('encoder@2/dense#1')).toBe('encoder_2/dense_1');
});
