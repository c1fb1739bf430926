/**
 * SAM-BA, the monitor of Microchip's SAM chips, with the extensions of Arduino's bootloaders: `X`
 * erases from an address on, `Y` copies RAM to flash, `Z` computes a CRC-16.
 *
 * Commands are ASCII and end in `#`; answers in binary mode end in LF CR. What `S` and `R` carry is raw
 * over USB, which has checksums, and XMODEM over a UART. A command has none, so everything that was
 * written is read back. What BOSSA's Samba.cpp knows of these monitors is kept to: over USB at most 63
 * bytes are read at once, and data does not follow its command in the same packet.
 */
import { environmentError } from '../../toolchain/errors.ts';
import { hexWord } from '../../toolchain/integers.ts';
import { crc16Xmodem } from '../checksums.ts';
import { flashFailed, noAnswer } from '../failures.ts';
import type { Segment } from '../image.ts';
import { type Flashed, flashPages, type PagedMemory, type Report } from '../job.ts';
import { type Link, openLink } from '../link.ts';
import type { FlashPlan } from '../plan.ts';
import { type Port, PortLost } from '../port.ts';
import { ACK, BLOCK_BYTES, FRAME_BYTES, NAK, receiveXmodem, sendXmodem } from './xmodem.ts';

export interface SamBaOptions {
  /** RAM that the monitor does not use. */
  readonly bufferAddress: number;
  readonly bufferBytes: number;
  readonly rewriteAll: boolean;
  readonly over: 'usb' | 'uart';
  /** For the user, when nothing answers. */
  readonly enter: string;
}

const ANSWER_MS = 1000;
const ERASE_MS = 20_000;
const SILENCE_MS = 50;
const attempts = 12;
const maxVersionBytes = 200;
const USB_READ_BYTES = 63;
const UART_READ_BYTES = 2 * BLOCK_BYTES;

/** ARMv6-M and ARMv7-M: the register and the value that reset the chip. */
const AIRCR = 0xe000ed0c;
const SYSRESETREQ = 0x05fa0004;

export async function flashSamBa(
  port: Port,
  plan: FlashPlan,
  options: SamBaOptions,
  report: Report,
): Promise<Flashed> {
  const link = openLink(port);
  report('connect');
  const line = options.over === 'usb' ? overUsb : overUart;
  if (options.over === 'uart') await tellBaud(link);
  await connect(link, line, options);
  const memory = samBaMemory(link, line, options);
  const result = await flashPages(plan, memory, options, report);
  report('start');
  await link.write(ascii(`W${digits(AIRCR)},${digits(SYSRESETREQ)}#`));
  // A board that resets leaves the USB.
  await link.drain(SILENCE_MS).catch((error: unknown) => {
    if (!(error instanceof PortLost)) throw error;
  });
  return { ...result, verifiedBy: 'read-back', started: true };
}

class Disturbed extends Error {}

/** How memory is carried, and what ends a transfer that broke off. */
interface Transfers {
  readonly readBytes: number;
  send(link: Link, bytes: Uint8Array): Promise<boolean>;
  receive(link: Link, count: number): Promise<Uint8Array | null>;
  /** Fills up what a monitor still waits for, at most so many bytes of data. */
  filler(maxBytes: number): Uint8Array;
}

const SHARP = 0x23;

const overUsb: Transfers = {
  readBytes: USB_READ_BYTES,
  async send(link, bytes) {
    await link.write(bytes);
    return true;
  },
  receive: (link, count) => link.bytes(count, ANSWER_MS),
  filler: (maxBytes) => new Uint8Array(maxBytes + 16).fill(SHARP),
};

/** NAK begins what a monitor was told to send, and ACK is its answer to each block of that. */
const overUart: Transfers = {
  readBytes: UART_READ_BYTES,
  send: sendXmodem,
  receive: receiveXmodem,
  filler: () => Uint8Array.of(NAK, ...new Uint8Array(FRAME_BYTES).fill(ACK), SHARP, SHARP),
};

/** As bossac does: a monitor that measures the speed takes two of these bytes, and all take `#`. */
async function tellBaud(link: Link): Promise<void> {
  for (const byte of [BAUD_MARK, BAUD_MARK, SHARP]) {
    await link.write([byte]);
    await link.drain(SILENCE_MS);
  }
}

const BAUD_MARK = 0x80;

async function connect(
  link: Link,
  line: Transfers,
  { bufferBytes, enter }: SamBaOptions,
): Promise<void> {
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      await binaryMode(link);
      const version = await ask(link, 'V#', ANSWER_MS);
      if (/\[Arduino:.*X.*Y.*Z.*\]/.test(version)) return;
      // Asked twice, for on a disturbed line it may say anything.
      const isSure = (await ask(link, 'V#', ANSWER_MS)) === version;
      if (isSure && /^v?\d/i.test(version)) throw notArduino(version);
    } catch (error) {
      if (!(error instanceof Disturbed)) throw error;
      await recover(link, line, bufferBytes);
    }
  }
  throw noAnswer('SAM-BA', `Bring the board into its bootloader: ${enter}.`);
}

function notArduino(version: string): Error {
  return environmentError({
    code: 'unsupported-bootloader',
    message: 'this SAM-BA monitor cannot write flash by itself',
    where: `version ${JSON.stringify(version)}`,
    hint: 'It lacks Arduino’s extensions X, Y and Z: flash with bossac, or with a probe tool.',
  });
}

function samBaMemory(link: Link, line: Transfers, options: SamBaOptions): PagedMemory {
  let repeats = 0;
  const run = async <T>(what: string, where: string, command: () => Promise<T>): Promise<T> => {
    for (let attempt = 0; attempt < attempts; attempt++) {
      try {
        return await command();
      } catch (error) {
        if (!(error instanceof Disturbed)) throw error;
        repeats += 1;
        await recover(link, line, options.bufferBytes);
      }
    }
    throw flashFailed(`the bootloader does not ${what}`, where);
  };
  const holds = async (address: number, wanted: Uint8Array): Promise<boolean> => {
    let previous = '';
    for (let reading = 0; reading < attempts; reading++) {
      const found = await run('read memory', hexWord(address), () =>
        read(link, line, address, wanted.length),
      );
      if (Buffer.compare(found, wanted) === 0) return true;
      const text = Buffer.from(found).toString('base64');
      // A difference counts when two readings agree on it.
      if (text === previous) return false;
      previous = text;
      await recover(link, line, line.readBytes);
    }
    return false;
  };
  return {
    comparesFirst: true,
    erasesOnward: true,
    checksCommands: false,
    repeats: () => repeats,
    async isRight({ address }, content) {
      const crc = await run('compute a CRC', hexWord(address), () =>
        crcOf(link, address, content.length),
      );
      const again =
        crc === crc16Xmodem(content)
          ? crc
          : await run('compute a CRC', hexWord(address), () =>
              crcOf(link, address, content.length),
            );
      if (again !== crc16Xmodem(content)) return false;
      for (let offset = 0; offset < content.length; offset += line.readBytes) {
        const part = content.subarray(offset, offset + line.readBytes);
        if (!(await holds(address + offset, part))) return false;
      }
      return true;
    },
    async erase(pages) {
      const from = Math.min(...pages.map(({ address }) => address));
      await run('erase', hexWord(from), () =>
        expectAnswer(link, `X${digits(from)}#`, 'X', ERASE_MS),
      );
    },
    async write(block) {
      for (const { address, bytes } of pieces(block, options.bufferBytes)) {
        await run('write', hexWord(address), async () => {
          await load(link, line, options.bufferAddress, bytes);
          await expectAnswer(link, `Y${digits(options.bufferAddress)},0#`, 'Y', ANSWER_MS);
          await expectAnswer(link, `Y${digits(address)},${digits(bytes.length)}#`, 'Y', ERASE_MS);
        });
      }
    },
  };
}

function pieces({ address, bytes }: Segment, size: number): readonly Segment[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) => ({
    address: address + index * size,
    bytes: bytes.subarray(index * size, (index + 1) * size),
  }));
}

/** `#` alone is no command. */
async function recover(link: Link, line: Transfers, maxBytes: number): Promise<void> {
  await link.write(line.filler(maxBytes));
  await link.drain(SILENCE_MS);
  try {
    await binaryMode(link);
  } catch (error) {
    if (!(error instanceof Disturbed)) throw error; // the command that follows finds out
  }
}

async function binaryMode(link: Link): Promise<void> {
  await link.drain(SILENCE_MS);
  await link.write(ascii('N#'));
  const answer = await link.bytes(2, ANSWER_MS);
  await link.drain(SILENCE_MS);
  if (answer === null || answer[0] !== 0x0a || answer[1] !== 0x0d) throw new Disturbed();
}

/** What comes before LF CR. */
async function ask(link: Link, command: string, timeoutMs: number): Promise<string> {
  await link.write(ascii(command));
  const answer = await link.until(0x0d, maxVersionBytes, timeoutMs);
  if (answer === null || answer.at(-1) !== 0x0a) throw new Disturbed();
  return Buffer.from(answer.subarray(0, -1)).toString('latin1');
}

async function expectAnswer(
  link: Link,
  command: string,
  expected: string,
  timeoutMs: number,
): Promise<void> {
  if ((await ask(link, command, timeoutMs)) !== expected) throw new Disturbed();
}

async function read(
  link: Link,
  line: Transfers,
  address: number,
  count: number,
): Promise<Uint8Array> {
  await link.write(ascii(`R${digits(address)},${digits(count)}#`));
  const bytes = await line.receive(link, count);
  if (bytes === null) throw new Disturbed();
  return bytes;
}

/** Into RAM, and its CRC from there: what `Y` copies is right. */
async function load(
  link: Link,
  line: Transfers,
  address: number,
  bytes: Uint8Array,
): Promise<void> {
  await link.write(ascii(`S${digits(address)},${digits(bytes.length)}#`));
  if (!(await line.send(link, bytes))) throw new Disturbed();
  if ((await crcOf(link, address, bytes.length)) !== crc16Xmodem(bytes)) throw new Disturbed();
}

async function crcOf(link: Link, address: number, count: number): Promise<number> {
  const answer = await ask(link, `Z${digits(address)},${digits(count)}#`, ERASE_MS);
  const value = /^Z([0-9A-F]{8})#$/.exec(answer)?.[1];
  if (value === undefined) throw new Disturbed();
  return Number.parseInt(value, 16);
}

function digits(value: number): string {
  return (value >>> 0).toString(16).toUpperCase().padStart(8, '0');
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
