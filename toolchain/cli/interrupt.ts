/**
 * What has to be undone when the user interrupts: temporary folders, child processes.
 *
 * Signals are caught only while something is to be undone. A computation that is not then ends at
 * once, though it never returns to the event loop.
 */
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** `end` is called when all is undone, with the signals uncaught again. */
export function cleanUps(
  end: (signal: NodeJS.Signals) => void,
): (cleanUp: () => void) => () => void {
  const pending = new Set<() => void>();
  const onSignal = (signal: NodeJS.Signals) => {
    for (const cleanUp of pending) cleanUp();
    pending.clear();
    release();
    end(signal);
  };
  const release = () => {
    for (const signal of signals) process.off(signal, onSignal);
  };
  return (cleanUp) => {
    if (pending.size === 0) for (const signal of signals) process.on(signal, onSignal);
    pending.add(cleanUp);
    return () => {
      pending.delete(cleanUp);
      if (pending.size === 0) release();
    };
  };
}
