import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  arenaAlignment,
  type Block,
  largestLiveSum,
  planArena,
} from '../../toolchain/schedule/arena.ts';

const blocks: fc.Arbitrary<readonly Block[]> = fc.array(
  fc
    .record({
      sizeBytes: fc.integer({ min: 1, max: 5000 }),
      first: fc.nat(30),
      calls: fc.nat(12),
    })
    .map(({ sizeBytes, first, calls }) => ({ sizeBytes, first, last: first + calls })),
  { minLength: 1, maxLength: 24 },
);

test('blocks that live at once do not touch, and all lie inside, aligned', () => {
  fc.assert(
    fc.property(blocks, (list) => {
      const { offsets, sizeBytes } = planArena(list, largestLiveSum(list));
      for (const [index, block] of list.entries()) {
        const offset = offsets[index]!;
        expect(offset % arenaAlignment).toBe(0);
        expect(offset).toBeGreaterThanOrEqual(0);
        expect(offset + block.sizeBytes).toBeLessThanOrEqual(sizeBytes);
        for (let other = 0; other < index; other++) {
          const { first, last, sizeBytes: otherBytes } = list[other]!;
          if (block.first > last || first > block.last) continue;
          const isBehind = offset >= offsets[other]! + otherBytes;
          const isBefore = offsets[other]! >= offset + block.sizeBytes;
          expect(isBehind || isBefore).toBe(true);
        }
      }
    }),
  );
});

test('the lower bound is one, and what lives alone needs no more', () => {
  fc.assert(
    fc.property(blocks, (list) => {
      const lowerBoundBytes = largestLiveSum(list);
      const { sizeBytes } = planArena(list, lowerBoundBytes);
      const calls = list.flatMap(({ first, last }) => [first, last]);
      const align = (bytes: number) => Math.ceil(bytes / arenaAlignment) * arenaAlignment;
      const needed = calls.map((call) =>
        list
          .filter(({ first, last }) => first <= call && call <= last)
          .reduce((sum, block) => sum + align(block.sizeBytes), 0),
      );
      expect(lowerBoundBytes).toBe(Math.max(...needed));
      expect(sizeBytes).toBeGreaterThanOrEqual(lowerBoundBytes);
      expect(sizeBytes).toBeLessThanOrEqual(
        list.reduce((sum, block) => sum + align(block.sizeBytes), 0),
      );
    }),
  );
});

test('nested lives are placed without a gap', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 999 }), { minLength: 1 }), (sizes) => {
      const nested = sizes.map((sizeBytes, depth) => ({
        sizeBytes,
        first: depth,
        last: 99 - depth,
      }));
      const list = nested.slice(0, 49);
      const lowerBoundBytes = largestLiveSum(list);
      expect(planArena(list, lowerBoundBytes).sizeBytes).toBe(lowerBoundBytes);
    }),
  );
});

test('the same blocks get the same places', () => {
  fc.assert(
    fc.property(blocks, (list) => {
      const lowerBoundBytes = largestLiveSum(list);
      expect(planArena(list, lowerBoundBytes)).toEqual(planArena([...list], lowerBoundBytes));
    }),
  );
});

test('no block, no bytes', () => {
  expect(planArena([], largestLiveSum([]))).toEqual({ offsets: [], sizeBytes: 0 });
});
