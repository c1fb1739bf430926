/** `lm2mcu monitor`: a terminal for the firmware's console. */
import { createInterface, type Interface } from 'node:readline';
import { portLost } from '../../flasher/advice.ts';
import { lineSplitter, type TextLine } from '../../flasher/lines.ts';
import { type Port, PortLost } from '../../flasher/port.ts';
import { openSerialPort } from '../../flasher/serial-port.ts';
import { userError } from '../errors.ts';
import { defineCommand } from './command.ts';
import { loadHistory, saveHistory } from './monitor-history.ts';
import { describeLine, eventOf, type MonitorLine } from './monitor-lines.ts';

export const monitorCommand = defineCommand({
  usage: 'monitor',
  summary: 'Talk to the firmware on a board: a line of text in, its answer out',
  positionals: {},
  options: {
    port: {
      type: 'string',
      demandOption: true,
      requiresArg: true,
      describe: 'The serial port (lm2mcu ports)',
    },
    baud: { type: 'number', default: 115200, requiresArg: true, describe: 'Speed of the line' },
    timestamps: { type: 'boolean', default: false, describe: 'Put the time before each line' },
    raw: { type: 'boolean', default: false, describe: 'Show answers as the board sends them' },
    for: {
      type: 'number',
      requiresArg: true,
      describe: 'End after so many seconds; without it at the end of the input (Ctrl-D)',
    },
  },
  examples: [
    ['lm2mcu monitor --port /dev/ttyACM0 --timestamps', 'Up and down bring earlier lines back'],
    [
      'lm2mcu monitor --port /dev/ttyACM0 --json --for 10',
      'A JSON object a line for everything that is said in ten seconds',
    ],
  ],
  async run({ port: path, baud, timestamps, raw, for: seconds, json }, { color }) {
    if (seconds !== undefined && !(seconds > 0)) {
      throw userError({
        code: 'usage',
        message: '--for takes a number of seconds above 0',
        hint: 'lm2mcu monitor --help shows what can be given.',
      });
    }
    const port = await openSerialPort(path, { baud, parity: 'none' });
    const show = (line: MonitorLine): string =>
      json === true
        ? JSON.stringify(eventOf(line))
        : describeLine(line, { timestamps, raw, color });
    const counts = { sent: 0, received: 0 };
    try {
      await talk(port, seconds, counts, show, json === true);
    } catch (error) {
      if (error instanceof PortLost) throw portLost(path, 'console');
      throw error;
    } finally {
      await port.close();
    }
    return { json: counts, text: `${counts.sent} lines sent, ${counts.received} received` };
  },
});

type Counts = { sent: number; received: number };

const SILENCE_MS = 200;
/** A board that computes is silent that long at most; then the next line is sent all the same. */
const ANSWER_MS = 60_000;

async function talk(
  port: Port,
  seconds: number | undefined,
  counts: Counts,
  show: (line: MonitorLine) => string,
  isJson: boolean,
): Promise<void> {
  const isTerminal = process.stdin.isTTY === true && process.stdout.isTTY === true && !isJson;
  const input = createInterface({
    input: process.stdin,
    terminal: isTerminal,
    prompt: '> ',
    historySize: 500,
    ...(isTerminal ? { output: process.stdout, history: loadHistory() } : {}),
  });
  input.on('history', (history: string[]) => saveHistory(history));
  const waiting: string[] = [];
  let isEnded = false;
  input.on('line', (line) => waiting.push(line));
  for (const event of ['close', 'SIGINT'] as const) input.on(event, () => (isEnded = true));
  if (isTerminal) input.prompt();

  const print = (line: MonitorLine) => printAbove(input, isTerminal, show(line));
  const splitter = lineSplitter();
  const began = performance.now();
  const isOver = () => seconds !== undefined && performance.now() - began >= seconds * 1000;
  /** When the answer to what was sent is given up. */
  let answerBy: number | null = null;
  try {
    for (;;) {
      const bytes = await port.read(SILENCE_MS);
      const partial = bytes.length === 0 && answerBy === null ? splitter.flush() : null;
      const lines: readonly TextLine[] = [...splitter.push(bytes), ...(partial ? [partial] : [])];
      for (const { text, isCut } of lines) {
        counts.received += 1;
        answerBy = null;
        print({ from: 'board', at: new Date(), text, isCut });
      }
      if (isOver()) return;
      if (answerBy !== null && performance.now() < answerBy && !isTerminal) continue;
      const next = waiting.shift();
      if (next !== undefined) {
        await port.write(new TextEncoder().encode(`${next}\n`));
        counts.sent += 1;
        answerBy = performance.now() + ANSWER_MS;
        if (!isTerminal) print({ from: 'host', at: new Date(), text: next, isCut: false });
        if (isTerminal) input.prompt();
      } else if (isEnded && (seconds === undefined || isTerminal)) return;
    }
  } finally {
    input.close();
  }
}

/** What comes from the board stands above the line that is being written. */
function printAbove(input: Interface, isTerminal: boolean, text: string): void {
  if (!isTerminal) {
    process.stdout.write(`${text}\n`);
    return;
  }
  process.stdout.write(`\r\u001b[K${text}\n`);
  input.prompt(true);
}
