/** Ways into a bootloader: modem lines at BOOT0 and NRST, or a line to the running application. */
import type { Link } from './link.ts';
import type { Port } from './port.ts';

/** Which modem line leads to which pin. */
export interface Wiring {
  readonly boot0: ModemLine;
  readonly nrst: ModemLine;
}

export interface ModemLine {
  readonly line: 'dtr' | 'rts';
  /** Normally asserting a line pulls NRST low, and lets BOOT0 go high. */
  readonly inverted: boolean;
}

const RESET_MS = 100;

/** Resets the chip with BOOT0 high or low; false where the port has no modem lines. */
export async function resetBySignals(
  port: Port,
  { boot0, nrst }: Wiring,
  intoBootloader: boolean,
): Promise<boolean> {
  const levels = (isReset: boolean) => {
    const signals = { dtr: false, rts: false };
    signals[boot0.line] = intoBootloader !== boot0.inverted;
    signals[nrst.line] = isReset !== nrst.inverted;
    return signals;
  };
  // Opening a port raises both lines for a moment: first the level of BOOT0, then the pulse.
  if (!(await port.setSignals(levels(false)))) return false;
  await port.wait(RESET_MS);
  await port.setSignals(levels(true));
  await port.wait(RESET_MS);
  await port.setSignals(levels(false));
  await port.wait(RESET_MS);
  return true;
}

const ANSWER_MS = 3000;
const attempts = 3;
const maxLines = 20;

/** `!boot` on the application's console; true when it said that it goes. */
export async function enterByBootLine(link: Link): Promise<boolean> {
  const text = (line: string) => link.write(Buffer.from(line));
  for (let attempt = 0; attempt < attempts; attempt++) {
    // What was sent to a bootloader that is not there has begun a line: it is ended and answered.
    await text('\n');
    if ((await readLine(link)) === null && attempt > 0) return false;
    await text('!boot\n');
    for (let count = 0; count < maxLines; count++) {
      const line = await readLine(link);
      if (line === null) break;
      if (!/^\{"boot":/.test(line)) continue;
      await link.port.wait(RESET_MS);
      return true;
    }
  }
  return false;
}

async function readLine(link: Link): Promise<string | null> {
  const bytes = await link.until(0x0a, maxLineBytes, ANSWER_MS);
  return bytes === null ? null : new TextDecoder().decode(bytes);
}

const maxLineBytes = 65_536;
