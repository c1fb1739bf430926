/**
 * SAM-BA, the monitor of Microchip's SAM chips, over USB, with the extensions of Arduino's bootloaders:
 * `X` erases from an address on, `Y` copies RAM to flash, `Z` computes a CRC-16.
 *
 * Commands are ASCII and end in `#`; answers in binary mode end in LF CR. Nothing has a checksum of its
 * own, so everything that was written is read back.
 */
import { environmentError } from '../../toolchain/errors.ts';
import { crc16Xmodem } from '../checksums.ts';
import { flashFailed, noAnswer } from '../failures.ts';
import { concatenate, hex, type Segment } from '../image.ts';
import { type Flashed, flashPages, type PagedMemory, type Report } from '../job.ts';
import { type Link, openLink } from '../link.ts';
import type { FlashPlan } from '../plan.ts';
import { type Port, PortLost } from '../port.ts';

export interface SamBaOptions {
  /** RAM that the monitor does not use. */
  readonly bufferAddress: number;
  readonly bufferBytes: number;
  readonly rewriteAll: boolean;
  /** For the user, when nothing answers. */
  readonly enter: string;
}

const ANSWER_MS = 1000;
const ERASE_MS = 20_000;
const SILENCE_MS = 50;
const attempts = 12;
const maxVersionBytes = 200;
const READ_BYTES = 256;

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
  await connect(link, options.enter);
  const memory = samBaMemory(link, options);
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

async function connect(link: Link, enter: string): Promise<void> {
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
      await recover(link, READ_BYTES);
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

function samBaMemory(link: Link, options: SamBaOptions): PagedMemory {
  let repeats = 0;
  const run = async <T>(what: string, where: string, command: () => Promise<T>): Promise<T> => {
    for (let attempt = 0; attempt < attempts; attempt++) {
      try {
        return await command();
      } catch (error) {
        if (!(error instanceof Disturbed)) throw error;
        repeats += 1;
        await recover(link, options.bufferBytes);
      }
    }
    throw flashFailed(`the bootloader does not ${what}`, where);
  };
  const holds = async (address: number, wanted: Uint8Array): Promise<boolean> => {
    let previous = '';
    for (let reading = 0; reading < attempts; reading++) {
      const found = await run('read memory', hex(address), () =>
        read(link, address, wanted.length),
      );
      if (Buffer.compare(found, wanted) === 0) return true;
      const text = Buffer.from(found).toString('base64');
      // A difference counts when two readings agree on it.
      if (text === previous) return false;
      previous = text;
      await recover(link, READ_BYTES);
    }
    return false;
  };
  return {
    comparesFirst: true,
    erasesOnward: true,
    repeats: () => repeats,
    async isRight({ address }, content) {
      const crc = await run('compute a CRC', hex(address), () =>
        crcOf(link, address, content.length),
      );
      const again =
        crc === crc16Xmodem(content)
          ? crc
          : await run('compute a CRC', hex(address), () => crcOf(link, address, content.length));
      if (again !== crc16Xmodem(content)) return false;
      for (let offset = 0; offset < content.length; offset += READ_BYTES) {
        const part = content.subarray(offset, offset + READ_BYTES);
        if (!(await holds(address + offset, part))) return false;
      }
      return true;
    },
    async erase(pages) {
      const from = Math.min(...pages.map(({ address }) => address));
      await run('erase', hex(from), () => expectAnswer(link, `X${digits(from)}#`, 'X', ERASE_MS));
    },
    async write(block) {
      for (const { address, bytes } of pieces(block, options.bufferBytes)) {
        await run('write', hex(address), async () => {
          await load(link, options.bufferAddress, bytes);
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

/** `#` alone is no command: it fills up what the monitor still waits for, and then ends it. */
async function recover(link: Link, maxBytes: number): Promise<void> {
  await link.write(new Uint8Array(maxBytes + 16).fill(0x23));
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

async function read(link: Link, address: number, count: number): Promise<Uint8Array> {
  await link.write(ascii(`R${digits(address)},${digits(count)}#`));
  const bytes = await link.bytes(count, ANSWER_MS);
  if (bytes === null) throw new Disturbed();
  return bytes;
}

/** Into RAM, and read back from there: what `Y` copies is right. */
async function load(link: Link, address: number, bytes: Uint8Array): Promise<void> {
  const command = ascii(`S${digits(address)},${digits(bytes.length)}#`);
  await link.write(concatenate([command, bytes]));
  const found = await read(link, address, bytes.length);
  if (Buffer.compare(found, bytes) !== 0) throw new Disturbed();
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
