/**
 * A serial line in five methods. Protocols know nothing else of the world: no clock, no event loop.
 * Time passes only in `read` and `wait`, so a test's line can run on a clock of its own.
 */
export interface Port {
  /** What has come: at least one byte, or none at all when `timeoutMs` passed in silence. */
  read(timeoutMs: number): Promise<Uint8Array>;
  /** Ends when the bytes are on their way; blocks of a few hundred bytes are the right size. */
  write(bytes: Uint8Array): Promise<void>;
  /** Drives the modem lines; false where there are none (a pty, some adapters). */
  setSignals(signals: Signals): Promise<boolean>;
  wait(ms: number): Promise<void>;
  close(): Promise<void>;
}

/** Logical levels: on most adapters `true` pulls the pin low. */
export interface Signals {
  readonly dtr: boolean;
  readonly rts: boolean;
}

export interface LineSettings {
  readonly baud: number;
  readonly parity: 'none' | 'even';
}

/** A line opens more than once where a board is told by opening what it shall do. */
export type OpenPort = (settings: LineSettings) => Promise<Port>;

/** The line is gone: unplugged, or the far end of a pty closed. */
export class PortLost extends Error {
  constructor(options?: ErrorOptions) {
    super('the serial line is gone', options);
    this.name = 'PortLost';
  }
}
