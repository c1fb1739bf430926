/** One run: a board with the old image is flashed over a disturbed line, then over a quiet one. */

import { PortLost } from '../../flasher/port.ts';
import { Lm2mcuError } from '../../toolchain/errors.ts';
import { type BoardKind, type Content, testBoard } from './boards.ts';
import { type Faults, faultyPort, seededRandom } from './faulty-port.ts';
import { virtualLine } from './virtual-line.ts';

export interface FaultRun {
  /** `verified`, or the code of the error. */
  readonly outcome: string;
  /** What the board would start afterwards. */
  readonly content: Content;
  /** It did not answer until it was reset. */
  readonly neededReset: boolean;
  /** Of the disturbed part. */
  readonly bytes: number;
  readonly seconds: number;
  readonly repeats: number;
  /** What was promised and did not hold; empty: all is well. */
  readonly broken: string;
}

export async function faultRun(kind: BoardKind, faults: Faults): Promise<FaultRun> {
  const board = testBoard(kind, faults.seed);
  const connect = () => {
    const line = virtualLine();
    void board.serve(line.device);
    return line;
  };
  const press = () => {
    board.reset();
    return connect();
  };
  let line = connect();
  await board.flash(line.host, 'old');
  if (board.content() !== 'old') throw new Error('the board does not hold the old image');

  if (board.needsButton) line = press();
  const begin = line.now();
  const port = faultyPort(line.host, faults);
  let outcome = 'verified';
  let repeats = 0;
  try {
    repeats = (await board.flash(port, 'new')).repeats;
  } catch (error) {
    if (error instanceof PortLost) outcome = 'port-lost';
    else if (error instanceof Lm2mcuError && error.kind !== 'internal')
      outcome = error.details.code;
    else throw error;
  }
  const content = board.content();
  const seconds = (line.now() - begin) / 1000;
  const problems: string[] = [];
  if (outcome === 'verified' && content !== 'new') problems.push(`verified, but holds ${content}`);
  if (content === 'mixed') problems.push('would start a mixture');

  let neededReset = board.needsButton && outcome === 'verified';
  if (neededReset) line = press();
  try {
    await board.flash(line.host, 'new');
  } catch {
    // What a disturbed length made it wait for may be more than anyone sends.
    neededReset = true;
    await board.flash(press().host, 'new');
  }
  if (board.content() !== 'new') problems.push(`after another try it holds ${board.content()}`);
  const broken = problems.join('; ');
  return { outcome, content, neededReset, bytes: port.passed(), seconds, repeats, broken };
}

/** From a line that is a little noisy to one on which hardly a block goes through. */
export function faultsOf(seed: number): Faults {
  const random = seededRandom(seed);
  const rate = 10 ** (-5 + 2.3 * random());
  const share = () => rate * 2 * random();
  const [drop, flip, duplicate, delay] = [share(), share(), share(), share()];
  const cutAfter = random() < 0.25 ? Math.floor(random() * 5000) : Number.POSITIVE_INFINITY;
  return { seed, drop, flip, duplicate, delay, delayMs: 1500, cutAfter };
}
