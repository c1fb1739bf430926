import { describe, expect, test } from 'vitest';
import { interpret } from '../../toolchain/emulate/interpreter.ts';
import { filesFromMemory } from '../../toolchain/importers/files.ts';
import { importHuggingFace } from '../../toolchain/importers/huggingface.ts';
import { importModel } from '../../toolchain/importers/index.ts';
import type { ImportOptions } from '../../toolchain/importers/model-card.ts';
import { verify } from '../../toolchain/ir/verify.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import {
  type Entry,
  type Files,
  fixtureFiles,
  joinSafetensors,
  sharded,
  splitSafetensors,
  textOf,
  utf8,
  withHeader,
  withJson,
} from './model-files.ts';

const base = fixtureFiles('seqcls-odd-f32');
const embedding = fixtureFiles('embed-tanh-bf16');
const tokens = { ids: [2, 134, 109, 3, 20, 3], segmentStart: 4 };

function read(files: Files, options: ImportOptions = {}) {
  const model = importHuggingFace(filesFromMemory(files), 'model', options);
  verify(model.graph);
  return { ...model, output: interpret(model.graph, tokens)[0]!.data };
}

const expected = read(base);

function renamed(files: Files, rename: (name: string) => string): Files {
  const [header, data] = splitSafetensors(files['model.safetensors']!);
  const entries = Object.entries(JSON.parse(header)).map(([name, entry]) => [rename(name), entry]);
  const text = JSON.stringify(Object.fromEntries(entries));
  return { ...files, 'model.safetensors': joinSafetensors(text, data) };
}

test('the card', () => {
  expect(expected.card).toMatchObject({
    name: 'model',
    kind: 'classification',
    labels: ['no', 'yes'],
    scores: 'softmax',
    pooling: null,
    maxPositions: 33,
    vocabularySize: 197,
    parameters: splitSafetensors(base['model.safetensors']!)[1].length / 4,
  });
  expect(read(fixtureFiles('tokcls-relu')).card).toMatchObject({
    kind: 'token-classification',
    labels: ['O', 'B-THING', 'I-THING'],
  });
  expect(read(embedding).card).toMatchObject({ kind: 'embedding', labels: null, scores: 'none' });
  for (const pooling of ['cls', 'mean'] as const) {
    expect(read(embedding, { pooling }).card.pooling).toBe(pooling);
  }
});

test('a folder is named after itself, unless told otherwise', () => {
  const path = packagePath('test/fixtures/hf/seqcls-odd-f32');
  expect(importModel(path).card.name).toBe('seqcls-odd-f32');
  expect(importModel(`${path}/`, { name: 'sections' }).card.name).toBe('sections');
  expect(importModel(path).card.sha256).toBe(expected.card.sha256);
});

test('the hash changes with any file that is read, and with no other', () => {
  const hashes = [
    base,
    withJson(base, 'config.json', { anything: 1 }),
    { ...base, 'tokenizer_config.json': utf8('{ }') },
    { ...base, 'vocab.txt': utf8(textOf(base['vocab.txt']).replace('close', 'clove')) },
  ].map((files) => read(files).card.sha256);
  expect(new Set(hashes).size).toBe(4);
  expect(read({ ...base, 'README.md': utf8('hello') }).card.sha256).toBe(expected.card.sha256);
});

describe('the same model in another form', () => {
  const forms: Readonly<Record<string, Files>> = {
    sharded: sharded(base, 3),
    'without the prefix': renamed(base, (name) => name.replace(/^bert\./, '')),
    'with gamma and beta': renamed(base, (name) =>
      name
        .replace('LayerNorm.weight', 'LayerNorm.gamma')
        .replace('LayerNorm.bias', 'LayerNorm.beta'),
    ),
    'without an architecture': withJson(base, 'config.json', { architectures: null }),
    'without type_vocab_size and model_type': withJson(base, 'config.json', {
      type_vocab_size: undefined,
      model_type: undefined,
    }),
  };
  test.each(Object.entries(forms))('%s', (_name, files) => {
    const { output, card } = read(files);
    expect(output).toEqual(expected.output);
    expect(card).toMatchObject({ kind: 'classification', parameters: expected.card.parameters });
  });
});

test('labels are numbered where config.json has none', () => {
  const { card } = read(withJson(base, 'config.json', { id2label: undefined }));
  expect(card.labels).toEqual(['LABEL_0', 'LABEL_1']);
});

test('the problem type decides how scores are made', () => {
  const scores = (problem_type: string | null) =>
    read(withJson(base, 'config.json', { problem_type })).card.scores;
  expect(scores(null)).toBe('softmax');
  expect(scores('multi_label_classification')).toBe('sigmoid');
  expect(scores('regression')).toBe('none');
});

test('other architectures are inferred from their tensors', () => {
  const infer = (name: string) =>
    read(withJson(fixtureFiles(name), 'config.json', { architectures: undefined })).card.kind;
  expect(infer('tokcls-relu')).toBe('token-classification');
  expect(infer('embed-tanh-bf16')).toBe('embedding');
});

test('padding rows of the word table are left out, with a note', () => {
  const grown = withRows(base, 'bert.embeddings.word_embeddings.weight', 200);
  const { graph, notes, output, card } = read(withJson(grown, 'config.json', { vocab_size: 200 }));
  expect(graph.tensors['embeddings.word_embeddings.weight']!.shape).toEqual([197, 18]);
  expect(notes).toEqual([
    'The word table has 3 rows more than the vocabulary (padding); they are left out.',
  ]);
  expect(output).toEqual(expected.output);
  expect(card.vocabularySize).toBe(197);
});

test('of more than two segments the second is a pair’s second', () => {
  const grown = withRows(base, 'bert.embeddings.token_type_embeddings.weight', 4);
  const { output, graph } = read(withJson(grown, 'config.json', { type_vocab_size: 4 }));
  expect(graph.tensors['embeddings.token_type_embeddings.weight']!.shape).toEqual([2, 18]);
  expect(output).toEqual(expected.output);
});

/** A float32 matrix with rows of 7 appended. */
function withRows(files: Files, name: string, rows: number): Files {
  const [, data] = splitSafetensors(files['model.safetensors']!);
  const shift: { at: number; by: number } = { at: 0, by: 0 };
  const grown = withHeader(files, (entries: Record<string, Entry>) => {
    const entry = entries[name]!;
    const [old, columns] = entry.shape as [number, number];
    shift.at = entry.data_offsets[1];
    shift.by = (rows - old) * columns * 4;
    entry.shape = [rows, columns];
    entry.data_offsets[1] += shift.by;
    for (const other of Object.values(entries)) {
      if (other === entry || other.data_offsets === undefined) continue;
      if (other.data_offsets[0] < shift.at) continue;
      other.data_offsets = [other.data_offsets[0] + shift.by, other.data_offsets[1] + shift.by];
    }
  });
  const [text] = splitSafetensors(grown['model.safetensors']!);
  const more = new Uint8Array(data.length + shift.by);
  more.set(data.subarray(0, shift.at));
  more.set(new Uint8Array(new Float32Array(shift.by / 4).fill(7).buffer), shift.at);
  more.set(data.subarray(shift.at), shift.at + shift.by);
  return { ...files, 'model.safetensors': joinSafetensors(text, more) };
}

describe('the pooling of an embedding', () => {
  const cls = read(embedding, { pooling: 'cls' }).output;
  const mean = read(embedding, { pooling: 'mean' }).output;
  const configured = (json: object): Files => ({
    ...embedding,
    '1_Pooling/config.json': utf8(JSON.stringify(json)),
  });
  test('is the mean unless the option says otherwise', () => {
    expect(read(embedding).output).toEqual(mean);
    expect(cls).not.toEqual(mean);
  });
  test.each([
    [{ pooling_mode_cls_token: true, pooling_mode_mean_tokens: false }, cls],
    [{ pooling_mode_cls_token: false, pooling_mode_mean_tokens: true }, mean],
    [{ pooling_mode: 'cls' }, cls],
    [{ pooling_mode: 'mean' }, mean],
  ])('is read from %j', (json, output) => {
    expect(read(configured(json), { pooling: 'cls' }).output).toEqual(output);
  });
  test('with Normalize leaves a note', () => {
    const modules = ['Transformer', 'Pooling', 'Normalize'].map((type) => ({
      type: `sentence_transformers.models.${type}`,
    }));
    const { notes } = read({ ...embedding, 'modules.json': utf8(JSON.stringify(modules)) });
    expect(notes).toHaveLength(1);
  });
});
