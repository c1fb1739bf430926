/**
 * Reads Intel HEX (Intel Hexadecimal Object File Format Specification, revision A, 1988); the writer
 * is in `toolchain/build/image-files.ts`.
 */
import type { Segment } from './image.ts';

const DATA = 0;
const END_OF_FILE = 1;
const EXTENDED_SEGMENT_ADDRESS = 2;
const START_SEGMENT_ADDRESS = 3;
const EXTENDED_LINEAR_ADDRESS = 4;
const START_LINEAR_ADDRESS = 5;

/** `bad` makes the error; it is told the line. */
export function parseIntelHex(text: string, bad: (reason: string) => Error): readonly Segment[] {
  const segments: Segment[] = [];
  let base = 0;
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '') continue;
    const wrong = (reason: string) => bad(`line ${index + 1} ${reason}`);
    const { type, offset, data } = parseRecord(line.trim(), wrong);
    switch (type) {
      case DATA:
        segments.push({ address: base + offset, bytes: data });
        break;
      case END_OF_FILE:
        return segments;
      case EXTENDED_SEGMENT_ADDRESS:
        base = wordOf(data, wrong) * 16;
        break;
      case EXTENDED_LINEAR_ADDRESS:
        base = wordOf(data, wrong) * 0x10000;
        break;
      case START_SEGMENT_ADDRESS:
      case START_LINEAR_ADDRESS:
        break; // where a loader into RAM would jump to
      default:
        throw wrong(`has the unknown record type ${type}`);
    }
  }
  throw bad('its end-of-file record is missing: the file is cut short');
}

function parseRecord(line: string, wrong: (reason: string) => Error) {
  if (!/^:([0-9a-fA-F]{2}){5,}$/.test(line)) throw wrong('is no Intel HEX record');
  const bytes = Uint8Array.from(Buffer.from(line.slice(1), 'hex'));
  if (bytes.length !== bytes[0]! + 5) throw wrong('is longer or shorter than it says');
  const sum = bytes.reduce((total, byte) => (total + byte) & 0xff, 0);
  if (sum !== 0) throw wrong('has a wrong checksum');
  return { type: bytes[3]!, offset: bytes[1]! * 256 + bytes[2]!, data: bytes.slice(4, -1) };
}

function wordOf(data: Uint8Array, wrong: (reason: string) => Error): number {
  if (data.length !== 2) throw wrong('has no 16-bit address');
  return data[0]! * 256 + data[1]!;
}
