/**
 * What has to be undone when the user interrupts: temporary folders, child processes.
 *
 * Signals are caught only while something is to be undone. A computation that is not then ends at
 * once, though it never returns to the event loop.
 */
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export interface Interrupts {
  /** Adds what has to happen before an interrupted process ends; returns how to take it back. */
  readonly onInterrupt: (cleanUp: () => void) => () => void;
  /**
   * While something can still be undone: the first Ctrl-C is given to `cancel` and does not end the
   * process. Returns how to take it back.
   */
  readonly onCancel: (cancel: () => void) => () => void;
}

/** `end` is called when all is undone, with the signals uncaught again. */
export function interrupts(end: (signal: NodeJS.Signals) => void): Interrupts {
  const pending = new Set<() => void>();
  let cancelFirst: (() => void) | undefined;
  const onSignal = (signal: NodeJS.Signals) => {
    const cancel = cancelFirst;
    cancelFirst = undefined;
    if (signal === 'SIGINT' && cancel !== undefined) return cancel();
    for (const cleanUp of pending) cleanUp();
    pending.clear();
    release();
    end(signal);
  };
  const release = () => {
    for (const signal of signals) process.off(signal, onSignal);
  };
  return {
    onInterrupt(cleanUp) {
      if (pending.size === 0) for (const signal of signals) process.on(signal, onSignal);
      pending.add(cleanUp);
      return () => {
        pending.delete(cleanUp);
        if (pending.size === 0) release();
      };
    },
    onCancel(cancel) {
      cancelFirst = cancel;
      return () => {
        cancelFirst = undefined;
      };
    },
  };
}
