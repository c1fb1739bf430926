/** The C of the device against `encode`: every character, malformed bytes, broken tables. */
import { afterAll, describe, expect, test } from 'vitest';
import { type CompiledWordPiece, compileTokenizer } from '../../toolchain/tokenizer/compile.ts';
import { encode } from '../../toolchain/tokenizer/encode.ts';
import { parseTokenizer } from '../../toolchain/tokenizer/parse.ts';
import { type DeviceInput, expectSame, makeDevice, optimized } from './device.ts';
import {
  allSettings,
  encodeLines,
  everyCharacter,
  makeRandom,
  randomText,
  richTokenizer,
} from './samples.ts';

const encoder = new TextEncoder();
/** As the device does: keeps a byte order mark, which the clean-up then removes. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

describe.each([allSettings[0]!, allSettings[2]!])(
  'a vocabulary of most characters, %o',
  (settings) => {
    const tokenizer = richTokenizer(settings);
    const compiled = compileTokenizer(tokenizer);

    test('every code point, alone and between letters', () => {
      const device = makeDevice(compiled, optimized);
      const texts = everyCharacter();
      const maxTokens = 20_000;
      const host = texts.map((text) => encode(tokenizer, text, undefined, maxTokens));
      const inputs = texts.map((text) => ({ text: encoder.encode(text), maxTokens }));
      expectSame('device', texts, device.run(inputs), host);
      device.close();
    });

    test('50,000 mutated byte strings are read as the WHATWG decoder reads them', () => {
      const device = makeDevice(compiled);
      const random = makeRandom(4);
      const maxTokens = 64;
      const inputs = Array.from({ length: 50_000 }, (): DeviceInput => {
        const text = mutate(encoder.encode(randomText(random)), random);
        return { text, maxTokens };
      });
      const texts = inputs.map(({ text }) => decoder.decode(text));
      const host = texts.map((text) => encode(tokenizer, text, undefined, maxTokens));
      expectSame('device', texts, device.run(inputs), host);
      device.close();
    });
  },
);

/** A few bytes replaced, removed or inserted, half of them ones that matter to UTF-8. */
function mutate(bytes: Uint8Array, random: (below: number) => number): Uint8Array {
  const telling = [0x00, 0x80, 0xbf, 0xc0, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff];
  const mutated = [...bytes];
  for (let i = random(8); i >= 0; i--) {
    const byte = random(2) === 0 ? random(0x100) : telling[random(telling.length)]!;
    mutated.splice(random(mutated.length + 1), random(3), ...(random(2) === 0 ? [byte] : []));
  }
  return Uint8Array.from(mutated);
}

describe('a small vocabulary', () => {
  const specials = ['[PAD]', '[UNK]', '[CLS]', '[SEP]'];
  const words = ['un', '##aff', '##able', 'a', '##b', 'é', 'ss', '!', '##️'];
  const tokenizer = parseTokenizer({ vocabTxt: encodeLines([...specials, ...words]) });
  const compiled = compileTokenizer(tokenizer);
  const device = makeDevice(compiled);
  afterAll(device.close);

  function idsOf(text: string, pair?: string, maxTokens = 16): readonly number[] {
    const pairBytes = pair === undefined ? undefined : encoder.encode(pair);
    const [output] = device.run([{ text: encoder.encode(text), pair: pairBytes, maxTokens }]);
    expect(output).toEqual(encode(tokenizer, text, pair, maxTokens));
    return [...output!.ids];
  }

  test('the longest token first, and one unknown piece spoils the word', () => {
    expect(idsOf('Unaffable')).toEqual([2, 4, 5, 6, 3]);
    expect(idsOf('unaffablex a')).toEqual([2, 1, 7, 3]);
  });

  test('special tokens in the text are special, case and all', () => {
    expect(idsOf('a[SEP]a')).toEqual([2, 7, 3, 7, 3]);
    expect(idsOf('[sep]')).toEqual([2, 1, 1, 1, 3]);
  });

  test('words of 100 characters are read, longer ones are unknown', () => {
    expect(idsOf(`a${'b'.repeat(99)}`, undefined, 128)).toHaveLength(102);
    expect(idsOf(`a${'b'.repeat(100)}`, undefined, 128)).toEqual([2, 1, 3]);
  });

  test('an empty text, an empty pair, a NUL', () => {
    expect(idsOf('')).toEqual([2, 3]);
    expect(idsOf('a', '')).toEqual([2, 7, 3, 3]);
    expect(idsOf('a\0b!')).toEqual([2, 7, 8, 11, 3]);
  });

  test('no room for the special tokens: no tokens', () => {
    const text = encoder.encode('a');
    const outputs = device.run([
      { text, maxTokens: 1 },
      { text, pair: text, maxTokens: 2 },
    ]);
    for (const output of outputs)
      expect(output).toMatchObject({ truncated: true, segmentStart: 0 });
  });
});

/** A test of the tests: each table with one entry changed must not pass. */
describe('broken tables are noticed', () => {
  const tokenizer = richTokenizer(allSettings[0]!);
  const compiled = compileTokenizer(tokenizer);
  const random = makeRandom(6);
  const texts = Array.from({ length: 3000 }, () => randomText(random));
  const inputs = texts.map((text) => ({ text: encoder.encode(text), maxTokens: 512 }));
  const host = texts.map((text) => encode(tokenizer, text, undefined, 512));

  const { trie, characters } = compiled;
  const { runStarts, runActions } = characters;
  const run = runStarts.findIndex((start) => start >= 0x300); // the combining marks
  const mutants: Readonly<Record<string, CompiledWordPiece>> = {
    ascii: withCharacters({ ascii: changed(characters.ascii, 0x41, 0x62) }),
    runStarts: withCharacters({ runStarts: changed(runStarts, run, runStarts[run]! + 1) }),
    runActions: withCharacters({ runActions: changed(runActions, run, runActions[run + 1]!) }),
    table: withCharacters({ table: changed(characters.table, 20, 0x61) }),
    sequences: withCharacters({ sequences: changed(characters.sequences, 1, 0x61) }),
    stream: {
      ...compiled,
      trie: { ...trie, stream: changed(trie.stream, 4, trie.stream[4]! ^ 1) },
    },
    labels: {
      ...compiled,
      trie: { ...trie, labels: changed(trie.labels, 0, trie.labels[0]! ^ 1) },
    },
    specials: { ...compiled, specials: changed(compiled.specials, 2, 0x78) },
  };

  function withCharacters(part: Partial<typeof characters>): CompiledWordPiece {
    return { ...compiled, characters: { ...characters, ...part } };
  }

  test.each(Object.keys(mutants))('%s', (name) => {
    const device = makeDevice(mutants[name]!);
    // A broken trie may also be caught by the sanitizer.
    expect(() => expectSame(name, texts, device.run(inputs), host)).toThrow();
    device.close();
  });

  test('the tables as they are pass', () => {
    const device = makeDevice(compiled);
    expectSame('device', texts, device.run(inputs), host);
    device.close();
  });
});

function changed<T extends Uint8Array | Uint16Array | Uint32Array>(
  data: T,
  at: number,
  value: number,
): T {
  const copy = data.slice() as T; // `slice` is typed per class
  copy[at] = value;
  return copy;
}
