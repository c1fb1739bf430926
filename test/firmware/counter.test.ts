/**
 * The instruction counter against assembly loops of known length, on every emulated machine.
 *
 * A count is a difference of two readings of a clock that advances once a tick, so it may be off by
 * less than a tick; the same holds for the shortest loop, which tells the cost of the call around
 * it. The overflow interrupt, six instructions each 2^24 ticks, is part of what is counted.
 */
import { describe, expect, test } from 'vitest';
import { emulatedBoards, hasEmulator, openFake } from './fake-firmware.ts';

const PERIOD_TICKS = 2 ** 24;
const OVERFLOW_INSTRUCTIONS = 6;

describe.skipIf(!hasEmulator)('instruction counter', () => {
  test.each(emulatedBoards.map((target) => [target.name, target] as const))(
    '%s counts to within a tick, beyond 24 bits',
    async (_name, target) => {
      const { ask } = await openFake(target);
      const { units, ticks } = target.counter;
      const tick = units / ticks;
      const count = async (thousands: number) =>
        JSON.parse(await ask(`#ids 1000000 ${thousands}`)).instructions.inference;

      const shortest = [];
      for (let i = 0; i < 100; i++) shortest.push(await count(1));
      const overhead = shortest.reduce((sum, value) => sum + value, 0) / shortest.length - 1000;

      for (const thousands of [2, 5, 10, 100, 1_000, 10_000, 100_000, 1_000_000]) {
        const overflows = Math.ceil((thousands * 1000) / tick / PERIOD_TICKS);
        const error = (await count(thousands)) - thousands * 1000 - overhead;
        expect(error).toBeGreaterThan(-tick - 1);
        expect(error).toBeLessThan(tick + 1 + overflows * OVERFLOW_INSTRUCTIONS);
      }
    },
  );

  test('counts repeat exactly in a fresh emulator', async () => {
    const [target] = emulatedBoards;
    const counts = async () => {
      const { ask, close } = await openFake(target!);
      const answers = [await ask('hello'), await ask('#ids 1000000 12345')];
      await close();
      return answers.map((answer) => JSON.parse(answer).instructions);
    };
    const [text, loop] = await counts();
    const [again, loopAgain] = await counts();
    for (const key of ['tokenizer', 'inference']) {
      expect(Math.abs(text[key] - again[key])).toBeLessThanOrEqual(target!.counter.units);
      expect(Math.abs(loop[key] - loopAgain[key])).toBeLessThanOrEqual(target!.counter.units);
    }
  });
});
