/**
 * Reads a port byte by byte, in counts or in lines. A timeout here is the longest silence between two
 * bytes: with the bound on their number it bounds the whole, without a clock.
 */
import type { Port } from './port.ts';

export interface Link {
  readonly port: Port;
  /** Null after the silence. */
  byte(timeoutMs: number): Promise<number | null>;
  /** Exactly `count` bytes, or null. */
  bytes(count: number, timeoutMs: number): Promise<Uint8Array | null>;
  /** Up to and without `end`; null when it did not come within `maxBytes`. */
  until(end: number, maxBytes: number, timeoutMs: number): Promise<Uint8Array | null>;
  /** Throws away what has come, until the line is silent that long or `maxBytes` have gone. */
  drain(silenceMs: number, maxBytes?: number): Promise<void>;
  write(bytes: ArrayLike<number>): Promise<void>;
}

const defaultDrainBytes = 65_536;

export function openLink(port: Port): Link {
  let buffer = new Uint8Array(0);
  let used = 0;
  const fill = async (timeoutMs: number): Promise<boolean> => {
    if (used < buffer.length) return true;
    buffer = new Uint8Array(await port.read(timeoutMs));
    used = 0;
    return buffer.length > 0;
  };
  const byte = async (timeoutMs: number) => ((await fill(timeoutMs)) ? buffer[used++]! : null);
  return {
    port,
    byte,
    async bytes(count, timeoutMs) {
      const result = new Uint8Array(count);
      for (let have = 0; have < count; ) {
        if (!(await fill(timeoutMs))) return null;
        const part = buffer.subarray(used, used + count - have);
        result.set(part, have);
        have += part.length;
        used += part.length;
      }
      return result;
    },
    async until(end, maxBytes, timeoutMs) {
      const result: number[] = [];
      while (result.length <= maxBytes) {
        const next = await byte(timeoutMs);
        if (next === null) return null;
        if (next === end) return Uint8Array.from(result);
        result.push(next);
      }
      return null;
    },
    async drain(silenceMs, maxBytes = defaultDrainBytes) {
      let left = maxBytes - (buffer.length - used);
      used = buffer.length;
      while (left > 0 && (await fill(silenceMs))) {
        left -= buffer.length;
        used = buffer.length;
      }
    },
    write: (bytes) => port.write(Uint8Array.from(bytes)),
  };
}
