/** Each message of the importer, printed, in `errors.txt`. */
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { formatError, Lm2mcuError } from '../../toolchain/errors.ts';
import { filesFromMemory } from '../../toolchain/importers/files.ts';
import { importHuggingFace } from '../../toolchain/importers/huggingface.ts';
import { importModel } from '../../toolchain/importers/index.ts';
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
  without,
} from './model-files.ts';

const base = fixtureFiles('seqcls-odd-f32');
const embedding = fixtureFiles('embed-tanh-bf16');
const modern = fixtureFiles('modernbert-seqcls');
const mobile = fixtureFiles('mobilebert-seqcls');
const weights = 'model.safetensors';
const stored = base[weights]!;
const word = 'bert.embeddings.word_embeddings.weight';

const config = (changes: object): Files => withJson(base, 'config.json', changes);
const mobileConfig = (changes: object): Files => withJson(mobile, 'config.json', changes);
const modernConfig = (changes: object): Files => withJson(modern, 'config.json', changes);
const bytes = (content: Uint8Array): Files => ({ ...base, [weights]: content });
const header = (text: string): Files => bytes(joinSafetensors(text, new Uint8Array(8)));
const entries = (edit: (entries: Record<string, Entry>) => void): Files => withHeader(base, edit);
const pooling = (json: object): Files => ({
  ...embedding,
  '1_Pooling/config.json': utf8(JSON.stringify(json)),
});

function index(edit: (map: Record<string, string>) => void): Files {
  const files = sharded(base, 2);
  const json = JSON.parse(textOf(files['model.safetensors.index.json']));
  edit(json.weight_map);
  return { ...files, 'model.safetensors.index.json': utf8(JSON.stringify(json)) };
}

function withElement(value: number): Files {
  const [text, data] = splitSafetensors(stored);
  const changed = new Uint8Array(data);
  const [begin] = JSON.parse(text)[word].data_offsets;
  new DataView(changed.buffer).setFloat32(begin + 4 * 19, value, true);
  return bytes(joinSafetensors(text, changed));
}

const lengthOnly = (length: bigint): Uint8Array =>
  new Uint8Array(new BigUint64Array([length, 0n]).buffer);

const cases: Readonly<Record<string, Files>> = {
  'no config.json': without(base, 'config.json'),
  'config.json cut off': { ...base, 'config.json': base['config.json']!.subarray(0, 40) },
  'config.json too large': { ...base, 'config.json': new Uint8Array(16_000_001) },
  'config.json of other types': config({ hidden_size: '18', num_hidden_layers: 0, id2label: [] }),
  'config.json is a list': { ...base, 'config.json': utf8('[]') },
  'other architecture': config({ architectures: ['BertForMaskedLM'] }),
  'another kind of model altogether': {
    'config.json': config({ architectures: ['RobertaModel'], model_type: 'roberta' })[
      'config.json'
    ]!,
    'tokenizer.json': utf8('{"model":{"type":"WordLevel"}}'),
    'pytorch_model.bin': new Uint8Array(1),
  },
  'other model type': config({ model_type: 'mpnet' }),
  'relative positions': config({ position_embedding_type: 'relative_key' }),
  decoder: config({ is_decoder: true }),
  'other activation': config({ hidden_act: 'silu' }),
  'heads do not divide': config({ num_attention_heads: 4 }),
  'labels with a gap': config({ id2label: { 0: 'no', 2: 'yes' } }),
  'labels that are the same': config({ id2label: { 0: 'yes', 1: 'yes' } }),
  'no labels': config({ id2label: {} }),
  'no tokenizer': without(base, 'vocab.txt'),
  'a row missing': { ...base, 'vocab.txt': utf8(`${textOf(base['vocab.txt'])}one\n`) },
  'tokens missing': config({ vocab_size: 500 }),
  'vocab.txt too large': { ...base, 'vocab.txt': new Uint8Array(16_000_001) },
  'MobileBERT for pretraining': mobileConfig({ architectures: ['MobileBertForMaskedLM'] }),
  'MobileBERT, other norm': mobileConfig({ normalization_type: 'rms_norm' }),
  'MobileBERT, odd heads': mobileConfig({ num_attention_heads: 3 }),
  'MobileBERT, wide keys': mobileConfig({ key_query_shared_bottleneck: false }),
  'MobileBERT, words without a product': mobileConfig({
    ...{ trigram_input: false, embedding_size: 32 },
  }),
  'MobileBERT, wide words': mobileConfig({ embedding_size: 20_000 }),
  'MobileBERT, no segments': mobileConfig({ type_vocab_size: 0 }),
  'MobileBERT, other sizes': mobileConfig({ num_feedforward_networks: 3, intermediate_size: 25 }),
  'ModernBERT for pretraining': modernConfig({ architectures: ['ModernBertForMaskedLM'] }),
  'ModernBERT with a classifier of what': modernConfig({ architectures: null }),
  'ModernBERT, other activation': modernConfig({ hidden_activation: 'tanh' }),
  'ModernBERT, other activation of the head': modernConfig({ classifier_activation: 'quick_gelu' }),
  'ModernBERT, other pooling': modernConfig({ classifier_pooling: 'max' }),
  'ModernBERT, odd heads': modernConfig({ num_attention_heads: 32 }),
  'ModernBERT, wide heads': modernConfig({ hidden_size: 4096 }),
  'ModernBERT, scaled positions': modernConfig({ rope_scaling: { type: 'linear', factor: 2 } }),
  'ModernBERT, other positions': modernConfig({
    rope_parameters: { full_attention: { rope_type: 'yarn', rope_theta: 1000 } },
  }),
  'ModernBERT, other layers': modernConfig({
    layer_types: ['full_attention', 'sliding_attention', 'chunked_attention', 'full_attention'],
  }),
  'ModernBERT, layers without a type': modernConfig({ layer_types: ['full_attention'] }),
  'ModernBERT, other sizes': modernConfig({ intermediate_size: 50, norm_bias: true }),
  'no weights': without(base, weights),
  'pickled weights': { ...without(base, weights), 'pytorch_model.bin': new Uint8Array(1) },
  'misshapen and missing weights': entries((all) => {
    all[word]!.shape = [18, 197];
    all['extra.weight'] = all['classifier.bias']!;
    delete all['classifier.bias'];
  }),
  'one weight more than one time': entries((all) => {
    all['classifier.LayerNorm.weight'] = all['bert.embeddings.LayerNorm.weight']!;
    delete all['bert.embeddings.LayerNorm.weight'];
    all['embeddings.LayerNorm.bias'] = all['bert.pooler.dense.bias']!;
    delete all['bert.pooler.dense.bias'];
  }),
  'many weights missing': config({ num_hidden_layers: 3 }),
  'integer weights': entries((all) => {
    all[word]!.dtype = 'I32';
  }),
  'NaN weight': withElement(Number.NaN),
  'infinite weight': withElement(Number.NEGATIVE_INFINITY),

  'empty file': bytes(new Uint8Array(0)),
  'cut inside the header length': bytes(stored.subarray(0, 5)),
  'cut inside the header': bytes(stored.subarray(0, 100)),
  'cut inside the data': bytes(stored.subarray(0, -1000)),
  'one byte more': bytes(Uint8Array.of(...stored, 0)),
  'header length beyond the cap': bytes(lengthOnly(100_000_001n)),
  'header length beyond all numbers': bytes(lengthOnly(2n ** 64n - 1n)),
  'a Git LFS pointer': bytes(utf8('version https://git-lfs.github.com/spec/v1\noid sha256:12\n')),
  'header is a list': header('[]'),
  'header is not JSON': header('{"a":'),
  'header is not UTF-8': bytes(Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0xff, 0x7d)),
  'header nests': header('{"a":[[[]]]}'),
  'header names a tensor twice': header('{"a":{},"\\u0061":{}}'),
  'metadata is no map': header('{"__metadata__":{"a":1}}'),
  'entry is no object': header('{"a":7}'),
  'entry lacks a field': header('{"a":{"dtype":"F32","shape":[2]}}'),
  'entry has a field more': header(
    '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"stride":[1]}}',
  ),
  'entry has a negative size': header('{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}'),
  'unknown dtype': header('{"a":{"dtype":"F4","shape":[2],"data_offsets":[0,8]}}'),
  'offsets reversed': header('{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}'),
  'offsets beyond the file': header('{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'),
  'shape does not match': header('{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}'),
  'shape overflows': header(
    '{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}',
  ),
  'tensors overlap': header(
    '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
  ),
  'hole between tensors': header(
    '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
  ),
  'hole before the first tensor': header('{"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}'),
  'tensor named __proto__': header(
    '{"__proto__":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
  ),

  'index names a file elsewhere': index((map) => {
    map[word] = '../model.safetensors';
  }),
  'index names a missing file': index((map) => {
    map[word] = 'model-3-of-3.safetensors';
  }),
  'index places a tensor elsewhere': index((map) => {
    const [one, other] = [...new Set(Object.values(map))];
    map[word] = (map[word] === one ? other : one)!;
  }),
  'index names a missing tensor': index((map) => {
    map['gone'] = map[word]!;
  }),
  'max pooling': pooling({ pooling_mode_max_tokens: true }),
  'two poolings': pooling({ pooling_mode_cls_token: true, pooling_mode_mean_tokens: true }),
  'no pooling': pooling({}),
  'a dense module': {
    ...embedding,
    'modules.json': utf8('[{"type":"sentence_transformers.models.Dense"}]'),
  },
};

function printed(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof Lm2mcuError)
      return `${error.kind} ${error.details.code}\n${formatError(error.details)}`;
    throw error;
  }
  return 'accepted';
}

/** Folders and files on disk. */
function pathCases(): readonly (readonly [string, string])[] {
  const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-'));
  const path = (name: string): string => join(folder, name);
  const inFolder = (name: string, act: () => unknown): readonly [string, string] => [
    name,
    printed(act).replaceAll(folder, '/models/mine'),
  ];
  try {
    const results = [
      inFolder('no such path', () => importModel(path('none'))),
      inFolder('a path that no file can have', () => importModel('a\0b')),
      inFolder('a name on the hub', () => importModel('google/bert_uncased_L-2_H-128_A-2')),
      inFolder('an empty folder', () => importModel(folder)),
    ];
    for (const name of [
      'model.onnx',
      'model.json',
      'a.tflite',
      'a.gguf',
      'a.safetensors',
      'a.txt',
    ]) {
      writeFileSync(path(name), '');
      results.push(inFolder(`the file ${name}`, () => importModel(path(name))));
    }
    results.push(inFolder('a folder of another form', () => importModel(folder)));
    for (const [name, content] of Object.entries(base)) writeFileSync(path(name), content);
    truncateSync(path(weights), 2 ** 31); // sparse: takes no room
    results.push(inFolder('a file too large', () => importModel(folder)));
    return results;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('the fixture itself is accepted', () => {
  expect(printed(() => importHuggingFace(filesFromMemory(base), 'odd'))).toBe('accepted');
});

test('every message reads as in errors.txt (BLESS=1 rewrites it)', () => {
  const results = Object.entries(cases).map(
    ([name, files]) =>
      [name, printed(() => importHuggingFace(filesFromMemory(files), 'odd'))] as const,
  );
  const text = [...results, ...pathCases()].map(([name, out]) => `# ${name}\n${out}\n`).join('\n');
  const file = packagePath('test/importers/errors.txt');
  if (process.env['BLESS'] === '1') writeFileSync(file, text);
  expect(text).toBe(readFileSync(file, 'utf8'));
  expect(text).not.toContain('\naccepted\n');
});
