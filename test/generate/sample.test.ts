/** What may be chosen, and how often. The twin in C is compared in test/conformance/decoder.test.ts. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { greedy, tokenChooser } from '../../toolchain/generate/sample.ts';

const rows = fc
  .array(fc.integer({ min: -32768, max: 32767 }), { minLength: 1, maxLength: 60 })
  .map((logits) => Int16Array.from(logits));
const narrowRows = fc
  .array(fc.integer({ min: -40, max: 40 }), { minLength: 1, maxLength: 60 })
  .map((logits) => Int16Array.from(logits));

/** Tokens by logit, the largest first; of equal ones the first. */
function byLogit(logits: Int16Array): readonly number[] {
  return [...logits.keys()].toSorted((a, b) => logits[b]! - logits[a]! || a - b);
}

test('without temperature, or of one token, the largest', () => {
  fc.assert(
    fc.property(rows, fc.nat(), (logits, seed) => {
      const best = byLogit(logits)[0]!;
      expect(tokenChooser(0.01, { ...greedy, seed })(logits)).toBe(best);
      const one = { temperature: 5000, topK: 1, topP: 1000, seed };
      expect(tokenChooser(0.01, one)(logits)).toBe(best);
    }),
  );
});

test('one of the k largest, of the fewest that have a share', () => {
  fc.assert(
    fc.property(
      fc.oneof(rows, narrowRows),
      fc.record({
        temperature: fc.integer({ min: 1, max: 9000 }),
        topK: fc.integer({ min: 0, max: 70 }),
        topP: fc.integer({ min: 0, max: 1000 }),
        seed: fc.nat(),
      }),
      (logits, sampling) => {
        const scale = 0.05;
        const order = byLogit(logits);
        const kept = sampling.topK === 0 ? order : order.slice(0, sampling.topK);
        const weightOf = (token: number): number =>
          Math.exp(((logits[token]! - logits[order[0]!]!) * scale * 1000) / sampling.temperature);
        const total = kept.reduce((sum, token) => sum + weightOf(token), 0);
        let before = 0;
        // Weights are 1/2^15 exact: a share that ends within that of a token may or may not have it.
        const nucleus = kept.filter((token) => {
          const isNeeded = before < (total * sampling.topP) / 1000 + 0.01 * total;
          before += weightOf(token);
          return isNeeded;
        });
        const choose = tokenChooser(scale, sampling);
        for (let draw = 0; draw < 5; draw++) {
          expect([order[0]!, ...nucleus]).toContain(choose(logits));
        }
      },
    ),
  );
});

test('as often as the model says', () => {
  const choose = tokenChooser(Math.LN2, { temperature: 1000, topK: 0, topP: 1000, seed: 1 });
  const logits = Int16Array.of(1, 3, 2, 0, -20);
  const counts = [0, 0, 0, 0, 0];
  const draws = 30_000;
  for (let draw = 0; draw < draws; draw++) counts[choose(logits)]! += 1;
  for (const [token, share] of [2 / 15, 8 / 15, 4 / 15, 1 / 15].entries()) {
    expect(Math.abs(counts[token]! / draws - share)).toBeLessThan(0.01);
  }
  expect(counts[4]).toBe(0);
});
