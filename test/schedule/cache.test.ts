/** What a cache with too few rows keeps, against the plain list of the tokens that its policy names. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { denseMatrix, type Matrix } from '../../toolchain/ir/graph.ts';
import { rowsHeld, slotOf } from '../../toolchain/ops/cache.ts';
import { clamp, roundingHighMul } from '../../toolchain/ops/fixed-point.ts';
import { ops } from '../../toolchain/ops/index.ts';
import { randomNumbers } from './decoders.ts';

const numRuns = Number(process.env['LM2MCU_PROPERTY_RUNS'] ?? 40);

const shapes = fc.record({
  keyValueHeads: fc.integer({ min: 1, max: 2 }),
  sharing: fc.integer({ min: 1, max: 2 }),
  headWidth: fc.integer({ min: 1, max: 5 }),
  tokens: fc.integer({ min: 1, max: 40 }),
  pinned: fc.nat(6),
  ring: fc.integer({ min: 1, max: 12 }),
  seed: fc.nat(2 ** 30),
});
type Shape = typeof shapes extends fc.Arbitrary<infer S> ? S : never;

type Operands = ReturnType<typeof randomOperands>;

function randomOperands({ keyValueHeads, sharing, headWidth, tokens, seed }: Shape) {
  const random = randomNumbers(seed);
  const matrix = (heads: number): Matrix => {
    const columns = heads * headWidth;
    const data = Int8Array.from({ length: tokens * columns }, () => Math.round(127 * random()));
    return denseMatrix(data, tokens, columns);
  };
  const heads = keyValueHeads * sharing;
  return {
    inputs: [matrix(heads), matrix(keyValueHeads), matrix(keyValueHeads)] as const,
    attrs: { heads, keyValueHeads, scale: 1 },
    integer: {
      scoreMultipliers: new Int32Array(heads).fill(2 ** 24),
      expTables: Uint8Array.from({ length: heads * 256 }, (_, index) =>
        Math.round(127 * Math.exp(-(index & 255) / 20)),
      ),
      mix: { multiplier: 1_500_000_000, shift: 0 },
      zeroPoint: 3,
    },
  };
}

/** Attention of one token over the tokens that are `kept`, its own the last. */
function attendOver(kept: readonly number[], { inputs, attrs, integer }: Operands) {
  const rowsOf = ({ data, columns }: Matrix, rows: readonly number[]): Matrix => {
    const picked = rows.flatMap((row) => [...data.subarray(row * columns, (row + 1) * columns)]);
    return denseMatrix(Int8Array.from(picked), rows.length, columns);
  };
  const [q, k, v] = inputs;
  const out = denseMatrix(new Int8Array(q.columns), 1, q.columns);
  ops.causalAttention.evalInteger(
    [rowsOf(q, kept.slice(-1)), rowsOf(k, kept), rowsOf(v, kept)],
    attrs,
    integer,
    out,
    { tokens: kept.length, rowStart: kept.length - 1 },
  );
  return [...out.data];
}

test('a window with sinks is attention over the first tokens and the newest', () => {
  const property = fc.property(shapes, (shape) => {
    const { tokens, pinned, ring } = shape;
    const operands = randomOperands(shape);
    const { inputs, attrs, integer } = operands;
    const out = denseMatrix(new Int8Array(tokens * inputs[0].columns), tokens, inputs[0].columns);
    const own = { ...attrs, rows: pinned + ring, pinned };
    ops.windowAttention.evalInteger(inputs, own, integer, out, { tokens, rowStart: 0 });
    for (let token = 0; token < tokens; token++) {
      const before = Array.from({ length: token + 1 }, (_, index) => index);
      const kept = before.filter((other) => other < pinned || other > token - ring);
      const row = out.data.subarray(token * out.columns, (token + 1) * out.columns);
      expect([...row], `token ${token}`).toEqual(attendOver(kept, operands));
    }
  });
  fc.assert(property, { numRuns });
});

interface Kept {
  readonly token: number;
  /** What each query so far gave it. */
  readonly shares: number[];
}

/** As the definition says it, on lists: what each query of a head of keys and values saw. */
function heavyTokens(
  shape: Shape,
  steps: number,
  operands: Operands,
): readonly (readonly number[])[][] {
  const { keyValueHeads, sharing, headWidth, tokens, pinned, ring } = shape;
  const { inputs, integer } = operands;
  const dot = (query: number, key: number, head: number): number => {
    let sum = 0;
    for (let c = 0; c < headWidth; c++) {
      const own = Math.floor(head / sharing) * headWidth + c;
      const q = inputs[0].data[query * inputs[0].columns + head * headWidth + c]!;
      sum += q * inputs[1].data[key * inputs[1].columns + own]!;
    }
    return clamp(roundingHighMul(sum, integer.scoreMultipliers[head]!), -128, 127);
  };
  return Array.from({ length: keyValueHeads }, (_, group) => {
    let heavy: Kept[] = [];
    let recent: Kept[] = [];
    const score = ({ shares }: Kept): number =>
      (steps === 0 ? shares : shares.slice(-steps)).reduce((a, b) => a + b, 0);
    return Array.from({ length: tokens }, (_, query) => {
      const own = { token: query, shares: new Array<number>(query).fill(0) };
      if (heavy.length < pinned) heavy = [...heavy, own];
      else recent = [...recent, own];
      const kept = [...heavy, ...recent];
      const added = kept.map(() => 0);
      for (let head = group * sharing; head < (group + 1) * sharing; head++) {
        const scores = kept.map(({ token }) => dot(query, token, head));
        const largest = Math.max(...scores);
        const weights = scores.map((one) => integer.expTables[head * 256 + largest - one]!);
        const total = weights.reduce((a, b) => a + b, 0);
        for (const [index, weight] of weights.entries()) {
          added[index]! += Math.floor((weight * Math.floor(2 ** 24 / total)) / 4096);
        }
      }
      for (const [index, { shares }] of kept.entries()) shares.push(added[index]!);
      const seen = kept.map(({ token }) => token);
      if (recent.length === ring) {
        const [leaving, ...others] = recent as [Kept, ...Kept[]];
        const least = heavy.reduce((a, b, index) => (score(b) < score(heavy[a]!) ? index : a), 0);
        if (score(leaving) > score(heavy[least]!)) heavy = heavy.with(least, leaving);
        recent = others;
      }
      return seen;
    });
  });
}

test.each([
  ['all queries', fc.constant(0)],
  ['the latest queries', fc.integer({ min: 1, max: 5 })],
])('heavy hitters by %s are those that a plain list keeps', (_, someSteps) => {
  const property = fc.property(shapes, someSteps, (anyShape, steps) => {
    const shape = { ...anyShape, pinned: anyShape.pinned + 1 };
    const { tokens, pinned, ring, keyValueHeads, headWidth, sharing } = shape;
    const operands = randomOperands(shape);
    const { inputs, attrs, integer } = operands;
    const out = denseMatrix(new Int8Array(tokens * inputs[0].columns), tokens, inputs[0].columns);
    const own = { ...attrs, rows: pinned + ring, pinned, steps };
    ops.heavyAttention.evalInteger(inputs, own, integer, out, { tokens, rowStart: 0 });
    const seen = heavyTokens(shape, steps, operands);
    for (let token = 0; token < tokens; token++) {
      for (let group = 0; group < keyValueHeads; group++) {
        const kept = seen[group]![token]!;
        const columns = group * sharing * headWidth;
        const first = token * out.columns + columns;
        const row = out.data.subarray(first, first + sharing * headWidth);
        const others = kept.filter((other) => other !== token);
        const expected = attendOver([...others, token], operands);
        const wanted = expected.slice(columns, columns + sharing * headWidth);
        expect([...row], `token ${token} saw ${kept}`).toEqual(wanted);
      }
    }
  });
  fc.assert(property, { numRuns });
});

test('the ring holds what the window names', () => {
  const property = fc.property(shapes, ({ tokens, pinned, ring }) => {
    const rows = pinned + ring;
    const held: number[] = [];
    for (let token = 0; token < tokens; token++) {
      held[slotOf(token, { rows, pinned })] = token;
      expect(held).toHaveLength(rowsHeld(token, { rows }));
      expect(held.every((other) => other < pinned || other > token - ring)).toBe(true);
    }
  });
  fc.assert(property, { numRuns });
});
