/** The way out for a vocabulary that no compact index can count: it keeps the answers. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { trimVocabulary } from '../../examples/trim-vocabulary.ts';
import { interpret } from '../../toolchain/emulate/interpreter.ts';
import { type ImportedModel, importModel } from '../../toolchain/importers/index.ts';
import { compileTokenizer } from '../../toolchain/tokenizer/compile.ts';
import { encode } from '../../toolchain/tokenizer/encode.ts';
import { filesOfSource } from '../importers/export-files.ts';
import { type Entry, joinSafetensors, splitSafetensors } from '../importers/model-files.ts';
import { makeRandom } from './samples.ts';

const tokens = 66_000;
const specials = ['<s>', '<pad>', '</s>', '<unk>'];
const texts = ['bcd efgh hijk', 'zebra, cafe', 'q x y z', 'déjà vu'].map((text) => ({ text }));

/** XLM-RoBERTa's way, a piece for every word of three letters and most of four. */
function unigramJson(): object {
  const letters = Array.from('abcdefghijklmnopqrstuvwxyz');
  const longer = (words: readonly string[]) =>
    words.flatMap((word) => letters.map((letter) => word + letter));
  const pairs = longer(letters);
  const words = ['▁', ...letters, ...pairs, ...longer(pairs), ...longer(longer(pairs))];
  const pieces = [...specials, ...words].slice(0, tokens);
  const special = specials.map((content, id) => ({ id, content, special: true }));
  return {
    added_tokens: special,
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
    post_processor: { type: 'RobertaProcessing', sep: ['</s>', 2], cls: ['<s>', 0] },
    model: {
      type: 'Unigram',
      unk_id: 3,
      vocab: pieces.map((piece, id) => [piece, id < specials.length ? 0 : -1 - id / 1e5]),
    },
  };
}

/** The random RoBERTa of the exports, with as many rows of words. */
function writeModel(folder: string): void {
  const files = filesOfSource('roberta');
  const [header, data] = splitSafetensors(files['model.safetensors']!);
  const { __metadata__, ...stored } = JSON.parse(header) as Record<string, Entry>;
  const random = makeRandom(5);
  let end = 0;
  const parts: Uint8Array[] = [];
  const entries = Object.entries(stored).map(([name, { dtype, shape, data_offsets }]) => {
    const isWords = name.endsWith('word_embeddings.weight');
    const width = shape.at(-1)!;
    const rows = isWords
      ? Float32Array.from({ length: tokens * width }, () => random(99) / 99)
      : null;
    const bytes = rows === null ? data.subarray(...data_offsets) : new Uint8Array(rows.buffer);
    parts.push(bytes);
    const begin = end;
    end += bytes.length;
    const size = isWords ? [tokens, width] : shape;
    return [name, { dtype, shape: size, data_offsets: [begin, end] }];
  });
  const all = joinSafetensors(JSON.stringify(Object.fromEntries(entries)), Buffer.concat(parts));
  const config = JSON.parse(Buffer.from(files['config.json']!).toString());
  const write = (file: string, bytes: string | Uint8Array) =>
    writeFileSync(join(folder, file), bytes);
  write('config.json', JSON.stringify({ ...config, vocab_size: tokens }));
  write('tokenizer.json', JSON.stringify(unigramJson()));
  write('model.safetensors', all);
}

const answersOf = ({ graph, tokenizer, card }: ImportedModel): readonly (readonly number[])[] =>
  texts.map(({ text }) => {
    const { ids, segmentStart } = encode(tokenizer, text, undefined, card.maxPositions);
    return Array.from(interpret(graph, { ids, segmentStart })[0]!.data);
  });

test('66,000 pieces, trimmed, give the same answers', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-trim-'));
  try {
    writeModel(folder);
    const whole = importModel(folder);
    const out = join(folder, 'trimmed');
    trimVocabulary(folder, texts, out);
    const trimmed = importModel(out);
    expect(trimmed.card.vocabularySize).toBeLessThan(200);
    expect(answersOf(trimmed)).toEqual(answersOf(whole));
    compileTokenizer(trimmed.tokenizer);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
