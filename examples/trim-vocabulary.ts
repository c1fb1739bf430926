/**
 * A model's folder again, with the vocabulary that some texts need: for them it gives the same
 * answers, and its embedding is small enough to send over a serial line in seconds.
 *
 *   node examples/trim-vocabulary.ts <model> <texts.jsonl> <out>
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readExamples } from '../toolchain/cli/examples.ts';
import type { Example } from '../toolchain/emulate/stored-model.ts';
import { parseSafetensors, type StoredTensor } from '../toolchain/importers/safetensors.ts';
import { encode } from '../toolchain/tokenizer/encode.ts';
import { parseTokenizer, type Tokenizer } from '../toolchain/tokenizer/parse.ts';

const embeddingName = /embeddings\.word_embeddings\.weight$/;

/** Writes `config.json`, the tokenizer's files and `model.safetensors`. */
export function trimVocabulary(model: string, texts: readonly Example[], out: string): void {
  const read = (name: string) => readFileSync(join(model, name));
  const config = JSON.parse(read('config.json').toString());
  mkdirSync(out, { recursive: true });
  const writeJson = (name: string, json: unknown): void =>
    writeFileSync(join(out, name), `${JSON.stringify(json, null, 2)}\n`);
  if (existsSync(join(model, 'tokenizer_config.json'))) {
    copyFileSync(join(model, 'tokenizer_config.json'), join(out, 'tokenizer_config.json'));
  }
  const usedBy = (tokenizer: Tokenizer): ReadonlySet<number> =>
    new Set(
      texts.flatMap(({ text, textPair }) => [
        ...encode(tokenizer, text, textPair, config.max_position_embeddings).ids,
      ]),
    );

  let kept: readonly number[];
  if (existsSync(join(model, 'vocab.txt'))) {
    const tokenizer = parseTokenizer({
      vocabTxt: read('vocab.txt'),
      tokenizerConfig: JSON.parse(read('tokenizer_config.json').toString()),
    });
    const used = usedBy(tokenizer);
    // With single letters any word can be spelled.
    const isKept = (token: string, id: number) =>
      used.has(id) || /^\[[A-Z]+\]$/.test(token) || /^(##)?[!-~]$/.test(token);
    kept = tokenizer.vocabulary.flatMap((token, id) => (isKept(token, id) ? [id] : []));
    const lines = kept.map((id) => `${tokenizer.vocabulary[id]}\n`);
    writeFileSync(join(out, 'vocab.txt'), lines.join(''));
  } else {
    const json = JSON.parse(read('tokenizer.json').toString());
    const { type } = json.model;
    if (type !== 'Unigram')
      throw new Error(`a ${type} vocabulary cannot be trimmed, only Unigram and vocab.txt`);
    const trimmed = trimUnigram(json, usedBy(parseTokenizer({ tokenizerJson: json })));
    kept = trimmed.kept;
    writeJson('tokenizer.json', trimmed.json);
  }
  const file = join(model, 'model.safetensors');
  const tensors = [...parseSafetensors(readFileSync(file), file).values()];
  const result = tensors.map((tensor) =>
    embeddingName.test(tensor.name) ? chooseRows(tensor, kept) : tensor,
  );
  writeJson('config.json', { ...renumbered(config, kept), vocab_size: kept.length });
  writeFileSync(join(out, 'model.safetensors'), formatSafetensors(result));
}

/** What is read of a Unigram `tokenizer.json`. */
interface UnigramJson {
  readonly added_tokens: readonly { readonly id: number }[];
  readonly post_processor: unknown;
  readonly model: {
    readonly unk_id: number;
    readonly vocab: readonly (readonly [string, number])[];
  };
}

/** `kept`: the ids that stay, in the order of their new ids. */
export function trimUnigram(json: UnigramJson, used: ReadonlySet<number>) {
  const { vocab, unk_id } = json.model;
  const special = new Set([unk_id, ...json.added_tokens.map(({ id }) => id)]);
  // An unknown character costs more than the worst piece, which therefore stays.
  const worst = vocab.reduce((least, [, score], id) => (score < vocab[least]![1] ? id : least), 0);
  const isKept = (piece: string, id: number) =>
    used.has(id) || special.has(id) || id === worst || /^▁?[!-~]?$/.test(piece);
  const kept = vocab.flatMap(([piece], id) => (isKept(piece, id) ? [id] : []));
  const pieces = kept.map((id) => vocab[id]!);
  const added = json.added_tokens.map((token) => ({ ...token, id: kept.indexOf(token.id) }));
  return {
    kept,
    json: {
      ...json,
      added_tokens: added,
      post_processor: renumberedFrame(json.post_processor, kept),
      model: { ...json.model, unk_id: kept.indexOf(unk_id), vocab: pieces },
    },
  };
}

/** Ids in lists called `ids`, and behind the names of `sep` and `cls`. */
function renumberedFrame(json: unknown, kept: readonly number[]): unknown {
  return JSON.parse(JSON.stringify(json ?? null), (key, value) => {
    if (key === 'ids') return (value as readonly number[]).map((id) => kept.indexOf(id));
    if (key === 'sep' || key === 'cls') return [value[0], kept.indexOf(value[1])];
    return value;
  });
}

/** `pad_token_id` and its like: positions may be counted from it. */
function renumbered(config: object, kept: readonly number[]): object {
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) =>
      key.endsWith('_token_id') && kept.includes(value) ? [key, kept.indexOf(value)] : [key, value],
    ),
  );
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
