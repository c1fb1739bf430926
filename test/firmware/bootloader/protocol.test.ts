/**
 * The bootloader's C on the host: the frames of AN3155, any noise between and inside them, and a
 * power cut after every byte of the line and of the storage.
 */
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { crc32Stm32 } from '../../../flasher/checksums.ts';
import { makeRandom } from '../../tokenizer/samples.ts';
import {
  ACK,
  addressFrame,
  bigEndian,
  checked,
  command,
  dump,
  eraseFrames,
  failAfter,
  flashSession,
  goFrames,
  line,
  makeDevice,
  makeImage,
  NACK,
  pageBytes,
  parseOutput,
  poke,
  reset,
  silence,
  storageBytes,
  stored,
  writeFrames,
} from './harness.ts';

const device = makeDevice();
afterAll(device.close);
const run = (...records: readonly (readonly number[])[]) => parseOutput(device.run(...records));

const image = makeImage(1, 300, 600);
const other = makeImage(2, 412, 900);

describe('commands', () => {
  const answer = (...bytes: readonly number[]) => run(line(...bytes)).sent;
  const commands = [0x00, 0x01, 0x02, 0x11, 0x21, 0x31, 0x44, 0xa1];

  test('GET, GET_VERSION and GET_ID', () => {
    expect(answer(...command(0x00))).toEqual([ACK, 8, 0x31, ...commands, ACK]);
    expect(answer(...command(0x01))).toEqual([ACK, 0x31, 0, 0, ACK]);
    expect(answer(...command(0x02))).toEqual([ACK, 1, 0x04, 0x50, ACK]);
  });

  test('every other byte, and every wrong complement, is refused', () => {
    const others = Array.from({ length: 256 }, (_, code) => code).filter(
      (code) => !commands.includes(code),
    );
    expect(answer(...others.flatMap(command))).toEqual(others.map(() => NACK));
    const wrong = commands.flatMap((code) => [code, code ^ 0xfe]);
    expect(answer(...wrong)).toEqual(commands.map(() => NACK));
  });

  test('what is written is read, and its checksum is the STM32\u2019s', () => {
    const data = Uint8Array.from({ length: 256 }, (_, i) => 255 - i);
    const count = bigEndian(256);
    const { sent } = run(
      line(...writeFrames(1020, data)),
      line(...command(0x11), ...addressFrame(1020), ...command(255)),
      line(...command(0xa1), ...addressFrame(1020), ...checked(count)),
    );
    expect(sent).toEqual([
      ...[ACK, ACK, ACK],
      ...[ACK, ACK, ACK, ...data],
      ...[ACK, ACK, ACK, ACK, ...checked(bigEndian(crc32Stm32(data)))],
    ]);
  });

  test.each([
    ['an address before the storage', [...command(0x11), ...addressFrame(-4)], [ACK, NACK]],
    ['an address behind it', [...command(0x11), ...addressFrame(storageBytes)], [ACK, NACK]],
    ['a read beyond its end', readFrames(storageBytes - 4, 5), [ACK, ACK, NACK]],
    ['a wrong address checksum', [...command(0x31), 8, 0, 0, 0, 9], [ACK, NACK]],
    ['an address that is no word\u2019s', writeFrames(2, [1, 2, 3, 4]), [ACK, ACK, NACK]],
    ['three bytes', writeFrames(0, [1, 2, 3]), [ACK, ACK, NACK]],
    ['a write beyond the end', writeFrames(storageBytes - 4, new Uint8Array(8)), [ACK, ACK, NACK]],
    ['an erasure of a page too many', eraseFrames([0, 8]), [ACK, NACK]],
    ['a bank', [...command(0x44), ...checked([0xff, 0xfe])], [ACK, NACK]],
    ['a checksum beyond the end', checksumFrames(4, storageBytes), [ACK, ACK, NACK]],
    ['a checksum of 3 bytes', checksumFrames(0, 3), [ACK, ACK, NACK]],
    ['GO without an image', goFrames(), [ACK, NACK]],
  ])('%s is refused, and nothing changes', (_what, frames, expected) => {
    const { sent, dumps } = run(line(...frames), dump);
    expect(sent).toEqual(expected);
    expect(dumps[0]!.equals(Buffer.alloc(storageBytes, 0xff))).toBe(true);
  });

  test('bits go from 1 to 0 only: a write that would need more is refused', () => {
    expect(
      run(line(...writeFrames(8, [0xf0, 0, 0, 0]), ...writeFrames(8, [0x0f, 0, 0, 0]))).sent,
    ).toEqual([ACK, ACK, ACK, ACK, ACK, NACK]);
  });

  test('mass erasure, and chosen pages only', () => {
    const fill = Array.from({ length: storageBytes / 256 }, (_, i) =>
      writeFrames(i * 256, new Uint8Array(256)),
    );
    const { dumps } = run(
      line(...fill.flat(), ...eraseFrames([6, 1])),
      dump,
      line(...command(0x44), ...checked([0xff, 0xff])),
      dump,
    );
    const isErased = (page: number) =>
      dumps[0]!.subarray(page * pageBytes, (page + 1) * pageBytes).every((byte) => byte === 0xff);
    expect([0, 1, 2, 3, 4, 5, 6, 7].filter(isErased)).toEqual([1, 6]);
    expect(dumps[1]!.every((byte) => byte === 0xff)).toBe(true);
  });

  test('GO starts a valid image by its header or its code, and nothing else', () => {
    const { sent, events } = run(
      line(...flashSession(image), ...goFrames(4), ...goFrames(0), ...goFrames(512)),
    );
    expect(sent.slice(-6)).toEqual([ACK, NACK, ACK, ACK, ACK, ACK]);
    expect(events).toBe('GG');
  });
});

describe('a valid image', () => {
  test('is valid, and no bit of it can change', () => {
    const storage = stored(image);
    const extents = image.map(({ offset, bytes }) => [offset, bytes.length] as const);
    // Between header and code nothing is read.
    const isRead = (at: number) =>
      extents.some(([offset, count]) => at >= offset && at < offset + count) &&
      !(at >= 256 && at < 512);
    const flips = Array.from({ length: storageBytes * 8 }, (_, bit) => bit).filter(
      (bit) => isRead(bit >> 3) && (bit >> 3 < 256 || bit % 7 === 0),
    );
    const { events } = run(
      ...Array.from(storage, (byte, offset) => poke(offset, byte)),
      reset,
      ...flips.flatMap((bit) => {
        const [offset, byte] = [bit >> 3, storage[bit >> 3]!];
        return [poke(offset, byte ^ (1 << (bit & 7))), reset, poke(offset, byte)];
      }),
      reset,
    );
    expect(events).toBe(`V${'I'.repeat(flips.length)}V`);
    expect(flips.length).toBeGreaterThan(3000);
  });

  test('random headers with a right checksum read nothing outside the storage', () => {
    const random = makeRandom(5);
    const wild = () => [0, 4, 256, 300, storageBytes - 4, storageBytes, 0xffff_fffc][random(7)]!;
    const trials = Array.from({ length: 2000 }, () => {
      const header = Buffer.from(stored(image).subarray(0, 256));
      const words = [0x2c, 0x30, 0x34, 0x38, 0x3c, 0x44, 0x48];
      const changed = words.filter(() => random(3) === 0);
      for (const at of changed) header.writeUInt32LE(at === 0x34 ? random(9) : wild(), at);
      header.writeUInt32LE(crc32Stm32(header.subarray(0, 0xf8)), 0xf8);
      return [...header].flatMap((byte, offset) => poke(offset, byte)).concat(reset);
    });
    // Under the sanitizers; the program would have stopped.
    const { events } = run(
      ...Array.from(stored(image), (byte, offset) => poke(offset, byte)),
      ...trials,
    );
    expect(events).toHaveLength(2000);
  });
});

describe('noise', () => {
  const byte = fc.integer({ min: 0, max: 255 });
  const noise = fc.array(fc.oneof(byte, fc.constantFrom(0x31, 0xce, 0x44, 0xbb, 0x7f, 0xff, 0)), {
    maxLength: 400,
  });

  test('whatever came before, after a silence a command is answered', () => {
    fc.assert(
      fc.property(noise, (bytes) => {
        const { sent } = run(line(...bytes), silence, line(...command(0x02)));
        expect(sent.slice(-5)).toEqual([ACK, 1, 0x04, 0x50, ACK]);
      }),
      { numRuns: 100, seed: 1 },
    );
  });

  test('so it is after 5,000 sessions that were disturbed', () => {
    const random = makeRandom(11);
    const session = flashSession(image);
    const noises = Array.from({ length: 5000 }, () => {
      const begin = random(session.length);
      const bytes = session.slice(begin, begin + random(800));
      for (let i = random(6); i >= 0; i--) {
        const more = Array.from({ length: random(4) }, () => random(256));
        bytes.splice(random(bytes.length + 1), random(4), ...more);
      }
      return [...line(...bytes), ...silence, ...line(...command(0x02)), ...reset];
    });
    const { sent, events, sentBefore } = run(...noises);
    expect(events.replaceAll('G', '')).toHaveLength(noises.length);
    sentBefore.forEach((count, index) => {
      if (events[index] === 'G') return;
      expect(sent.slice(count - 5, count)).toEqual([ACK, 1, 0x04, 0x50, ACK]);
    });
  });

  test('a session with bytes lost, doubled or changed leaves no image that is valid and wrong', () => {
    const session = flashSession(image);
    const good = stored(image);
    const random = makeRandom(7);
    const runs = Array.from({ length: 300 }, () => {
      const bytes = [...session];
      for (let i = random(4); i >= 0; i--) {
        const more = random(2) === 0 ? [random(256)] : [];
        bytes.splice(random(bytes.length), random(3), ...more);
      }
      return [line(...bytes), silence, reset, dump];
    });
    const { events, dumps } = run(...runs.flat());
    const sizes = image.map(({ offset, bytes }) => [offset, offset + bytes.length] as const);
    dumps.forEach((storage, index) => {
      if (events[index] !== 'V') return;
      for (const [start, end] of sizes) {
        expect(storage.subarray(start, end).equals(good.subarray(start, end))).toBe(true);
      }
    });
    expect(events).toContain('I');
  });
});

describe('a power cut', () => {
  const session = flashSession(image);
  const before = [line(...flashSession(other)), reset];
  const isWhole = (storage: Buffer, whole: ReturnType<typeof makeImage>) =>
    whole.every(({ offset, bytes }) =>
      storage.subarray(offset, offset + bytes.length).equals(Buffer.from(bytes)),
    );

  function expectRecovery(cuts: readonly (readonly (readonly number[])[])[]): void {
    const again = [line(...session), reset];
    const { events, dumps } = run(
      ...cuts.flatMap((cut) => [...before, ...cut, reset, dump, ...again]),
    );
    const outcomes = events.replaceAll('F', '').match(/.../g)!;
    expect(outcomes).toHaveLength(cuts.length);
    outcomes.forEach((outcome, index) => {
      expect(outcome, `cut ${index}`).toMatch(/^V[VI]V$/);
      const whole = isWhole(dumps[index]!, other) || isWhole(dumps[index]!, image);
      expect(outcome[1] === 'V', `cut ${index}`).toBe(whole);
    });
    expect(new Set(outcomes).size).toBe(2);
  }

  test('after any byte of the line', () => {
    expectRecovery(session.map((_, end) => [line(...session.slice(0, end))]));
  });

  test('after any byte that is erased or programmed', () => {
    const programmed = stored(image).filter((byte) => byte !== 0xff).length;
    const operations = storageBytes + Math.ceil(programmed / 256) * 256;
    const cuts = Array.from({ length: Math.ceil(operations / 3) }, (_, index) => [
      failAfter(index * 3),
      line(...session),
    ]);
    expectRecovery(cuts);
  });
});

function readFrames(offset: number, count: number): number[] {
  return [...command(0x11), ...addressFrame(offset), ...command(count - 1)];
}

function checksumFrames(offset: number, count: number): number[] {
  return [...command(0xa1), ...addressFrame(offset), ...checked(bigEndian(count))];
}
