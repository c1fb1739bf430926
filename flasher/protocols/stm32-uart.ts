/**
 * The USART bootloader of STM32 chips (ST application note AN3155), which the bootloader of
 * firmware-templates/ speaks too.
 *
 * The device answers each part of a command with ACK or NACK; after NACK, or the last ACK, it waits
 * for a fresh command. It has no timeouts: a half-sent command holds it until it is completed. So
 * whatever goes wrong, the host feeds it bytes until NACK comes, and repeats the command.
 */
import { hexWord } from '../../toolchain/integers.ts';
import { crc32Stm32, xorOf } from '../checksums.ts';
import { flashFailed, noAnswer, refused, wrongChip } from '../failures.ts';
import { concatenate } from '../image.ts';
import { type Flashed, flashPages, type PagedMemory, type Report } from '../job.ts';
import { type Link, openLink } from '../link.ts';
import type { FlashPlan, Page } from '../plan.ts';
import type { Port } from '../port.ts';

export const WRITE_BYTES = 256;

const SYNC = 0x7f;
const ACK = 0x79;
const NACK = 0x1f;
const BUSY = 0x76;
const Command = {
  get: 0x00,
  getId: 0x02,
  readMemory: 0x11,
  go: 0x21,
  writeMemory: 0x31,
  erase: 0x43,
  extendedErase: 0x44,
  getChecksum: 0xa1,
} as const;

const ANSWER_MS = 500;
const WRITE_MS = 1000;
const ERASE_PAGE_MS = 5000;
const CHECKSUM_MS = 5000;
/** Longer than any pause inside what a device has begun to send. */
const SILENCE_MS = 50;
const MAX_BUSY = 1000;
/** Of a command on a disturbed line. */
const attempts = 12;
/** Of reading as much at once; then it is read in halves, down to this size. */
const readAttempts = 4;
const MIN_READ_BYTES = 16;

export interface Stm32UartOptions {
  readonly boardName: string;
  /** Null: any chip. */
  readonly productId: number | null;
  /** What the bootloader adds to an address to name it. */
  readonly addressOffset: number;
  /** Where the image starts, as addressed by the image itself. */
  readonly startAddress: number;
  readonly rewriteAll: boolean;
  /** Brings the board into its bootloader when it does not answer; false where that cannot be done. */
  readonly enter: (link: Link) => Promise<boolean>;
  /** For the user, when nothing answers. */
  readonly howToEnter: string;
}

export async function flashStm32Uart(
  port: Port,
  plan: FlashPlan,
  options: Stm32UartOptions,
  report: Report,
): Promise<Flashed> {
  const link = openLink(port);
  report('connect');
  await synchronise(link, options, report);
  const device = await identify(link, options, [options.productId]);
  const result = await flashPages(plan, device, options, report);
  report('start');
  const started = await device.go(options.startAddress);
  const verifiedBy = device.hasChecksum() ? 'CRC-32 by the bootloader' : 'read-back';
  return { ...result, verifiedBy, started };
}

/** What came instead of the expected answer. */
type Trouble = 'nack' | 'silence' | 'noise';

class Disturbed extends Error {
  readonly trouble: Trouble;
  /** Of the command: `command`, `address`, … */
  readonly part: string;

  constructor(trouble: Trouble, part: string) {
    super(`${trouble} after ${part}`);
    this.trouble = trouble;
    this.part = part;
  }
}

export async function synchronise(
  link: Link,
  options: Stm32UartOptions,
  report: Report,
): Promise<void> {
  if (await isListening(link)) return;
  if ((await options.enter(link)) && (await isListening(link))) return;
  if (await recover(link, recoveryBytes.unknown)) return;
  await link.drain(GIVE_UP_MS);
  if (await isListening(link)) return;
  report('wait for the bootloader: reset the board into it');
  if (await knock(link, KNOCK_MS, knocks)) return;
  throw noAnswer('STM32 (AN3155)', options.howToEnter);
}

/** Ours gives up a frame that pauses for a second. */
const GIVE_UP_MS = 1200;
/** A port may take a second to come up. */
const syncs = 3;
/** Our bootloader listens a fifth of a second after a reset; ten seconds for a hand to get there. */
const KNOCK_MS = 100;
const knocks = 100;

async function isListening(link: Link): Promise<boolean> {
  await link.drain(SILENCE_MS);
  return knock(link, ANSWER_MS, syncs);
}

/** A first 0x7F is answered by ACK; where it came before, two of them are no command: NACK. */
async function knock(link: Link, answerMs: number, times: number): Promise<boolean> {
  for (let count = 0; count < times; count++) {
    await link.write([SYNC]);
    const answer = await link.byte(answerMs);
    if (answer !== ACK && answer !== NACK) continue;
    await link.drain(SILENCE_MS);
    return true;
  }
  return false;
}

/** No command has this code twice, and no frame made of it has a right checksum. */
const FILLER = 0x5a;
const recoveryBytes = {
  /** The longest frame that a host sends: a block of data. */
  unknown: 300,
  /** The longest that a disturbed length can announce: 65,535 page numbers. */
  known: 132_000,
} as const;

/** Completes whatever the device waits for. */
async function recover(link: Link, maxBytes: number): Promise<boolean> {
  await link.drain(SILENCE_MS);
  for (let sent = 0, step = 1; sent < maxBytes; sent += step) {
    step = sent < 8 ? 1 : sent < 600 ? 16 : 256;
    await link.write(new Uint8Array(step).fill(FILLER));
    if ((await link.byte(SILENCE_MS)) === null) continue;
    await link.drain(SILENCE_MS);
    // One by one: only a NACK right after a byte says that nothing is left over.
    for (let probe = 0; probe < 3; probe++) {
      await link.write([FILLER]);
      const answer = await link.byte(SILENCE_MS);
      if (answer === null) continue;
      await link.drain(SILENCE_MS);
      if (answer === NACK) return true;
    }
  }
  return false;
}

/** After a NACK too: of a disturbed command a byte may be left over. */
async function reconnect(link: Link, attempt: number): Promise<void> {
  const isRecovered = await recover(
    link,
    attempt < 2 ? recoveryBytes.unknown : recoveryBytes.known,
  );
  // It may have been reset, and then it waits for the first byte.
  if (!isRecovered) await isListening(link);
}

export interface Stm32Device extends PagedMemory {
  readonly productId: number;
  hasChecksum(): boolean;
  /** Reads that memory to compare it. */
  holds(address: number, content: Uint8Array): Promise<boolean>;
  /** Null where nobody says whether it runs. */
  go(address: number): Promise<true | null>;
}

/** `expected`: who may answer; null is any chip. */
export async function identify(
  link: Link,
  options: Pick<Stm32UartOptions, 'boardName' | 'addressOffset'>,
  expected: readonly (number | null)[],
): Promise<Stm32Device> {
  const repeater = repeaterOn(link);
  const { run } = repeater;
  const wireAddress = (address: number) => (address + options.addressOffset) >>> 0;
  const commands = await run('say what it can', 'command GET', () => get(link));
  const productId = await askProductId(link, repeater, options.boardName, expected);
  const eraseCommand = commands.includes(Command.extendedErase)
    ? Command.extendedErase
    : Command.erase;
  let checksum = commands.includes(Command.getChecksum);
  const { holds, checksumOf } = readerOf(link, repeater, wireAddress);
  return {
    productId,
    holds,
    // Comparing by reading takes as long as writing.
    comparesFirst: checksum,
    erasesOnward: false,
    checksCommands: true,
    hasChecksum: () => checksum,
    repeats: repeater.repeats,
    async isRight({ address }, content) {
      if (!checksum) return holds(address, content);
      const found = await checksumOf(address, content.length);
      // A bootloader that lists the command and refuses it is read instead.
      if (found === null) checksum = false;
      return found === null ? holds(address, content) : found === crc32Stm32(content);
    },
    async erase(pages) {
      const where = `pages ${pages.map(({ number }) => number).join(', ')}`;
      await run('erase', where, () => erasePages(link, eraseCommand, pages));
    },
    async write({ address, bytes }) {
      let isAgain = false;
      await run('write', hexWord(address), async () => {
        // Where only the answer was lost, the block is there: writing it twice may be refused.
        if (isAgain && isSame(await readMemory(link, wireAddress(address), bytes.length), bytes))
          return;
        isAgain = true;
        await writeMemory(link, wireAddress(address), bytes);
      });
    },
    go: (address) => startAt(link, wireAddress(address)),
  };
}

/** Repeats commands that were disturbed. */
interface Repeater {
  /** Until it goes through; an error says what did not. */
  run<T>(what: string, where: string, command: () => Promise<T>): Promise<T>;
  tryTo<T>(command: () => Promise<T>, times: number): Promise<T | Disturbed>;
  /** How often, so far. */
  repeats(): number;
}

function repeaterOn(link: Link): Repeater {
  let repeats = 0;
  const tryTo = async <T>(command: () => Promise<T>, times: number): Promise<T | Disturbed> => {
    for (let attempt = 0; ; ) {
      try {
        return await command();
      } catch (error) {
        if (!(error instanceof Disturbed)) throw error;
        repeats += 1;
        await reconnect(link, attempt);
        attempt += 1;
        if (attempt === times) return error;
      }
    }
  };
  return {
    tryTo,
    repeats: () => repeats,
    async run(what, where, command) {
      const result = await tryTo(command, attempts);
      if (!(result instanceof Disturbed)) return result;
      if (result.trouble === 'nack') throw refused(what, where, nackHint(result.part));
      throw flashFailed(`the bootloader does not ${what}: ${troubleText(result)}`, where);
    },
  };
}

async function askProductId(
  link: Link,
  { run }: Repeater,
  boardName: string,
  expected: readonly (number | null)[],
): Promise<number> {
  const ask = () => run('say what chip it is', 'command GET ID', () => getId(link));
  const isExpected = (id: number) => expected.includes(null) || expected.includes(id);
  const productId = await ask();
  if (isExpected(productId)) return productId;
  // Asked twice, for a number on a disturbed line may be any.
  const second = await ask();
  if (isExpected(second)) return second;
  const name = (id: number | null) => `0x${id?.toString(16)}`;
  throw wrongChip(name(second), expected.map(name).join(' or '), boardName);
}

interface Reader {
  holds(address: number, content: Uint8Array): Promise<boolean>;
  /** Null: the bootloader gives none. */
  checksumOf(address: number, length: number): Promise<number | null>;
}

function readerOf(
  link: Link,
  { run, tryTo }: Repeater,
  wireAddress: (address: number) => number,
): Reader {
  /** Where a block does not come through, its halves may. */
  const read = async (address: number, count: number): Promise<Uint8Array> => {
    const command = () => readMemory(link, wireAddress(address), count);
    if (count < 2 * MIN_READ_BYTES) return run('read memory', hexWord(address), command);
    const found = await tryTo(command, readAttempts);
    if (!(found instanceof Disturbed)) return found;
    const half = count >>> 1;
    return concatenate([await read(address, half), await read(address + half, count - half)]);
  };
  /** What is read has no checksum: a difference counts when two readings agree on it. */
  const holdsBlock = async (address: number, wanted: Uint8Array): Promise<boolean> => {
    let previous: Uint8Array | undefined;
    for (let reading = 0; reading < attempts; reading++) {
      const found = await read(address, wanted.length);
      if (isSame(found, wanted)) return true;
      if (previous !== undefined && isSame(found, previous)) return false;
      previous = found;
      await link.drain(SILENCE_MS);
    }
    return false;
  };
  return {
    async holds(address, content) {
      for (let offset = 0; offset < content.length; offset += WRITE_BYTES) {
        const wanted = content.subarray(offset, offset + WRITE_BYTES);
        if (!(await holdsBlock(address + offset, wanted))) return false;
      }
      return true;
    },
    async checksumOf(address, length) {
      const found = await tryTo(() => getChecksum(link, wireAddress(address), length), attempts);
      return found instanceof Disturbed ? null : found;
    },
  };
}

async function startAt(link: Link, wireAddress: number): Promise<true | null> {
  // Once: where the answer is lost, the program may run already.
  try {
    await sendCommand(link, Command.go);
    await sendFrame(link, addressBytes(wireAddress), 'address', ANSWER_MS);
    return true;
  } catch (error) {
    if (error instanceof Disturbed) return null;
    throw error;
  }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function nackHint(part: string): string {
  return part === 'command'
    ? 'The chip may be read-protected: unprotecting erases all of it, with the maker’s own tool.'
    : 'That memory may be write-protected, or not be there: check --target.';
}

function troubleText({ trouble, part }: Disturbed): string {
  const texts = { nack: 'it refuses', silence: 'no answer', noise: 'its answers are disturbed' };
  return `${texts[trouble]} after the ${part}`;
}

async function awaitAck(link: Link, part: string, timeoutMs: number): Promise<void> {
  for (let busy = 0; busy < MAX_BUSY; busy++) {
    const answer = await link.byte(timeoutMs);
    if (answer === ACK) return;
    if (answer === BUSY) continue;
    if (answer === null) throw new Disturbed('silence', part);
    throw new Disturbed(answer === NACK ? 'nack' : 'noise', part);
  }
  throw new Disturbed('noise', part);
}

async function sendCommand(link: Link, code: number): Promise<void> {
  await link.write([code, code ^ 0xff]);
  await awaitAck(link, 'command', ANSWER_MS);
}

/** Bytes, then the XOR of all of them. */
async function sendFrame(
  link: Link,
  bytes: ArrayLike<number>,
  part: string,
  timeoutMs: number,
): Promise<void> {
  await link.write([...Array.from(bytes), xorOf(bytes)]);
  await awaitAck(link, part, timeoutMs);
}

function addressBytes(value: number): readonly number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}

async function readBytes(link: Link, count: number, part: string): Promise<Uint8Array> {
  const bytes = await link.bytes(count, ANSWER_MS);
  if (bytes === null) throw new Disturbed('silence', part);
  return bytes;
}

/** The codes of the commands that the device knows. */
async function get(link: Link): Promise<readonly number[]> {
  await sendCommand(link, Command.get);
  const [count] = await readBytes(link, 1, 'count');
  const [, ...codes] = await readBytes(link, count! + 1, 'list');
  await awaitAck(link, 'list', ANSWER_MS);
  const known = [Command.readMemory, Command.writeMemory, Command.go];
  const canErase = codes.includes(Command.erase) || codes.includes(Command.extendedErase);
  if (canErase && known.every((code) => codes.includes(code))) return codes;
  throw new Disturbed('noise', 'list');
}

async function getId(link: Link): Promise<number> {
  await sendCommand(link, Command.getId);
  const [count, high, low] = await readBytes(link, 3, 'id');
  await awaitAck(link, 'id', ANSWER_MS);
  if (count !== 1) throw new Disturbed('noise', 'id');
  return high! * 256 + low!;
}

async function readMemory(link: Link, address: number, count: number): Promise<Uint8Array> {
  await sendCommand(link, Command.readMemory);
  await sendFrame(link, addressBytes(address), 'address', ANSWER_MS);
  await link.write([count - 1, (count - 1) ^ 0xff]);
  await awaitAck(link, 'count', ANSWER_MS);
  return readBytes(link, count, 'data');
}

async function writeMemory(link: Link, address: number, bytes: Uint8Array): Promise<void> {
  await sendCommand(link, Command.writeMemory);
  await sendFrame(link, addressBytes(address), 'address', ANSWER_MS);
  await sendFrame(link, [bytes.length - 1, ...bytes], 'data', WRITE_MS);
}

async function erasePages(link: Link, code: number, pages: readonly Page[]): Promise<void> {
  await sendCommand(link, code);
  const numbers = pages.map(({ number }) => number);
  const count = numbers.length - 1;
  const frame =
    code === Command.extendedErase
      ? [count, ...numbers].flatMap((value) => [value >>> 8, value & 0xff])
      : [count, ...numbers];
  await sendFrame(link, frame, 'page numbers', ERASE_PAGE_MS * pages.length);
}

/** As stm32flash has it; the length is in bytes, a multiple of four. */
async function getChecksum(link: Link, address: number, length: number): Promise<number> {
  await sendCommand(link, Command.getChecksum);
  await sendFrame(link, addressBytes(address), 'address', ANSWER_MS);
  await sendFrame(link, addressBytes(length), 'length', ANSWER_MS);
  await awaitAck(link, 'checksum', CHECKSUM_MS);
  const answer = await readBytes(link, 5, 'checksum');
  if (xorOf(answer) !== 0) throw new Disturbed('noise', 'checksum');
  return new DataView(answer.buffer).getUint32(0);
}
