/**
 * A serial line between two programs of this process, on a clock of its own: time passes only when
 * both wait, and then at once. The same seed gives the same run, and a minute of silence costs nothing.
 */
import type { Port } from '../../flasher/port.ts';

export interface VirtualLine {
  readonly host: Port;
  readonly device: Port;
  /** Milliseconds since the line exists. */
  now(): number;
}

interface Chunk {
  readonly atMs: number;
  readonly bytes: Uint8Array;
}

interface Waiting {
  readonly until: number;
  readonly inbox: Chunk[] | null;
  wake(): void;
}

/** 115200 baud with parity: 11 bits a byte. */
const defaultBytesPerMs = 115_200 / 11 / 1000;

export function virtualLine(bytesPerMs = defaultBytesPerMs): VirtualLine {
  let now = 0;
  /** Of the two programs, those that do not wait; both begin so. */
  let running = 2;
  const waiting = new Set<Waiting>();

  const advance = () => {
    if (running > 0) return;
    let next: Waiting | undefined;
    let time = Number.POSITIVE_INFINITY;
    for (const one of waiting) {
      const arrival = one.inbox?.[0]?.atMs ?? Number.POSITIVE_INFINITY;
      const at = Math.min(one.until, arrival);
      if (at < time) [next, time] = [one, at];
    }
    if (next === undefined) return; // both wait for ever: the test's own timeout tells
    now = Math.max(now, time);
    waiting.delete(next);
    running += 1;
    next.wake();
  };
  const block = (until: number, inbox: Chunk[] | null) =>
    new Promise<void>((resolve) => {
      waiting.add({ until, inbox, wake: resolve });
      running -= 1;
      advance();
    });

  const portOf = (inbox: Chunk[], outbox: Chunk[]): Port => ({
    async read(timeoutMs) {
      const isHere = () => inbox[0] !== undefined && inbox[0].atMs <= now;
      if (!isHere() && timeoutMs > 0) await block(now + timeoutMs, inbox);
      return isHere() ? inbox.shift()!.bytes : new Uint8Array(0);
    },
    async write(bytes) {
      if (bytes.length === 0) return;
      const atMs = now + bytes.length / bytesPerMs;
      outbox.push({ atMs, bytes: bytes.slice() });
      await block(atMs, null);
    },
    setSignals: async () => false,
    wait: (ms) => block(now + ms, null),
    close: async () => {},
  });
  const toDevice: Chunk[] = [];
  const toHost: Chunk[] = [];
  return { host: portOf(toHost, toDevice), device: portOf(toDevice, toHost), now: () => now };
}
