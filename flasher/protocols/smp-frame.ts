/**
 * The Simple Management Protocol on a console: messages of a header and a CBOR map, as base64 lines
 * between whatever else the console says (Zephyr's "SMP over console").
 */
import { decode, encode } from 'cborg';
import { crc16Xmodem } from '../checksums.ts';
import { concatenate } from '../image.ts';

export interface SmpHeader {
  readonly op: number;
  readonly group: number;
  readonly sequence: number;
  readonly id: number;
}

export interface SmpMessage extends SmpHeader {
  readonly payload: Readonly<Record<string, unknown>>;
}

export const SmpOp = { read: 0, readAnswer: 1, write: 2, writeAnswer: 3 } as const;

const HEADER_BYTES = 8;
const CRC_BYTES = 2;
/** Of a line, with its marker and its end. */
const LINE_BYTES = 127;
const FIRST = [0x06, 0x09];
const NEXT = [0x04, 0x14];
const LF = 0x0a;

export function smpLines({ op, group, sequence, id, payload }: SmpMessage): Uint8Array {
  const body = encode(payload);
  const head = new DataView(new ArrayBuffer(HEADER_BYTES));
  head.setUint8(0, op);
  head.setUint16(2, body.length);
  head.setUint16(4, group);
  head.setUint8(6, sequence);
  head.setUint8(7, id);
  const message = concatenate([new Uint8Array(head.buffer), body]);
  const packet = Buffer.alloc(2 + message.length + CRC_BYTES);
  packet.writeUInt16BE(message.length + CRC_BYTES, 0);
  packet.set(message, 2);
  packet.writeUInt16BE(crc16Xmodem(message), 2 + message.length);

  const text = packet.toString('base64');
  // Whole groups of four characters in each line.
  const room = Math.floor((LINE_BYTES - 3) / 4) * 4;
  const count = Math.ceil(text.length / room);
  const lines = Array.from({ length: count }, (_, index) =>
    concatenate([
      Uint8Array.from(index === 0 ? FIRST : NEXT),
      Buffer.from(text.slice(index * room, (index + 1) * room)),
      Uint8Array.of(LF),
    ]),
  );
  return concatenate(lines);
}

/** Puts packets together from lines; null: nothing complete, or none of ours. */
export interface SmpAssembler {
  push(line: Uint8Array): SmpMessage | null;
}

const maxPacketBytes = 65_536;

export function smpAssembler(): SmpAssembler {
  let packet: Buffer | null = null;
  return {
    push(line) {
      const [a, b] = line;
      const isFirst = a === FIRST[0] && b === FIRST[1];
      const isNext = a === NEXT[0] && b === NEXT[1];
      if (!isFirst && !isNext) return null;
      if (isNext && packet === null) return null;
      const part = Buffer.from(Buffer.from(line.subarray(2)).toString('latin1'), 'base64');
      packet = isFirst ? part : Buffer.concat([packet!, part]);
      if (packet.length < 2 || packet.length > maxPacketBytes) return null;
      const length = packet.readUInt16BE(0);
      if (packet.length < 2 + length) return null;
      const whole = packet.subarray(2, 2 + length);
      packet = null;
      return parseMessage(whole);
    },
  };
}

function parseMessage(whole: Buffer): SmpMessage | null {
  // A CRC over all of it with the CRC is 0.
  if (whole.length < HEADER_BYTES + CRC_BYTES || crc16Xmodem(whole) !== 0) return null;
  const length = whole.readUInt16BE(2);
  const body = whole.subarray(HEADER_BYTES, whole.length - CRC_BYTES);
  if (body.length !== length) return null;
  const payload = decodeMap(body);
  if (payload === null) return null;
  return {
    op: whole[0]! & 7,
    group: whole.readUInt16BE(4),
    sequence: whole[6]!,
    id: whole[7]!,
    payload,
  };
}

function decodeMap(body: Uint8Array): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = decode(body);
    return typeof value === 'object' && value !== null ? { ...value } : null;
  } catch {
    return null; // a message that is no CBOR is no message
  }
}
