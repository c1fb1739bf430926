/**
 * Disturbed lines: whatever is lost, flipped, doubled, late or cut off, a run ends in a verified image
 * or in an error, nothing half-written would start, and the board can be flashed again.
 */
import { describe, expect, test } from 'vitest';
import { boardKinds, testBoard } from './boards.ts';
import { faultRun, faultsOf } from './fault-run.ts';
import { noFaults } from './faulty-port.ts';
import { virtualLine } from './virtual-line.ts';

/** `npm run bench flash` does ten thousand of each. */
const runs = 60;

describe.each(boardKinds)('%s', (kind) => {
  test('a quiet line: verified, without a repeat', async () => {
    const run = await faultRun(kind, noFaults);
    expect(run).toMatchObject({ outcome: 'verified', content: 'new', repeats: 0, broken: '' });
  });

  test('disturbed lines', async () => {
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= runs; seed++) {
      const run = await faultRun(kind, faultsOf(seed));
      expect(run.broken, `seed ${seed}`).toBe('');
      outcomes.add(run.outcome);
    }
    // The faults are such that some get through and some do not.
    expect(outcomes).toContain('verified');
    expect(outcomes.size).toBeGreaterThan(1);
  });

  test('the line cut after every single byte', async () => {
    const { bytes } = await faultRun(kind, noFaults);
    for (let cutAfter = 0; cutAfter <= bytes; cutAfter++) {
      const run = await faultRun(kind, { ...noFaults, cutAfter });
      expect(run.broken, `cut after ${cutAfter} bytes`).toBe('');
      // Without a press of the button, unless the new image runs and knows no way back.
      if (run.content !== 'new') expect(run.neededReset, `cut after ${cutAfter}`).toBe(false);
    }
  });

  test('the same image again writes nothing, where the protocol can tell', async () => {
    const board = testBoard(kind, 2);
    const flash = async () => {
      const line = virtualLine();
      board.reset();
      void board.serve(line.device);
      return board.flash(line.host, 'new');
    };
    const first = await flash();
    const second = await flash();
    const tells = ['stm32-uart', 'sam-ba', 'sam-ba-uart', 'mcuboot-smp'].includes(kind);
    // Of the two memories of such a board, the NOR.
    const norBytes = kind === 'stm32-writer' ? 512 : 0;
    expect(second.bytesWritten).toBe(tells ? 0 : first.bytesWritten - norBytes);
    expect(second.bytesKept > 0).toBe(tells || norBytes > 0);
  });
});
