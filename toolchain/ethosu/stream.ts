/**
 * Command words to commands and back, one table for both directions (`registers.ts`).
 *
 * Registers keep their value from op to op. The writer leaves out what would set a register to what
 * it holds already, as the hardware's own compiler does; `writeStream(readStream(words))` gives the
 * same words.
 */
import { userError } from '../errors.ts';
import { hexWord } from '../integers.ts';
import {
  type Command,
  type CommandName,
  type CommandRow,
  commandTable,
  type OperationName,
  type RegisterName,
  rowOf,
} from './registers.ts';

/** A command and the index of its first word. */
export interface PlacedCommand extends Command {
  readonly word: number;
}

const withoutPayload = 0;
const withPayload = 1;

const byCode = new Map(
  Object.entries(commandTable).map(([name, row]: [string, CommandRow]) => [
    keyOf(row.kind === 'payload' ? withPayload : withoutPayload, row.code),
    // The table's keys are the names.
    name as CommandName,
  ]),
);

function keyOf(kind: number, code: number): number {
  return (kind << 14) | code;
}

/** Of a command stream as bytes; it is a whole number of words. */
export function wordsOf(bytes: Uint8Array, where: string): Uint32Array {
  if (bytes.length % 4 !== 0) {
    throw userError({
      code: 'bad-command-stream',
      message: `${bytes.length} bytes are not a whole number of words`,
      where: `${where}, word ${bytes.length >> 2} (byte ${bytes.length})`,
      hint: 'Get the file again: it is cut off, or is no command stream.',
    });
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Uint32Array.from({ length: bytes.length / 4 }, (_, word) =>
    view.getUint32(4 * word, true),
  );
}

export function bytesOf(words: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(4 * words.length);
  const view = new DataView(bytes.buffer);
  words.forEach((word, index) => {
    view.setUint32(4 * index, word, true);
  });
  return bytes;
}

export function readStream(words: Uint32Array): readonly PlacedCommand[] {
  const commands: PlacedCommand[] = [];
  for (let word = 0; word < words.length; ) {
    const value = words[word]!;
    const kind = (value >>> 14) & 3;
    const name = byCode.get(value & 0xffff);
    if (name === undefined) {
      throw streamError(word, `${hexWord(value)} is no command`);
    }
    const param = value >>> 16;
    if (kind === withPayload) {
      if (word + 1 >= words.length) {
        throw streamError(word, `the stream ends before the payload of ${name}`);
      }
      commands.push({ name, param, payload: words[word + 1]!, word });
      word += 2;
    } else {
      commands.push({ name, param, payload: null, word });
      word += 1;
    }
  }
  return commands;
}

export function streamError(word: number, message: string) {
  return userError({
    code: 'bad-command-stream',
    message,
    where: `word ${word} of the command stream (byte ${4 * word})`,
    hint: 'Get the stream again; if it came from lm2mcu, report it.',
  });
}

export function writeStream(commands: Iterable<Command>): Uint32Array {
  const words: number[] = [];
  for (const { name, param, payload } of commands) {
    const { kind, code } = rowOf(name);
    const hasPayload = kind === 'payload';
    words.push(((param << 16) | keyOf(hasPayload ? withPayload : withoutPayload, code)) >>> 0);
    if (hasPayload) words.push((payload ?? 0) >>> 0);
  }
  return Uint32Array.from(words);
}

/** Sets registers and runs ops, leaving out what a register holds already. */
export interface StreamWriter {
  /** `value` of a register with a payload: up to 40 bits; else its param, negative as two's complement. */
  set(name: RegisterName, value: number, param?: number): void;
  run(name: OperationName, param?: number): void;
  finish(): Uint32Array;
}

export function startStream(): StreamWriter {
  const commands: Command[] = [];
  const held = new Map<RegisterName, Command>();
  return {
    set(name, value, param = 0) {
      const command = registerCommand(name, value, param);
      const before = held.get(name);
      if (before?.param === command.param && before.payload === command.payload) return;
      held.set(name, command);
      commands.push(command);
    },
    run(name, param = 0) {
      commands.push({ name, param, payload: null });
    },
    finish() {
      return writeStream([...commands, { name: 'NPU_OP_STOP', param: 0xffff, payload: null }]);
    },
  };
}

function registerCommand(name: RegisterName, value: number, param: number): Command {
  const { kind, payload } = rowOf(name);
  if (kind !== 'payload') return { name, param: value & 0xffff, payload: null };
  const high = payload === 'number' ? param : Math.floor(value / 2 ** 32) & 0xff;
  return { name, param: high, payload: value >>> 0 };
}
