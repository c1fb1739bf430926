/** A YMODEM receiver as a bootloader has it: takes a file, and keeps it when it is whole. */
import { crc16Xmodem } from '../../../flasher/checksums.ts';
import { type Link, openLink } from '../../../flasher/link.ts';
import type { Port } from '../../../flasher/port.ts';

const SOH = 0x01;
const STX = 0x02;
const EOT = 0x04;
const ACK = 0x06;
const NAK = 0x15;
const CAN = 0x18;
const ASK_MS = 3000;
const BYTE_MS = 1000;

export interface YmodemBoard {
  /** The last whole file. */
  file: Uint8Array | null;
}

type Block = { readonly number: number; readonly data: Uint8Array };
type Received = Block | 'end' | 'cancel' | 'damaged' | 'silence';

export async function serveYmodem(port: Port, board: YmodemBoard): Promise<never> {
  const link = openLink(port);
  for (;;) await receiveFile(link, board);
}

/** Returns when a session ends, however it ends. */
async function receiveFile(link: Link, board: YmodemBoard): Promise<void> {
  let expected = 0;
  let size: number | null = null;
  let content: number[] = [];
  let silences = 0;
  let ask: number | null = 0x43;
  for (;;) {
    if (ask !== null) await link.write([ask]);
    const received = await receiveBlock(link);
    ask = null;
    if (received === 'cancel') return;
    if (received === 'silence' || received === 'damaged') {
      silences = received === 'silence' ? silences + 1 : 0;
      if (silences > 20) return;
      await link.drain(BYTE_MS);
      ask = size === null ? 0x43 : NAK;
      continue;
    }
    silences = 0;
    if (received === 'end') {
      if (size === null || content.length < size) {
        ask = NAK;
        continue;
      }
      board.file = Uint8Array.from(content.slice(0, size));
      [expected, size, content] = [0, null, []];
      await link.write([ACK, 0x43]);
      continue;
    }
    if (received.number === ((expected - 1) & 0xff) && size !== null) {
      await link.write([ACK]); // its acknowledgement was lost
      continue;
    }
    if (received.number !== (expected & 0xff)) {
      await link.write([CAN, CAN]);
      return;
    }
    await link.write([ACK]);
    if (size !== null) {
      content.push(...received.data);
      expected += 1;
      continue;
    }
    const [name, rest = ''] = Buffer.from(received.data).toString('latin1').split('\0');
    if (name === '') return; // the session's end
    [size, expected] = [Number.parseInt(rest, 10), 1];
    ask = 0x43;
  }
}

async function receiveBlock(link: Link): Promise<Received> {
  const first = await link.byte(ASK_MS);
  if (first === null) return 'silence';
  if (first === EOT) return 'end';
  if (first === CAN) return (await link.byte(BYTE_MS)) === CAN ? 'cancel' : 'damaged';
  if (first !== SOH && first !== STX) return 'damaged';
  const length = first === SOH ? 128 : 1024;
  const frame = await link.bytes(2 + length + 2, BYTE_MS);
  if (frame === null || (frame[0]! ^ frame[1]!) !== 0xff) return 'damaged';
  if (crc16Xmodem(frame.subarray(2)) !== 0) return 'damaged';
  return { number: frame[0]!, data: frame.slice(2, 2 + length) };
}
