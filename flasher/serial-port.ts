/**
 * A real serial port, or a pty, through npm's `serialport`. The package is loaded when a port is
 * opened, so that everything else works where native code cannot be installed.
 */
import type { SerialPort } from 'serialport';
import { portError, portStuck } from './advice.ts';
import { loadSerialPort } from './load-serialport.ts';
import { type LineSettings, type Port, PortLost } from './port.ts';
import { listPorts } from './ports.ts';

/** What serialport takes in one piece; where more is on its way in both directions it can stall. */
const WRITE_PIECE_BYTES = 256;
const WRITE_TIMEOUT_MS = 10_000;
/** Beyond, the port is told to wait: the memory of a chatty line is bounded. */
const MAX_UNREAD_BYTES = 1 << 20;

export async function openSerialPort(path: string, settings: LineSettings): Promise<Port> {
  const { SerialPort } = await loadSerialPort();
  const port = new SerialPort({
    path,
    baudRate: settings.baud,
    parity: settings.parity,
    autoOpen: false,
  });
  await new Promise<void>((resolve, reject) => {
    port.open((error) => (error === null ? resolve() : reject(error)));
  }).catch(async (cause: unknown) => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw portError({ path, reason, platform: process.platform, ports: await listPorts() });
  });
  return adapt(port);
}

function adapt(port: SerialPort): Port {
  const unread: Uint8Array[] = [];
  let unreadBytes = 0;
  let isLost = false;
  let wake = () => {};
  let loseWriter = () => {};
  port.on('data', (bytes: Uint8Array) => {
    unread.push(bytes);
    unreadBytes += bytes.length;
    if (unreadBytes > MAX_UNREAD_BYTES) port.pause();
    wake();
  });
  // `close` comes without an error before it where the far end of a pty is closed.
  for (const event of ['close', 'error'] as const) {
    port.on(event, () => {
      isLost = true;
      loseWriter();
      wake();
    });
  }
  const call = (act: (done: (error?: Error | null) => void) => void) =>
    new Promise<void>((resolve, reject) => {
      act((error) => (error ? reject(error) : resolve()));
    });

  return {
    async read(timeoutMs) {
      if (unread.length === 0 && !isLost && timeoutMs > 0) {
        await new Promise<void>((resolve) => {
          const isBounded = Number.isFinite(timeoutMs);
          const timer = isBounded ? setTimeout(resolve, timeoutMs) : undefined;
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      const bytes = unread.shift();
      if (bytes === undefined && isLost) throw new PortLost();
      unreadBytes -= bytes?.length ?? 0;
      if (port.isPaused() && unreadBytes < MAX_UNREAD_BYTES / 2) port.resume();
      return bytes ?? new Uint8Array(0);
    },
    async write(bytes) {
      for (let start = 0; start < bytes.length; start += WRITE_PIECE_BYTES) {
        if (isLost) throw new PortLost();
        const piece = bytes.subarray(start, start + WRITE_PIECE_BYTES);
        await within(
          WRITE_TIMEOUT_MS,
          call((done) => {
            loseWriter = () => done(new PortLost());
            port.write(piece, undefined, (error) => (error ? done(error) : port.drain(done)));
          }),
        ).catch((cause: unknown) => {
          if (cause === timedOut) throw portStuck(port.path);
          throw new PortLost({ cause });
        });
      }
    },
    async setSignals({ dtr, rts }) {
      try {
        await call((done) => port.set({ dtr, rts }, done));
        return true;
      } catch {
        // A pty has no modem lines, and some adapters do not lead them out.
        return false;
      }
    },
    wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    async close() {
      if (port.isOpen) await call((done) => port.close(done)).catch(() => {}); // gone already
    },
  };
}

const timedOut = Symbol('timed out');

async function within(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(timedOut), ms);
  });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}
