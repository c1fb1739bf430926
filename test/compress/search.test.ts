/** The parts of the search that decide: allocation, choice, rare tokens, steps on disk. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { paretoAllocations } from '../../toolchain/compress/allocate.ts';
import { chooseEmitted, choosePoint, dropOf } from '../../toolchain/compress/choose.ts';
import { dropTokens } from '../../toolchain/compress/drop-tokens.ts';
import { accuracyDropInterval, lossOf } from '../../toolchain/compress/measure.ts';
import { rareTokens } from '../../toolchain/compress/rare-tokens.ts';
import type { FrontPoint } from '../../toolchain/compress/search.ts';
import { openSteps } from '../../toolchain/compress/steps.ts';
import { encode } from '../../toolchain/tokenizer/encode.ts';
import { parseTokenizer } from '../../toolchain/tokenizer/parse.ts';
import { encodeLines } from '../tokenizer/samples.ts';

describe('allocation', () => {
  const option = fc.record({
    bytes: fc.integer({ min: 0, max: 9 }).map((units) => units * 256),
    loss: fc.integer({ min: 0, max: 50 }),
  });
  const parts = fc.array(fc.array(option, { minLength: 1, maxLength: 4 }), {
    ...{ minLength: 1, maxLength: 4 },
  });

  test('for every budget the least loss of all combinations', () => {
    fc.assert(
      fc.property(parts, fc.integer({ min: 0, max: 9000 }), (list, budget) => {
        const sums = list.reduce(
          (before, options) =>
            before.flatMap((sum) =>
              options.map(({ bytes, loss }) => ({
                bytes: sum.bytes + bytes,
                loss: sum.loss + loss,
              })),
            ),
          [{ bytes: 0, loss: 0 }],
        );
        const least = (all: readonly { bytes: number; loss: number }[]) =>
          Math.min(...all.filter(({ bytes }) => bytes <= budget).map(({ loss }) => loss));
        const front = paretoAllocations(list);
        expect(least(front)).toBe(least(sums));
        for (const { chosen, bytes, loss } of front) {
          const taken = chosen.map((index, part) => list[part]![index]!);
          expect(taken.reduce((sum, one) => sum + one.bytes, 0)).toBe(bytes);
          expect(taken.reduce((sum, one) => sum + one.loss, 0)).toBe(loss);
        }
      }),
      { numRuns: 100, seed: 1 },
    );
  });
});

function point(bytes: number, drop: number | null, agreement = 1): FrontPoint {
  return {
    bytes,
    loss: { distance: 1 / bytes, hiddenCosine: 1, agreement, accuracyDrop: drop, accuracy: null },
    ...{ interval: null, word: '', wordBytes: 0, position: '', int4: 0, matrices: 0 },
    ...{ dropped: 0, choice: [] },
  };
}

describe('the choice', () => {
  const front = [point(100, 0.03), point(200, 0.004), point(300, 0.006), point(400, 0.001)];

  test('the smallest that keeps to the drop, out-of-order neighbours being one', () => {
    expect(front.map((one) => dropOf(one, front))).toEqual([0.03, 0.005, 0.005, 0.001]);
    const wish = { maxDrop: 0.005, budgetBytes: 1000, fillsBudget: false };
    expect(choosePoint(front, wish).bytes).toBe(200);
    expect(choosePoint(front, { ...wish, maxDrop: 0.0049 }).bytes).toBe(400);
  });

  test('the drop never grows with the bytes, and its mean stays', () => {
    const drops = fc.array(fc.double({ min: -0.1, max: 0.1, noNaN: true }), { minLength: 1 });
    fc.assert(
      fc.property(drops, (list) => {
        const points = list.map((drop, index) => point(index + 1, drop));
        const smooth = points.map((one) => dropOf(one, points));
        for (const [index, drop] of smooth.slice(1).entries()) {
          expect(drop).toBeLessThanOrEqual(smooth[index]! + 1e-12);
        }
        const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
        expect(sum(smooth)).toBeCloseTo(sum(list), 9);
      }),
    );
  });

  test('with a budget, the best within it', () => {
    const wish = { maxDrop: 0.006, budgetBytes: 350, fillsBudget: true };
    expect(choosePoint(front, wish).bytes).toBe(300);
  });

  test('what is taken was emitted, and fits with its real bytes', async () => {
    const drops = fc.array(fc.double({ min: 0, max: 0.1, noNaN: true }), { minLength: 1 });
    const excess = fc.double({ min: 0, max: 1.5, noNaN: true });
    await fc.assert(
      fc.asyncProperty(drops, excess, fc.boolean(), async (list, more, fillsBudget) => {
        const points = list.map((drop, index) => point(100 * (index + 1), drop));
        const emitted: FrontPoint[] = [];
        const real = async (one: FrontPoint) => {
          emitted.push(one);
          return Math.round(one.bytes * (1 + more));
        };
        const wish = { maxDrop: 0.05, budgetBytes: 400, fillsBudget };
        const choice = await chooseEmitted(points, wish, real).catch(() => null);
        if (choice === null) {
          // Whatever keeps to the drop was found too large.
          const good = points.filter((one) => dropOf(one, points) <= wish.maxDrop);
          for (const one of good) expect(one.bytes * (1 + more)).toBeGreaterThan(400 - 1);
          return;
        }
        const { chosen, front } = choice;
        expect(chosen.bytes).toBeLessThanOrEqual(400);
        expect(front).toContain(chosen);
        const before = emitted.find(({ loss }) => loss === chosen.loss)!;
        expect(chosen.bytes).toBe(Math.round(before.bytes * (1 + more)));
        expect(new Set(emitted).size).toBe(emitted.length);
      }),
      { numRuns: 200, seed: 1 },
    );
  });

  test('out of reach: both nearest points are told', () => {
    const wish = { maxDrop: 0.001, budgetBytes: 250, fillsBudget: true };
    expect(() => choosePoint(front, wish)).toThrow(/no recipe keeps the loss below 0\.10 points/);
    try {
      choosePoint(front, wish);
    } catch (error) {
      const { details } = error as { details: { hint: string } };
      expect(details.hint).toMatch(/0\.50 points, 200 B.*Within 0\.10 points: 400 B/);
    }
  });

  test('without labels, another answer counts as a wrong one', () => {
    const unlabelled = point(1, null, 0.98);
    expect(dropOf(unlabelled, [unlabelled])).toBeCloseTo(0.02);
  });
});

test('losses of a changed model', () => {
  const texts = [0, 1, 1, null].map((label) => ({ ids: Int32Array.of(1), segmentStart: 1, label }));
  const outputs = (...all: readonly (readonly number[])[]) => {
    const rows = all.map((row) => Float32Array.from(row));
    return { columns: 2, rows, hidden: { columns: 2, rows } };
  };
  const before = outputs([1, 0], [0, 1], [0, 1], [0, 1]);
  const after = outputs([1, 0], [1, 0], [0, 1], [1, 0]);
  const loss = lossOf(before, after, texts, false);
  expect(loss.agreement).toBe(0.5);
  expect(loss.accuracyDrop).toBeCloseTo(1 / 3);
  expect(loss.hiddenCosine).toBe(0.5); // two rows stay, two turn by a right angle
  // Two of four rows: p = e/(1+e), distance (2p − 1)·1.
  expect(loss.distance).toBeCloseTo(((2 * Math.E) / (1 + Math.E) - 1) / 2, 5);
  expect(lossOf(before, before, texts, false).distance).toBe(0);
  const half = outputs([1, 0], [1, 0]);
  for (const isVector of [false, true]) {
    const loss = lossOf(before, half, texts.slice(0, 2), isVector);
    expect([loss.agreement, loss.hiddenCosine]).toEqual([isVector ? 1 : 0.5, 0.5]);
  }
  expect(accuracyDropInterval(before, before, texts.slice(0, 3))).toEqual([0, 0]);
  expect(accuracyDropInterval(before, after, texts)).toEqual([0, 1]); // of the three with a class
  expect(accuracyDropInterval(before, after, texts.slice(3))).toBeNull();
});

describe('rare tokens', () => {
  const words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'b', 'ab', 'abc', '##b', '##c'];
  const tokenizer = parseTokenizer({
    vocabTxt: encodeLines([...words, '##bc', 'xy', '##y', 'é']),
  });
  const idOf = (word: string): number => tokenizer.vocabulary.indexOf(word);
  const none = new Float64Array(tokenizer.vocabulary.length);

  test('those whose texts have pieces; never special ones, characters, or the irreplaceable', () => {
    const rare = rareTokens(tokenizer, none, 0);
    // 'xy' has no piece 'x'.
    expect([...rare]).toEqual(['ab', 'abc', '##bc'].map(idOf));
    const used = none.map((_, id) => (id === idOf('abc') ? 3 : 0));
    expect([...rareTokens(tokenizer, used, 0)]).toEqual(['ab', '##bc'].map(idOf));
    expect([...rareTokens(tokenizer, used, 3)]).toEqual(['ab', 'abc', '##bc'].map(idOf));
  });

  test('texts without them stay as they are; with them, the same text in pieces', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c', ' '), maxLength: 20 });
    fc.assert(
      fc.property(text, fc.integer({ min: 0, max: 2 }), (sample, most) => {
        const counts = none.slice();
        for (const id of encode(tokenizer, 'ab abc ab', undefined, 64).ids) counts[id]! += 1;
        const rare = rareTokens(tokenizer, counts, most);
        const before = [...encode(tokenizer, sample, undefined, 64).ids];
        const after = [...encode(dropTokens(tokenizer, rare), sample, undefined, 64).ids];
        expect(after.some((id) => rare.includes(id))).toBe(false);
        if (before.some((id) => rare.includes(id))) {
          const spell = (ids: number[]) =>
            ids.map((id) => tokenizer.vocabulary[id]!.replace('##', '')).join('');
          expect(spell(after)).toBe(spell(before));
        } else {
          expect(after).toEqual(before);
        }
      }),
      { numRuns: 200, seed: 1 },
    );
  });
});

describe('steps on disk', () => {
  test('are taken up again, unless what they depend on changed or nothing is resumed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-steps-'));
    try {
      let computed = 0;
      const compute = () => {
        computed += 1;
        return { codes: Int8Array.of(1, -2), from: new Map([['a', computed]]) };
      };
      const first = await openSteps(folder, false).run('step', ['x'], compute);
      expect(await openSteps(folder, true).run('step', ['x'], compute)).toEqual(first);
      expect(computed).toBe(1);
      await openSteps(folder, true).run('step', ['y'], compute);
      expect(computed).toBe(2);
      for (const name of readdirSync(folder)) writeFileSync(join(folder, name), 'half a file');
      await openSteps(folder, true).run('step', ['x'], compute);
      expect(computed).toBe(3);
      await openSteps(folder, false).run('step', ['x'], compute);
      expect(computed).toBe(4);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
