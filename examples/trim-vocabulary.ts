/**
 * A model's folder again, with the vocabulary that some texts need: for them it gives the same
 * answers, and its embedding is small enough to send over a serial line in seconds.
 *
 *   node examples/trim-vocabulary.ts <model> <texts.jsonl> <out>
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readExamples } from '../toolchain/cli/examples.ts';
import type { Example } from '../toolchain/emulate/stored-model.ts';
import { parseSafetensors, type StoredTensor } from '../toolchain/importers/safetensors.ts';
import { encode } from '../toolchain/tokenizer/encode.ts';
import { parseTokenizer } from '../toolchain/tokenizer/parse.ts';

const embeddingName = /embeddings\.word_embeddings\.weight$/;

/** Writes `config.json`, `vocab.txt`, `tokenizer_config.json` and `model.safetensors`. */
export function trimVocabulary(model: string, texts: readonly Example[], out: string): void {
  const read = (name: string) => readFileSync(join(model, name));
  const config = JSON.parse(read('config.json').toString());
  const tokenizer = parseTokenizer({
    vocabTxt: read('vocab.txt'),
    tokenizerConfig: JSON.parse(read('tokenizer_config.json').toString()),
  });
  const used = new Set(
    texts.flatMap(({ text, textPair }) => [
      ...encode(tokenizer, text, textPair, config.max_position_embeddings).ids,
    ]),
  );
  // With single letters any word can be spelled.
  const isKept = (token: string, id: number) =>
    used.has(id) || /^\[[A-Z]+\]$/.test(token) || /^(##)?[!-~]$/.test(token);
  const kept = tokenizer.vocabulary.flatMap((token, id) => (isKept(token, id) ? [id] : []));

  mkdirSync(out, { recursive: true });
  copyFileSync(join(model, 'tokenizer_config.json'), join(out, 'tokenizer_config.json'));
  const lines = kept.map((id) => `${tokenizer.vocabulary[id]}\n`);
  writeFileSync(join(out, 'vocab.txt'), lines.join(''));
  const trimmed = { ...config, vocab_size: kept.length };
  writeFileSync(join(out, 'config.json'), `${JSON.stringify(trimmed, null, 2)}\n`);
  const file = join(model, 'model.safetensors');
  const tensors = [...parseSafetensors(readFileSync(file), file).values()];
  const result = tensors.map((tensor) =>
    embeddingName.test(tensor.name) ? chooseRows(tensor, kept) : tensor,
  );
  writeFileSync(join(out, 'model.safetensors'), formatSafetensors(result));
}

type Tensor = Pick<StoredTensor, 'name' | 'dtype' | 'shape' | 'bytes'>;

function chooseRows({ name, dtype, shape, bytes }: Tensor, rows: readonly number[]): Tensor {
  const [count = 0, ...rest] = shape;
  const rowBytes = bytes.length / count;
  const chosen = rows.map((row) => bytes.subarray(row * rowBytes, (row + 1) * rowBytes));
  return { name, dtype, shape: [rows.length, ...rest], bytes: Buffer.concat(chosen) };
}

/** https://github.com/huggingface/safetensors#format */
function formatSafetensors(tensors: readonly Tensor[]): Uint8Array {
  let end = 0;
  const entries = tensors.map(({ name, dtype, shape, bytes }) => {
    const begin = end;
    end += bytes.length;
    return [name, { dtype, shape, data_offsets: [begin, end] }];
  });
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeUInt32LE(header.length);
  return Buffer.concat([length, header, ...tensors.map(({ bytes }) => bytes)]);
}

if (import.meta.main) {
  const [model, texts, out] = process.argv.slice(2);
  if (model === undefined || texts === undefined || out === undefined) {
    throw new Error('node examples/trim-vocabulary.ts <model> <texts.jsonl> <out>');
  }
  trimVocabulary(model, readExamples(texts).examples, out);
}
