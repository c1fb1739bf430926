/**
 * Progress on standard error: a bar on a terminal, else a line when a phase begins.
 */
import { Presets, SingleBar } from 'cli-progress';

export interface Progress {
  /** `done` of `total` steps; a total of 0 is a phase of unknown length. */
  report(phase: string, done?: number, total?: number): void;
  /** Takes the bar away. */
  stop(): void;
}

export function createProgress(stream: NodeJS.WriteStream): Progress {
  const isTerminal = stream.isTTY === true && process.env['TERM'] !== 'dumb';
  return isTerminal && !process.env['CI'] ? bars(stream) : lines(stream);
}

function lines(stream: NodeJS.WritableStream): Progress {
  let current = '';
  return {
    report(phase) {
      if (phase === current) return;
      current = phase;
      stream.write(`${phase} …\n`);
    },
    stop() {},
  };
}

/** Without colours, so NO_COLOR needs no case of its own. */
function bars(stream: NodeJS.WriteStream): Progress {
  let current = '';
  let bar: SingleBar | undefined;
  const stop = () => {
    bar?.stop();
    bar = undefined;
    current = '';
  };
  return {
    report(phase, done = 0, total = 0) {
      if (phase !== current) {
        stop();
        current = phase;
        const format =
          total === 0 ? `${phase} …` : `${phase} {bar} {value}/{total}, {eta_formatted} left`;
        bar = new SingleBar(
          { format, stream, clearOnComplete: true, hideCursor: true, gracefulExit: false },
          Presets.legacy,
        );
        bar.start(total, done);
      }
      bar?.update(done);
    },
    stop,
  };
}
