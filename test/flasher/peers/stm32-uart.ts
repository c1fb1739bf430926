/** The device's side of AN3155: a chip with flash, as strict and as deaf as the ROM is. */
import { crc32Stm32, xorOf } from '../../../flasher/checksums.ts';
import { concatenate } from '../../../flasher/image.ts';
import { type Link, openLink } from '../../../flasher/link.ts';
import type { Port } from '../../../flasher/port.ts';
import type { FlashMemory } from './flash-memory.ts';

const SYNC = 0x7f;
const ACK = 0x79;
const NACK = 0x1f;
const FOREVER = Number.POSITIVE_INFINITY;

export interface Stm32Chip {
  readonly memory: FlashMemory;
  readonly productId: number;
  readonly erase: 'short' | 'extended';
  readonly hasChecksum: boolean;
  /** Not synchronised after reset: the ROM measures the baud rate of the first byte. */
  isSynchronised: boolean;
  /** Runs the image: the line is the application's console. */
  runsApplication: boolean;
  /** The application knows `!boot`. */
  readonly hasBootLine: boolean;
  /** Gives up a frame that pauses so long; the ROM waits for ever. */
  readonly pauseMs?: number;
  /** Instead of starting the application. */
  readonly onGo?: (address: number) => void;
}

export function stm32Chip(memory: FlashMemory, options: Partial<Stm32Chip> = {}): Stm32Chip {
  return {
    memory,
    productId: 0x421,
    ...{ erase: 'extended', hasChecksum: true, hasBootLine: true },
    ...{ isSynchronised: false, runsApplication: false },
    ...options,
  };
}

/** One chip, or whichever program runs on it now. */
export async function serveStm32Uart(
  port: Port,
  chips: Stm32Chip | (() => Stm32Chip),
): Promise<never> {
  const link = openLink(port);
  for (;;) {
    const chip = typeof chips === 'function' ? chips() : chips;
    if (chip.runsApplication) await runApplication(link, chip);
    else if (!chip.isSynchronised) {
      chip.isSynchronised = (await next(link)) === SYNC;
      if (chip.isSynchronised) await link.write([ACK]);
    } else await serveCommand(link, chip);
  }
}

/** A console that answers each line, and leaves on `!boot`. */
async function runApplication(link: Link, chip: Stm32Chip): Promise<void> {
  const line: number[] = [];
  for (let byte = await next(link); byte !== 0x0a; byte = await next(link)) line.push(byte);
  const isBoot = chip.hasBootLine && Buffer.from(line).toString() === '!boot';
  const answer = isBoot ? '{"boot":true}\n' : '{"tokens":2}\n';
  await link.write(Buffer.from(answer));
  if (isBoot) [chip.runsApplication, chip.isSynchronised] = [false, false];
}

async function next(link: Link): Promise<number> {
  return (await link.byte(FOREVER))!;
}

async function frame(link: Link, count: number): Promise<Uint8Array | null> {
  const bytes = (await link.bytes(count + 1, FOREVER))!;
  return xorOf(bytes) === 0 ? bytes.subarray(0, count) : null;
}

const u32 = (bytes: Uint8Array) => Buffer.from(bytes).readUInt32BE(0);

async function serveCommand(link: Link, chip: Stm32Chip): Promise<void> {
  const code = await next(link);
  const rest = chip.pauseMs === undefined ? link : impatient(link, chip.pauseMs);
  try {
    const isCommand = ((await next(rest)) ^ code) === 0xff;
    const command = isCommand ? commandsOf(chip)[code] : undefined;
    const answer = command === undefined ? null : await command(rest, chip);
    if (answer === null) await link.write([NACK]);
    else if (answer.length > 0) await link.write(answer);
  } catch (error) {
    if (!(error instanceof BrokenOff)) throw error;
  }
}

class BrokenOff extends Error {}

function impatient(link: Link, pauseMs: number): Link {
  const orBreakOff = <T>(value: T | null): T => {
    if (value === null) throw new BrokenOff();
    return value;
  };
  return {
    ...link,
    byte: async () => orBreakOff(await link.byte(pauseMs)),
    bytes: async (count) => orBreakOff(await link.bytes(count, pauseMs)),
  };
}

/** Answers with the command's last bytes, or null to refuse. */
type Command = (link: Link, chip: Stm32Chip) => Promise<ArrayLike<number> | null>;

function commandsOf(chip: Stm32Chip): Readonly<Record<number, Command>> {
  return {
    0: get,
    1: async () => [ACK, 0x31, 0, 0, ACK],
    2: async () => [ACK, 1, chip.productId >>> 8, chip.productId & 0xff, ACK],
    17: read,
    33: go,
    49: write,
    ...(chip.erase === 'extended' ? { 68: eraseExtended } : { 67: eraseShort }),
    ...(chip.hasChecksum ? { 161: checksum } : {}),
  };
}

const get: Command = async (_link, chip) => {
  const codes = Object.keys(commandsOf(chip)).map(Number);
  return [ACK, codes.length, 0x31, ...codes, ACK];
};

async function address(link: Link): Promise<number | null> {
  await link.write([ACK]);
  const bytes = await frame(link, 4);
  return bytes === null ? null : u32(bytes);
}

const read: Command = async (link, { memory }) => {
  const from = await address(link);
  if (from === null || !memory.has(from, 1)) return null;
  await link.write([ACK]);
  const count = await next(link);
  if (((await next(link)) ^ count) !== 0xff || !memory.has(from, count + 1)) return null;
  return [ACK, ...memory.read(from, count + 1)];
};

const go: Command = async (link, chip) => {
  const from = await address(link);
  if (from === null || !chip.memory.has(from, 8)) return null;
  chip.isSynchronised = false;
  if (chip.onGo === undefined) chip.runsApplication = chip.memory.isCommitted();
  else chip.onGo(from);
  return [ACK];
};

const write: Command = async (link, { memory }) => {
  const to = await address(link);
  if (to === null || !memory.has(to, 1) || to % 4 !== 0) return null;
  await link.write([ACK]);
  const count = await next(link);
  const data = (await link.bytes(count + 2, FOREVER))!;
  const isWhole = (count + 1) % 4 === 0 && (xorOf(data) ^ count) === 0;
  const bytes = data.subarray(0, count + 1);
  if (!isWhole || !memory.has(to, bytes.length)) return null;
  memory.program(to, bytes);
  return [ACK];
};

const eraseShort: Command = async (link, { memory }) => {
  await link.write([ACK]);
  const count = await next(link);
  const rest = (await link.bytes(count + 2, FOREVER))!;
  if ((xorOf(rest) ^ count) !== 0) return null;
  return (await erased(link, memory, Array.from(rest.subarray(0, -1)))) ? [ACK] : null;
};

const eraseExtended: Command = async (link, { memory }) => {
  await link.write([ACK]);
  const head = (await link.bytes(2, FOREVER))!;
  const count = head[0]! * 256 + head[1]!;
  const isSpecial = count >= 0xfff0;
  const rest = (await link.bytes(isSpecial ? 1 : 2 * count + 3, FOREVER))!;
  if ((xorOf(head) ^ xorOf(rest)) !== 0 || isSpecial) return null;
  const numbers = Array.from(
    { length: count + 1 },
    (_, i) => rest[2 * i]! * 256 + rest[2 * i + 1]!,
  );
  return (await erased(link, memory, numbers)) ? [ACK] : null;
};

async function erased(link: Link, memory: FlashMemory, pages: readonly number[]): Promise<boolean> {
  if (!pages.every((page) => memory.hasPage(page))) return false;
  for (const page of pages) {
    memory.erasePage(page);
    await link.port.wait(100);
  }
  return true;
}

const checksum: Command = async (link, { memory }) => {
  const from = await address(link);
  if (from === null) return null;
  await link.write([ACK]);
  const size = await frame(link, 4);
  if (size === null) return null;
  const length = u32(size);
  if (length === 0 || length % 4 !== 0 || !memory.has(from, length)) return null;
  await link.write([ACK]);
  await link.port.wait(length / 1000);
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32Stm32(memory.read(from, length)));
  return concatenate([Uint8Array.of(ACK), crc, Uint8Array.of(xorOf(crc))]);
};
