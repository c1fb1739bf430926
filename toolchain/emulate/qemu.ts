/**
 * Runs a firmware image under QEMU and talks to its console: a line in, a line of JSON out.
 *
 * `-icount shift=0` makes every instruction take one nanosecond of virtual time, so counts are
 * exact and repeatable. The UART takes a byte when the firmware asks for it, so no line is too fast.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { environmentError, internalError, Lm2mcuError, userError } from '../errors.ts';
import type { Target } from '../targets.ts';

const EMULATOR = 'qemu-system-arm';
/** Longest silence before the firmware counts as hung; guests run some 200 Minstr/s and more. */
const ANSWER_TIMEOUT_MS = 120_000;
const START_TIMEOUT_MS = 20_000;

export interface QemuConsole {
  /** Sends a line, without its end, and returns the answer's line. Calls queue up. */
  ask(line: string, timeoutMs?: number): Promise<string>;
  close(): Promise<void>;
}

export interface QemuRequest {
  readonly target: Target;
  /** `Firmware.emulatorElfPath`. */
  readonly elfPath: string;
}

export async function openQemuConsole({ target, elfPath }: QemuRequest): Promise<QemuConsole> {
  const machine = target.emulation?.machine;
  if (machine === undefined) {
    throw userError({
      code: 'no-emulator',
      message: `${target.name} has no emulated twin`,
      hint: 'Run it on the board (--on PORT), or name a twin in its board file.',
    });
  }
  const qemu = await start(machine, elfPath);
  const lines = readLines(qemu);
  const complain = (what: string, code: string, timeoutMs = 0) => {
    qemu.kill('SIGKILL');
    const said = lines.errors();
    const after = timeoutMs > 0 ? ` after ${timeoutMs / 1000} s` : '';
    return new Lm2mcuError('internal', {
      code,
      message: `${what}${after}${said === '' ? '' : `\n${said}`}`,
      where: `${machine} (${EMULATOR})`,
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
        throw complain('the emulator stopped', 'emulator-stopped');
    }
  };
  const askNow = (line: string, timeoutMs: number) => {
    if (/[\r\n]/.test(line)) throw internalError('a console line must not contain its end');
    qemu.stdin.write(`${line}\n`);
    return nextLine(timeoutMs);
  };

  await nextLine(START_TIMEOUT_MS); // {"ready": …}: some UARTs lose what comes before
  let previous: Promise<unknown> = Promise.resolve();
  return {
    ask(line, timeoutMs = ANSWER_TIMEOUT_MS) {
      const answer = previous.then(() => askNow(line, timeoutMs));
      previous = answer.catch(() => {}); // the asker gets the error; the queue goes on
      return answer;
    },
    async close() {
      if (qemu.exitCode !== null || qemu.signalCode !== null) return;
      const closed = once(qemu, 'close');
      qemu.kill('SIGKILL');
      await closed;
    },
  };
}

/** Emulators do not notice that nobody listens any more: none may outlive this process. */
const running = new Set<ChildProcessWithoutNullStreams>();
process.on('exit', () => {
  for (const qemu of running) qemu.kill('SIGKILL');
});

async function start(machine: string, elfPath: string): Promise<ChildProcessWithoutNullStreams> {
  const qemu = spawn(EMULATOR, [
    ...['-M', machine, '-kernel', elfPath, '-icount', 'shift=0'],
    ...['-display', 'none', '-monitor', 'none', '-net', 'none', '-serial', 'stdio'],
  ]);
  running.add(qemu);
  qemu.once('close', () => running.delete(qemu));
  qemu.stdin.on('error', () => {}); // a broken pipe shows as the end of stdout
  try {
    await once(qemu, 'spawn');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') {
      throw environmentError({
        code: 'missing-emulator',
        message: `${EMULATOR} is not installed`,
        hint: 'On Debian and Ubuntu: apt install qemu-system-arm',
      });
    }
    throw cause;
  }
  return qemu;
}

type Answer =
  | { readonly kind: 'line' | 'fault'; readonly text: string }
  | { readonly kind: 'silence' | 'end' };

/** The output as a queue of lines; a fault report ends it like the end of the process. */
function readLines(qemu: ChildProcessWithoutNullStreams) {
  const queue: Answer[] = [];
  let wake = () => {};
  let errors = '';
  const push = (answer: Answer) => {
    queue.push(answer);
    wake();
  };
  createInterface({ input: qemu.stdout, crlfDelay: Number.POSITIVE_INFINITY }).on(
    'line',
    (text) => {
      if (text === '') return; // a fault report begins with an empty line
      push({ kind: text.startsWith('{"fault":') ? 'fault' : 'line', text });
    },
  );
  qemu.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  qemu.once('close', () => push({ kind: 'end' }));
  return {
    errors: () => errors.split('\n').filter(isTelling).slice(0, 5).join('\n'),
    async next(timeoutMs: number): Promise<Answer> {
      if (queue.length === 0) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, timeoutMs);
          wake = () => {
            clearTimeout(timer);
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

/** Boards with a network chip always warn that nothing is plugged in. */
function isTelling(line: string): boolean {
  return line !== '' && !line.includes('has no peer');
}
