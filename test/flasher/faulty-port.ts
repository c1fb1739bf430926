/**
 * A proxy that disturbs a port: drops, flips, duplicates and delays bytes in both directions, and
 * cuts the line. The seed decides everything.
 */
import { type Port, PortLost } from '../../flasher/port.ts';

export interface Faults {
  readonly seed: number;
  /** Probabilities for each byte. */
  readonly drop: number;
  readonly flip: number;
  readonly duplicate: number;
  readonly delay: number;
  /** The longest delay. */
  readonly delayMs: number;
  /** The line is gone after so many bytes, both directions counted. */
  readonly cutAfter: number;
}

export const noFaults: Faults = {
  seed: 1,
  ...{ drop: 0, flip: 0, duplicate: 0, delay: 0, delayMs: 0 },
  cutAfter: Number.POSITIVE_INFINITY,
};

export interface FaultyPort extends Port {
  /** Bytes that went through. */
  passed(): number;
}

export function faultyPort(port: Port, faults: Faults): FaultyPort {
  const random = seededRandom(faults.seed);
  let passed = 0;
  let isCut = false;
  /** Bytes held back on their way to the reader. */
  let held: { bytes: Uint8Array; ms: number } | null = null;

  const check = () => {
    if (isCut) throw new PortLost();
  };
  /** What becomes of some bytes, in parts with a pause after each. */
  const disturb = (bytes: Uint8Array): { bytes: Uint8Array; pauseMs: number }[] => {
    const parts: { bytes: Uint8Array; pauseMs: number }[] = [];
    let part: number[] = [];
    const endPart = (pauseMs: number) => {
      if (part.length > 0) parts.push({ bytes: Uint8Array.from(part), pauseMs });
      part = [];
    };
    for (const byte of bytes) {
      if (passed >= faults.cutAfter) {
        isCut = true;
        break;
      }
      passed += 1;
      if (random() < faults.drop) continue;
      const bit = random() < faults.flip ? 1 << Math.floor(random() * 8) : 0;
      part.push(byte ^ bit);
      if (random() < faults.duplicate) part.push(byte ^ bit);
      if (random() < faults.delay) endPart(Math.ceil(random() * faults.delayMs));
    }
    endPart(0);
    return parts;
  };

  return {
    passed: () => passed,
    async read(timeoutMs) {
      check();
      if (held !== null) {
        if (held.ms > timeoutMs) {
          held = { bytes: held.bytes, ms: held.ms - timeoutMs };
          await port.wait(timeoutMs);
          return new Uint8Array(0);
        }
        if (held.ms > 0) await port.wait(held.ms);
        const { bytes } = held;
        held = null;
        return bytes;
      }
      const [first, ...rest] = disturb(await port.read(timeoutMs));
      if (rest.length > 0) {
        held = {
          bytes: Uint8Array.from(rest.flatMap(({ bytes }) => Array.from(bytes))),
          ms: first!.pauseMs,
        };
      }
      if (first === undefined) check();
      return first?.bytes ?? new Uint8Array(0);
    },
    async write(bytes) {
      check();
      for (const part of disturb(bytes)) {
        await port.write(part.bytes);
        if (part.pauseMs > 0) await port.wait(part.pauseMs);
      }
      check();
    },
    setSignals: (signals) => port.setSignals(signals),
    wait: (ms) => port.wait(ms),
    close: () => port.close(),
  };
}

/** Mulberry32: 32 bits of state, any seed will do. */
export function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
