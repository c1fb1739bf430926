/** Modem lines at BOOT0 and NRST: the order of levels, and adapters that turn them round. */
import { describe, expect, test } from 'vitest';
import { resetBySignals } from '../../flasher/enter.ts';
import type { Port, Signals } from '../../flasher/port.ts';
import { parseWiring } from '../../toolchain/cli/flash.ts';

function recordingPort(hasSignals: boolean) {
  const levels: Signals[] = [];
  const port: Port = {
    read: async () => new Uint8Array(0),
    write: async () => {},
    setSignals: async (signals) => {
      levels.push(signals);
      return hasSignals;
    },
    wait: async () => {},
    close: async () => {},
  };
  return { port, levels };
}

/** Whether a line is asserted in each step. */
async function stepsOf(text: string, intoBootloader: boolean) {
  const { port, levels } = recordingPort(true);
  const wiring = parseWiring(text)!;
  expect(await resetBySignals(port, wiring, intoBootloader)).toBe(true);
  return levels.map((level) => [level[wiring.boot0.line], level[wiring.nrst.line]]);
}

describe('signals', () => {
  test('BOOT0 stands before the reset and after it', async () => {
    const steps = [
      [true, false],
      [true, true],
      [true, false],
    ];
    expect(await stepsOf('boot0=rts,nrst=dtr', true)).toEqual(steps);
    expect(await stepsOf('nrst=rts,boot0=dtr', true)).toEqual(steps);
  });

  test('into the application, and inverted', async () => {
    expect(await stepsOf('boot0=rts,nrst=dtr', false)).toEqual([
      [false, false],
      [false, true],
      [false, false],
    ]);
    expect(await stepsOf('boot0=!rts,nrst=!dtr', true)).toEqual([
      [false, true],
      [false, false],
      [false, true],
    ]);
  });

  test('a port without modem lines says so', async () => {
    const { port } = recordingPort(false);
    expect(await resetBySignals(port, parseWiring('boot0=rts,nrst=dtr')!, true)).toBe(false);
  });

  test.each(['boot0=rts', 'boot0=rts,nrst=rts', 'boot0=cts,nrst=dtr', 'rts,dtr', ''])(
    '%j is refused',
    (text) => {
      expect(() => parseWiring(text)).toThrow('--signals');
    },
  );
});
