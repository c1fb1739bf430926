/**
 * Progress on standard error: a bar on a terminal, else a line when a phase begins.
 */
import { Presets, SingleBar } from 'cli-progress';

export interface Progress {
  /** `done` of `total` steps; a total of 0 is a phase of unknown length. Of units, their speed is shown. */
  report(phase: string, done?: number, total?: number, unit?: 'B'): void;
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
  let began = 0;
  const stop = () => {
    bar?.stop();
    bar = undefined;
    current = '';
  };
  return {
    report(phase, done = 0, total = 0, unit) {
      if (phase !== current) {
        stop();
        current = phase;
        began = performance.now();
        const format =
          total === 0
            ? `${phase} …`
            : `${phase} {bar} {value}/{total}{speed}, {eta_formatted} left`;
        bar = new SingleBar(
          { format, stream, clearOnComplete: true, hideCursor: true, gracefulExit: false },
          Presets.legacy,
        );
        bar.start(total, done, { speed: '' });
      }
      const perSecond = Math.round((1000 * done) / (performance.now() - began));
      const speed = unit === undefined || done === 0 ? '' : `, ${perSecond} ${unit}/s`;
      bar?.update(done, { speed });
    },
    stop,
  };
}
