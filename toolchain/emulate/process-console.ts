/**
 * The firmware's console behind a process's stdin and stdout: a line in, a line of JSON out. The
 * process is an emulator, or the firmware compiled for the host.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { internalError, Lm2mcuError } from '../errors.ts';
import { addChild } from '../leftovers.ts';
import { type AnswerListener, cancelByte } from './live-text.ts';

/** Longest silence before the firmware counts as hung; guests run some 200 Minstr/s and more. */
const ANSWER_TIMEOUT_MS = 120_000;
const START_TIMEOUT_MS = 20_000;

export interface AskOptions {
  readonly timeoutMs?: number;
  readonly listener?: AnswerListener | undefined;
}

export interface ProcessConsole {
  /** Sends a line, without its end, and returns the answer's line. Calls queue up. */
  ask(line: string, options?: AskOptions): Promise<string>;
  close(): Promise<void>;
}

export interface ProcessRequest {
  readonly command: string;
  readonly args: readonly string[];
  /** Where it is started; without it here. */
  readonly folder?: string | undefined;
  /** Names the machine in errors. */
  readonly where: string;
  /** When the process ends by itself. */
  readonly stopped: { readonly code: string; readonly message: string };
  /** When the command is not there. */
  readonly missing: () => Lm2mcuError;
  /** Lines on stderr that say nothing about an error. */
  readonly isNoise?: (line: string) => boolean;
}

export async function openProcessConsole(request: ProcessRequest): Promise<ProcessConsole> {
  const child = await start(request);
  const lines = readLines(child, request.isNoise ?? (() => false));
  const complain = (what: string, code: string, timeoutMs = 0) => {
    child.kill('SIGKILL');
    const said = lines.errors();
    const after = timeoutMs > 0 ? ` after ${timeoutMs / 1000} s` : '';
    return new Lm2mcuError('internal', {
      code,
      message: `${what}${after}${said === '' ? '' : `\n${said}`}`,
      where: request.where,
      hint: 'This is a bug in lm2mcu: please report it with the command and the model.',
    });
  };

  const nextLine = async (timeoutMs: number) => {
    const answer = await lines.next(timeoutMs);
    switch (answer.kind) {
      case 'line':
        return answer.text;
      case 'fault':
        throw complain(`the firmware faulted: ${answer.text}`, 'firmware-fault');
      case 'silence':
        throw complain('the firmware does not answer', 'firmware-hang', timeoutMs);
      case 'end':
        throw complain(request.stopped.message, request.stopped.code);
    }
  };
  const askNow = async (
    line: string,
    { timeoutMs = ANSWER_TIMEOUT_MS, listener }: AskOptions,
  ): Promise<string> => {
    if (/[\r\n]/.test(line)) throw internalError('a console line must not contain its end');
    const cancel = () => child.stdin.write(Uint8Array.of(cancelByte));
    if (listener !== undefined) {
      child.stdout.on('data', listener.onBytes);
      listener.signal.addEventListener('abort', cancel);
    }
    child.stdin.write(`${line}\n`);
    try {
      return await nextLine(timeoutMs);
    } finally {
      if (listener !== undefined) {
        child.stdout.off('data', listener.onBytes);
        listener.signal.removeEventListener('abort', cancel);
      }
    }
  };

  await nextLine(START_TIMEOUT_MS); // {"ready": …}: some UARTs lose what comes before
  let previous: Promise<unknown> = Promise.resolve();
  return {
    ask(line, options = {}) {
      const answer = previous.then(() => askNow(line, options));
      previous = answer.catch(() => {}); // the asker gets the error; the queue goes on
      return answer;
    },
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const closed = once(child, 'close');
      child.kill('SIGKILL');
      await closed;
    },
  };
}

async function start({
  command,
  args,
  folder,
  missing,
}: ProcessRequest): Promise<ChildProcessWithoutNullStreams> {
  // A process group of its own: Ctrl-C in a terminal is for this process, which passes it on.
  const child = spawn(command, args, { cwd: folder, detached: process.platform !== 'win32' });
  addChild(child, 'SIGKILL');
  child.stdin.on('error', () => {}); // a broken pipe shows as the end of stdout
  try {
    await once(child, 'spawn');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') throw missing();
    throw cause;
  }
  return child;
}

type Answer =
  | { readonly kind: 'line' | 'fault'; readonly text: string }
  | { readonly kind: 'silence' | 'end' };

/** The output as a queue of lines; a fault report ends it like the end of the process. */
function readLines(child: ChildProcessWithoutNullStreams, isNoise: (line: string) => boolean) {
  const queue: Answer[] = [];
  let wake = () => {};
  let silence: NodeJS.Timeout | undefined;
  let errors = '';
  const push = (answer: Answer) => {
    queue.push(answer);
    wake();
  };
  createInterface({ input: child.stdout, crlfDelay: Number.POSITIVE_INFINITY }).on(
    'line',
    (text) => {
      if (text === '') return; // a fault report begins with an empty line
      push({ kind: text.startsWith('{"fault":') ? 'fault' : 'line', text });
    },
  );
  child.stdout.on('data', () => silence?.refresh());
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  child.once('close', () => push({ kind: 'end' }));
  const isTelling = (line: string) => line !== '' && !isNoise(line);
  return {
    errors: () => errors.split('\n').filter(isTelling).slice(0, 5).join('\n'),
    async next(timeoutMs: number): Promise<Answer> {
      if (queue.length === 0) {
        await new Promise<void>((resolve) => {
          silence = setTimeout(resolve, timeoutMs);
          wake = () => {
            clearTimeout(silence);
            silence = undefined;
            resolve();
          };
        });
      }
      const answer = queue[0];
      if (answer === undefined) return { kind: 'silence' };
      if (answer.kind === 'line') queue.shift();
      return answer;
    },
  };
}
