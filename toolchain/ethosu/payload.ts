/**
 * The payload that the driver parses: tagged words around the command stream.
 *
 *   "COP1" · config tag · config word · id word · NOP tags … · stream tag · the command words
 *
 * NOPs fill up so that the stream begins at a multiple of 16 bytes. A tag has its id in bits 7:0
 * and, for the stream, the length in words: bits 15:0 of it in 31:16, bits 23:16 in 15:8.
 * Layout as in Vela's `driver_actions.py` and `ethosu_driver.c` of the core driver.
 */
import { userError } from '../errors.ts';
import { hexWord } from '../integers.ts';
import { type Accelerator, configWord } from './accelerators.ts';
import { bytesOf, wordsOf } from './stream.ts';

export interface Payload {
  readonly config: number;
  readonly id: number;
  readonly words: Uint32Array;
  /** Word of the payload at which the command stream begins. */
  readonly streamWord: number;
}

const magic = 0x31504f43; // "COP1"
const tags = { config: 1, stream: 2, nop: 5 } as const;
/** Patch 1, release 0: the version of the container. */
const configTag = 0x0010_0000 | tags.config;
/** Architecture 1.0.6, which every U55 and U65 takes. */
export const architectureId = 0x1006_0000;
const alignmentWords = 4;
const mostStreamWords = 2 ** 24 - 1;

export function isPayload(bytes: Uint8Array): boolean {
  return (
    bytes.length >= 4 && new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true) === magic
  );
}

export function readPayload(bytes: Uint8Array, where: string): Payload {
  const words = wordsOf(bytes, where);
  const fail = (word: number, message: string) =>
    userError({
      code: 'bad-payload',
      message,
      where: `${where}, word ${word} (byte ${4 * word})`,
      hint: 'Get the payload again; it is that of an ethos-u custom operator, from the bytes COP1 on.',
    });
  if (words[0] !== magic) throw fail(0, 'the payload does not begin with COP1');
  let config: number | null = null;
  let id = 0;
  for (let word = 1; word < words.length; ) {
    const tag = words[word]!;
    switch (tag & 0xff) {
      case tags.config:
        if (word + 2 >= words.length) throw fail(word, 'the payload ends within its config');
        config = words[word + 1]!;
        id = words[word + 2]!;
        word += 3;
        break;
      case tags.nop:
        word += 1;
        break;
      case tags.stream: {
        const length = (tag >>> 16) | (((tag >>> 8) & 0xff) << 16);
        const streamWord = word + 1;
        if (config === null) throw fail(word, 'the command stream comes before the config');
        if (streamWord % alignmentWords !== 0) {
          throw fail(word, 'the command stream does not begin at a multiple of 16 bytes');
        }
        if (streamWord + length > words.length) {
          throw fail(
            word,
            `the command stream has ${length} words, and ${words.length - streamWord} are there`,
          );
        }
        return { config, id, words: words.slice(streamWord, streamWord + length), streamWord };
      }
      default:
        throw fail(word, `${hexWord(tag)} is no tag`);
    }
  }
  throw fail(words.length, 'the payload has no command stream');
}

export function writePayload(accelerator: Accelerator, words: Uint32Array): Uint8Array {
  if (words.length > mostStreamWords) {
    throw userError({
      code: 'command-stream-too-long',
      message: `the command stream has ${words.length} words, the hardware takes ${mostStreamWords}`,
      hint: 'Split the model into several streams.',
    });
  }
  const head = [magic, configTag, configWord(accelerator), architectureId];
  while ((head.length + 1) % alignmentWords !== 0) head.push(tags.nop);
  head.push((((words.length & 0xffff) << 16) | ((words.length >>> 16) << 8) | tags.stream) >>> 0);
  return bytesOf(Uint32Array.from([...head, ...words]));
}
