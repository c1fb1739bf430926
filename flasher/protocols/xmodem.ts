/**
 * XMODEM with CRC-16 and blocks of 128 bytes, as SAM-BA monitors carry memory over a UART (BOSSA's
 * Samba.cpp and the monitor of ArduinoCore-samd: sam_ba_serial.c). That monitor says CAN to a damaged
 * block and ends the transfer, and sends a block again after any answer but ACK.
 */
import { crc16Xmodem } from '../checksums.ts';
import { concatenate } from '../image.ts';
import type { Link } from '../link.ts';

const SOH = 0x01;
const EOT = 0x04;
export const ACK = 0x06;
export const NAK = 0x15;
const ASK_CRC = 0x43; // C

export const BLOCK_BYTES = 128;
/** SOH, number, its complement, data, CRC-16. */
export const FRAME_BYTES = 3 + BLOCK_BYTES + 2;

const ANSWER_MS = 1000;
const SILENCE_MS = 50;
const attempts = 6;

/** False when the other side broke it off, or does not answer. */
export async function sendXmodem(link: Link, bytes: Uint8Array): Promise<boolean> {
  if ((await link.byte(ANSWER_MS)) !== ASK_CRC) return false;
  for (let number = 1, offset = 0; offset < bytes.length; number++, offset += BLOCK_BYTES) {
    if (!(await sendFrame(link, frameOf(number, bytes.subarray(offset, offset + BLOCK_BYTES)))))
      return false;
  }
  await link.write([EOT]);
  return (await link.byte(ANSWER_MS)) === ACK;
}

async function sendFrame(link: Link, frame: Uint8Array): Promise<boolean> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    // It may have asked more than once.
    await link.drain(0);
    await link.write(frame);
    const answer = await link.byte(ANSWER_MS);
    if (answer === ACK) return true;
    if (answer !== NAK) return false;
  }
  return false;
}

/** Null when no whole block comes through. */
export async function receiveXmodem(link: Link, count: number): Promise<Uint8Array | null> {
  const blocks: Uint8Array[] = [];
  await link.write([ASK_CRC]);
  for (let number = 1; blocks.length * BLOCK_BYTES < count; number++) {
    const block = await receiveBlock(link, number);
    if (block === null) return null;
    blocks.push(block);
    await link.write([ACK]);
  }
  // Whatever it says: it has sent all, and waits for an answer.
  await link.byte(ANSWER_MS);
  await link.write([ACK]);
  return concatenate(blocks).subarray(0, count);
}

async function receiveBlock(link: Link, number: number): Promise<Uint8Array | null> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const frame = await link.bytes(FRAME_BYTES, ANSWER_MS);
    const data = frame?.subarray(3, 3 + BLOCK_BYTES);
    if (frame !== null && Buffer.compare(frame, frameOf(number, data!)) === 0) return data!;
    // An ACK that was lost brings the block before once more.
    const isRepeated =
      frame !== null && Buffer.compare(frame, frameOf(number - 1, data!)) === 0 && number > 1;
    if (!isRepeated) await link.drain(SILENCE_MS);
    await link.write([isRepeated ? ACK : NAK]);
  }
  return null;
}

export function frameOf(number: number, data: Uint8Array): Uint8Array {
  const padded = new Uint8Array(BLOCK_BYTES);
  padded.set(data);
  const crc = crc16Xmodem(padded);
  const head = Uint8Array.of(SOH, number & 0xff, ~number & 0xff);
  return concatenate([head, padded, Uint8Array.of(crc >>> 8, crc & 0xff)]);
}
