/** MCUboot in serial recovery: takes an image piece by piece, lists it when its hash is right. */
import { createHash } from 'node:crypto';
import { type Link, openLink } from '../../../flasher/link.ts';
import type { Port } from '../../../flasher/port.ts';
import { mcubootHash } from '../../../flasher/protocols/mcuboot-image.ts';
import {
  type SmpMessage,
  SmpOp,
  smpAssembler,
  smpLines,
} from '../../../flasher/protocols/smp-frame.ts';

export interface McubootBoard {
  readonly slot: Uint8Array;
  /** Bytes of the upload in progress. */
  expected: number;
  length: number;
  runsApplication: boolean;
  /** Older ones do not know the command. */
  readonly tellsParameters: boolean;
}

export function mcubootBoard(tellsParameters: boolean, slotBytes: number): McubootBoard {
  const slot = new Uint8Array(slotBytes).fill(0xff);
  return { slot, expected: 0, length: 0, runsApplication: false, tellsParameters };
}

/** The hash of the image in the slot, if there is a valid one. */
export function slotHash({ slot }: McubootBoard): Uint8Array | null {
  try {
    return mcubootHash(slot);
  } catch {
    return null;
  }
}

export async function serveMcuboot(port: Port, board: McubootBoard): Promise<never> {
  const link = openLink(port);
  const assembler = smpAssembler();
  for (;;) {
    const line = await readLine(link);
    const request = line === null ? null : assembler.push(line);
    if (request === null) continue;
    const payload = await answerTo(link, board, request);
    const { op, group, id, sequence } = request;
    await link.write(smpLines({ op: op + 1, group, id, sequence, payload }));
  }
}

/** Longer lines than the buffer are lost. */
async function readLine(link: Link): Promise<Uint8Array | null> {
  return link.until(0x0a, 128, Number.POSITIVE_INFINITY);
}

async function answerTo(
  link: Link,
  board: McubootBoard,
  { op, group, id, payload }: SmpMessage,
): Promise<Readonly<Record<string, unknown>>> {
  const key = `${group}.${id}.${op === SmpOp.read ? 'read' : 'write'}`;
  switch (key) {
    case '0.6.read':
      return board.tellsParameters ? { buf_size: 1024, buf_count: 1 } : { rc: 8 };
    case '0.5.write':
      board.runsApplication = slotHash(board) !== null;
      return {};
    case '1.0.read': {
      const hash = slotHash(board);
      return { images: hash === null ? [] : [{ image: 0, slot: 0, version: '1.0.0', hash }] };
    }
    case '1.1.write':
      return take(link, board, payload);
    default:
      return { rc: 8 };
  }
}

async function take(
  link: Link,
  board: McubootBoard,
  payload: SmpMessage['payload'],
): Promise<Readonly<Record<string, unknown>>> {
  const { off, len, data } = payload;
  if (typeof off !== 'number' || !(data instanceof Uint8Array)) return { rc: 3 };
  if (off === 0) {
    if (typeof len !== 'number' || len > board.slot.length) return { rc: 3 };
    board.slot.fill(0xff);
    [board.expected, board.length] = [0, len];
    await link.port.wait(500);
  }
  if (off !== board.expected) return { rc: 0, off: board.expected };
  if (off + data.length > board.length) return { rc: 3 };
  board.slot.set(data, off);
  board.expected += data.length;
  return { rc: 0, off: board.expected };
}

/** As imgtool signs with a hash only. */
export function mcubootImage(payload: Uint8Array): Uint8Array {
  const header = Buffer.alloc(32);
  header.writeUInt32LE(0x96f3b83d, 0);
  header.writeUInt16LE(32, 8);
  header.writeUInt32LE(payload.length, 12);
  const hashed = Buffer.concat([header, payload]);
  const trailer = Buffer.alloc(8);
  trailer.writeUInt16LE(0x6907, 0);
  trailer.writeUInt16LE(8 + 32, 2);
  trailer.writeUInt16LE(0x10, 4);
  trailer.writeUInt16LE(32, 6);
  return Buffer.concat([hashed, trailer, createHash('sha256').update(hashed).digest()]);
}
