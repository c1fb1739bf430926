/** The other end of an emulated board's line, for tests: lines of the console, bytes of the bootloader. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { constants, openSync, statSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import { promisify } from 'node:util';
import { ACK, NACK } from './harness.ts';

const SYNC = 0x7f;
const ANSWER_TIMEOUT_MS = 60_000;
/** How long an application may take to obey `!boot`: a bootloader does not answer it. */
const OBEY_MS = 500;
/** Long enough that no knock is under way any more when the next one comes. */
const KNOCK_MS = 3_000;

export interface Serial {
  write(text: string): void;
  /** The next line of the console. */
  line(): Promise<string>;
  /** Into the bootloader, wherever the board is; what the console said before that. */
  enterBootloader(): Promise<readonly string[]>;
  /** Into the bootloader past an application that does not listen: 0x7F while the board resets. */
  knockWhile(reset: () => Promise<void>): Promise<void>;
  /** Leaves the line to another program for as long as that works. */
  lend<T>(work: () => Promise<T>): Promise<T>;
  close(): void;
}

export function openSerial(port: string): Serial {
  const lines: string[] = [];
  let begun = '';
  let isInBootloader = false;
  let wake = () => {};
  let isClosed = false;
  let failure: Error | undefined;
  const broken: string[] = [];
  let stream = open(port, take, fail);

  /** That of a board that was killed says nothing; another is in the message of the next silence. */
  function fail(error: Error): void {
    failure = error;
  }

  function take(bytes: Buffer): void {
    for (const byte of bytes) {
      if (byte === 0x0a) {
        if (begun !== '') lines.push(begun);
        begun = '';
      } else if (begun === '' && (byte === ACK || byte === NACK)) isInBootloader = true;
      else begun += String.fromCharCode(byte);
    }
    wake();
  }

  const change = (timeoutMs: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  const noAnswer = () =>
    new Error(
      `the bootloader does not answer; lines ${JSON.stringify(lines)}, broken off ${JSON.stringify(broken)}, error ${failure?.message}`,
    );
  const write = (text: string) => {
    stream.write(Buffer.from(text, 'latin1'));
  };
  return {
    write: (text) => write(Buffer.from(text).toString('latin1')),
    async line() {
      const end = Date.now() + ANSWER_TIMEOUT_MS;
      while (lines.length === 0) {
        if (Date.now() > end) throw new Error(`no line came, only ${JSON.stringify(begun)}`);
        await change(ANSWER_TIMEOUT_MS);
      }
      return lines.shift()!;
    },
    async enterBootloader() {
      const end = Date.now() + ANSWER_TIMEOUT_MS;
      isInBootloader = false;
      while (!isInBootloader) {
        if (Date.now() > end) throw noAnswer();
        write('\n!boot\n');
        await new Promise((resolve) => setTimeout(resolve, OBEY_MS));
        // A line that a reset broke off never ends: what comes now is an answer to the knock.
        broken.push(begun);
        begun = '';
        write(String.fromCharCode(SYNC));
        const knocked = Date.now();
        while (!isInBootloader && Date.now() < knocked + KNOCK_MS) await change(KNOCK_MS);
      }
      return lines.splice(0);
    },
    async knockWhile(reset) {
      isInBootloader = false;
      begun = '';
      const knock = () => write(String.fromCharCode(SYNC));
      const knocking = setInterval(knock, 20);
      await reset();
      const end = Date.now() + ANSWER_TIMEOUT_MS;
      while (!isInBootloader && Date.now() < end) await change(KNOCK_MS);
      clearInterval(knocking);
      if (!isInBootloader) throw noAnswer();
      // What was knocked too often is a frame that breaks off, a second later.
      await new Promise((resolve) => setTimeout(resolve, 2_000));
    },
    async lend(work) {
      // A paused stream goes on reading into its buffer.
      stream.destroy();
      await once(stream, 'close');
      try {
        return await work();
      } finally {
        if (!isClosed) stream = open(port, take, fail);
      }
    },
    close() {
      isClosed = true;
      stream.destroy();
    },
  };
}

function open(
  port: string,
  take: (bytes: Buffer) => void,
  fail: (error: Error) => void,
): ReadStream {
  const file = openSync(port, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
  const stream = new ReadStream(file);
  stream.setRawMode(true);
  stream.on('error', fail);
  stream.on('data', take);
  return stream;
}

const run = promisify(execFile);

/** Debian's stm32flash writes a file and reads it back; `go` then starts the application. */
export async function stm32flash(
  port: string,
  file: string,
  address: number,
  { go = false }: { readonly go?: boolean } = {},
): Promise<string> {
  const extent = `0x${address.toString(16)}:${statSync(file).size}`;
  const { stdout } = await run('stm32flash', [
    ...['-b', '115200', '-m', '8n1', '-w', file, '-v', '-S', extent],
    ...(go ? ['-g', '0x0'] : []),
    port,
  ]);
  return stdout;
}
