/**
 * The command line as a process: prints the answer, and ends.
 *
 * Standard output carries the answer and nothing else; talk and progress go to standard error.
 */
import { answer, type Printed, printError, printOutput, wantsJson } from './answer.ts';
import type { Context } from './command.ts';
import { interrupts } from './interrupt.ts';
import { createProgress } from './progress.ts';

await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<void> {
  const asJson = wantsJson(args);
  ignoreClosedPipes();
  const progress = createProgress(process.stderr);
  const color = process.stdout.isTTY === true && process.stdout.hasColors();
  const isWatched = process.stdout.isTTY === true && !asJson;
  const show = (text: string) => {
    progress.stop();
    process.stdout.write(text);
  };
  const context: Context = {
    ...{ progress, color, show: isWatched ? show : null },
    ...interrupts(endBySignal),
  };
  const fail = (cause: unknown) => {
    progress.stop();
    end(printError(cause, asJson));
  };
  process.on('uncaughtException', fail);
  try {
    const output = await answer(args, context);
    progress.stop();
    end(printOutput(output, asJson));
  } catch (error) {
    fail(error);
  }
}

/** `lm2mcu … | head` is no error. */
function ignoreClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0);
      throw error;
    });
  }
}

/** Waits until everything is written: a pipe may take it in parts. */
function end({ stdout, stderr, code }: Printed): void {
  if (stderr !== '') process.stderr.write(stderr);
  process.stdout.write(stdout, () => process.exit(code));
}

/** The caller sees which signal it was. */
function endBySignal(signal: NodeJS.Signals): void {
  process.kill(process.pid, signal);
}
