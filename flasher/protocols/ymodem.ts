/**
 * YMODEM, as bootloaders with a menu take a file (C. Forsberg, XMODEM/YMODEM Protocol Reference, 1988):
 * blocks with a number and a CRC-16, each of which the receiver asks for or acknowledges.
 *
 * A block may have to be sent twice on a quiet line too: lrzsz throws away what has come right after it
 * has answered (lrz.c: wcrx, `purgeline`), and so the beginning of a block that follows fast.
 */
import { environmentError } from '../../toolchain/errors.ts';
import { crc16Xmodem } from '../checksums.ts';
import { flashFailed, noAnswer } from '../failures.ts';
import { concatenate } from '../image.ts';
import type { Flashed, Report } from '../job.ts';
import { type Link, openLink } from '../link.ts';
import type { Port } from '../port.ts';

const SOH = 0x01;
const STX = 0x02;
const EOT = 0x04;
const ACK = 0x06;
const NAK = 0x15;
const CAN = 0x18;
const ASK_CRC = 0x43; // C
const PADDING = 0x1a;

const SHORT_BYTES = 128;
const LONG_BYTES = 1024;
/** A receiver that erases before it takes the first block needs the longest. */
const ANSWER_MS = 20_000;
const ASK_MS = 4000;
const SILENCE_MS = 50;
const asks = 15;
const attempts = 12;
/** Bytes of chatter before an answer. */
const maxNoise = 2000;

export interface YmodemFile {
  readonly name: string;
  readonly content: Uint8Array;
}

export async function flashYmodem(
  port: Port,
  file: YmodemFile,
  { enter }: { readonly enter: string },
  report: Report,
): Promise<Flashed> {
  const link = openLink(port);
  const counter = { repeats: 0 };
  report('connect');
  await awaitStart(link, enter);
  try {
    await send(link, file, counter, report);
  } catch (error) {
    // Else the receiver waits for the rest.
    await link.write(new Uint8Array(8).fill(CAN)).catch(() => {});
    throw error;
  }
  return {
    verifiedBy: 'CRC-16 of every block, by the receiver',
    bytesWritten: file.content.length,
    bytesKept: 0,
    repeats: counter.repeats,
    started: null,
  };
}

/**
 * The receiver asks with C. After a transfer that broke off it may do so too, in the middle of a file,
 * and then says NAK next: such a transfer is called off, and it begins anew.
 */
async function awaitStart(link: Link, enter: string): Promise<void> {
  let hasAsked = false;
  for (let patience = 0; patience < asks; patience++) {
    const byte = await awaitEither(link, ASK_CRC, NAK);
    if (byte === NAK) {
      await link.write(new Uint8Array(8).fill(CAN));
      hasAsked = false;
    } else if (hasAsked) return;
    else hasAsked = byte === ASK_CRC;
    await link.drain(SILENCE_MS);
  }
  throw noAnswer('YMODEM', `Bring the board to where it asks for a file: ${enter}.`);
}

/** Null after silence; chatter is passed over. */
async function awaitEither(link: Link, ...wanted: readonly number[]): Promise<number | null> {
  for (let noise = 0; noise < maxNoise; noise++) {
    const byte = await link.byte(ASK_MS);
    if (byte === null || wanted.includes(byte)) return byte;
  }
  return null;
}

type Counter = { repeats: number };

async function send(
  link: Link,
  { name, content }: YmodemFile,
  counter: Counter,
  report: Report,
): Promise<void> {
  const header = new Uint8Array(SHORT_BYTES);
  header.set(new TextEncoder().encode(`${name}\0${content.length} `));
  await sendBlock(link, 0, header, 'the file’s name', counter);
  await expectAsk(link); // where it is lost, the receiver takes the block all the same
  await link.drain(SILENCE_MS);
  for (let offset = 0, number = 1; offset < content.length; number++) {
    report('write', offset, content.length);
    const left = content.length - offset;
    const size = left > SHORT_BYTES ? LONG_BYTES : SHORT_BYTES;
    const block = new Uint8Array(size).fill(PADDING);
    block.set(content.subarray(offset, offset + size));
    await sendBlock(link, number, block, `byte ${offset}`, counter);
    offset += size;
  }
  report('write', content.length, content.length);
  await sendAndConfirm(link, [EOT], 'the end of the file', counter);
  // Only a receiver that has the file asks for the next one.
  if (!(await expectAsk(link))) {
    throw flashFailed('the receiver did not confirm the end of the file', 'end of the file');
  }
  // An empty name ends the session; the file is complete whether or not that arrives.
  await sendBlock(link, 0, new Uint8Array(SHORT_BYTES), 'the end', counter, 2).catch(() => {});
}

function sendBlock(
  link: Link,
  number: number,
  data: Uint8Array,
  where: string,
  counter: Counter,
  tries = attempts,
): Promise<void> {
  const crc = crc16Xmodem(data);
  const head = [data.length === LONG_BYTES ? STX : SOH, number & 0xff, ~number & 0xff];
  const frame = concatenate([Uint8Array.from(head), data, Uint8Array.of(crc >>> 8, crc & 0xff)]);
  return sendAndConfirm(link, frame, where, counter, tries);
}

async function sendAndConfirm(
  link: Link,
  frame: ArrayLike<number>,
  where: string,
  counter: Counter,
  tries = attempts,
): Promise<void> {
  for (let attempt = 0; attempt < tries; attempt++) {
    if (attempt > 0) counter.repeats += 1;
    // An answer that came twice must not pass for the next one.
    await link.drain(attempt === 0 ? 0 : SILENCE_MS);
    await link.write(frame);
    if (await isAcknowledged(link, where)) return;
  }
  throw flashFailed(`the receiver did not take a block in ${tries} attempts`, where);
}

async function isAcknowledged(link: Link, where: string): Promise<boolean> {
  let cancels = 0;
  for (let noise = 0; noise < maxNoise; noise++) {
    const byte = await link.byte(ANSWER_MS);
    if (byte === ACK) return true;
    // Until it has the first block of a file, a receiver asks again instead of saying NAK.
    if (byte === NAK || byte === ASK_CRC || byte === null) return false;
    cancels = byte === CAN ? cancels + 1 : 0;
    if (cancels < 2) continue;
    throw environmentError({
      code: 'refused',
      message: 'the receiver called the transfer off',
      where,
      hint: 'The file may be of the wrong kind for it: check --target, and start the transfer again.',
    });
  }
  return false;
}

async function expectAsk(link: Link): Promise<boolean> {
  for (let noise = 0; noise < maxNoise; noise++) {
    const byte = await link.byte(ANSWER_MS);
    if (byte === ASK_CRC) return true;
    if (byte === null) return false;
  }
  return false;
}
