/** SMP messages on a console: what is sent is put together again, whatever else is said in between. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mcubootHash } from '../../flasher/protocols/mcuboot-image.ts';
import { type SmpMessage, smpAssembler, smpLines } from '../../flasher/protocols/smp-frame.ts';
import { mcubootImage } from './peers/mcuboot-smp.ts';

const message = fc.record({
  op: fc.integer({ min: 0, max: 3 }),
  group: fc.integer({ min: 0, max: 0xffff }),
  sequence: fc.integer({ min: 0, max: 255 }),
  id: fc.integer({ min: 0, max: 255 }),
  payload: fc.record({ off: fc.nat(), data: fc.uint8Array({ maxLength: 600 }) }),
});

function linesOf(bytes: Uint8Array): readonly Buffer[] {
  const lines: Buffer[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(0x0a, start);
    lines.push(Buffer.from(bytes.subarray(start, end)));
    start = end + 1;
  }
  return lines;
}

test('a message through lines of at most 127 bytes, with log lines between', () => {
  fc.assert(
    fc.property(message, (sent) => {
      const assembler = smpAssembler();
      const lines = linesOf(smpLines(sent));
      const found: SmpMessage[] = [];
      for (const line of lines) {
        expect(line.length).toBeLessThanOrEqual(126);
        expect(assembler.push(Buffer.from('I: a log line'))).toBeNull();
        const complete = assembler.push(line);
        if (complete !== null) found.push(complete);
      }
      expect(found).toEqual([sent]);
    }),
  );
});

test('the echo request of the specification', () => {
  // Header 02 00 0009 0000 01 00, then the CBOR map {"d": "hello"}: after Zephyr's description.
  const lines = smpLines({ op: 2, group: 0, sequence: 1, id: 0, payload: { d: 'hello' } });
  const packet = Buffer.from(Buffer.from(lines).toString('latin1', 2).trim(), 'base64');
  expect(packet.subarray(0, -2).toString('hex')).toBe(
    '0013' + '0200000900000100' + 'a161646568656c6c6f',
  );
});

test('a flipped bit is no message', () => {
  fc.assert(
    fc.property(message, fc.nat(), (sent, where) => {
      const lines = linesOf(smpLines(sent));
      const bits = lines.reduce((sum, { length }) => sum + (length - 2) * 8, 0);
      let bit = where % bits;
      const assembler = smpAssembler();
      for (const line of lines) {
        const damaged = Buffer.from(line);
        const here = (line.length - 2) * 8;
        if (bit >= 0 && bit < here) damaged[2 + (bit >> 3)]! ^= 1 << (bit & 7);
        bit -= here;
        const complete = assembler.push(damaged);
        // A flip in the padding of base64 changes nothing.
        if (complete !== null) expect(complete).toEqual(sent);
      }
    }),
  );
});

test('the hash of an image is checked against its content', () => {
  const image = mcubootImage(new Uint8Array(500).fill(7));
  expect(mcubootHash(image)).toHaveLength(32);
  const damaged = image.slice();
  damaged[100]! ^= 1;
  expect(() => mcubootHash(damaged)).toThrow('its SHA-256 is not that of its content');
  expect(() => mcubootHash(image.subarray(0, 400))).toThrow('it is cut short');
  expect(() => mcubootHash(new Uint8Array(100))).toThrow('it has no MCUboot header');
});
