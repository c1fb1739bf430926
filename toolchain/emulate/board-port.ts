/** A real board behind its serial port: the firmware that `lm2mcu flash` put there. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { portLost } from '../../flasher/advice.ts';
import { openBoardConsole } from '../../flasher/console.ts';
import { PortLost } from '../../flasher/port.ts';
import { openSerialPort } from '../../flasher/serial-port.ts';
import { userError } from '../errors.ts';
import { sha256Of } from '../sha256.ts';
import { boardOf } from '../targets.ts';
import { type Executor, onConsole } from './executor.ts';
import { parseStoredModel } from './stored-model.ts';

/** Longest silence before an answer; 512 tokens on a slow chip take some seconds. */
const ANSWER_MS = 60_000;
const ATTEMPTS = 3;

export async function openBoard(path: string, folder: string): Promise<Executor> {
  const graphBin = readFileSync(join(folder, 'graph.bin'));
  const model = parseStoredModel(graphBin);
  const { baud } = boardOf(model.target).uart;
  const port = await openSerialPort(path, { baud, parity: 'none' });
  const telling = <T>(work: Promise<T>): Promise<T> =>
    work.catch((error: unknown) => {
      throw error instanceof PortLost ? portLost(path, 'console') : error;
    });
  try {
    const console = await telling(
      openBoardConsole(port, { answerMs: ANSWER_MS, attempts: ATTEMPTS }),
    );
    const { card } = console;
    if (card.sha256 !== sha256Of(graphBin)) throw otherModel(card.name, card.target, folder, path);
    return onConsole('board', model, {
      ask: (line, isPlausible, listener) => telling(console.ask(line, isPlausible, listener)),
      close: () => console.close(),
    });
  } catch (error) {
    await port.close();
    throw error;
  }
}

function otherModel(name: string, target: string, folder: string, path: string): Error {
  return userError({
    code: 'other-model',
    message: `the board runs another build: ${JSON.stringify(name)} for ${target}`,
    where: path,
    hint: `Flash this one: lm2mcu flash ${folder} --port ${path}`,
  });
}
