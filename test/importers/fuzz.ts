/**
 * Damaged model folders, from a seed: whatever the damage, the importer accepts the model or says
 * what is wrong with it, soon and without taking memory for what is not there.
 */
import { formatError, Lm2mcuError } from '../../toolchain/errors.ts';
import { filesFromMemory } from '../../toolchain/importers/files.ts';
import { importHuggingFace } from '../../toolchain/importers/huggingface.ts';
import type { ImportedModel } from '../../toolchain/importers/index.ts';
import { verify } from '../../toolchain/ir/verify.ts';
import {
  type Files,
  fixtureFiles,
  joinSafetensors,
  sharded,
  splitSafetensors,
  textOf,
  utf8,
  without,
} from './model-files.ts';

export interface FuzzResult {
  /** Cases by error code, or `accepted`. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly slowestMs: number;
  readonly growthBytes: number;
}

/** Far above what any case takes, far below a hang. */
const maxMs = 3000;
/** What the heap and buffers may grow by, garbage included. */
const maxGrowthBytes = 1e9;
const maxMessageLength = 6000;

/** What is damaged, how, and what reads it. */
export interface FuzzSubject {
  readonly bases: readonly Files[];
  readonly mutations: readonly Mutation[];
  read(files: Files): ImportedModel;
}

export function fuzz(cases: number, seed: number, subject = checkpoints()): FuzzResult {
  const random = generator(seed);
  const { bases, mutations } = subject;
  const outcomes: Record<string, number> = {};
  const start = memoryBytes();
  let slowestMs = 0;
  let growthBytes = 0;
  for (let index = 0; index < cases; index++) {
    let files = random.pick(bases);
    for (let left = random.below(3); left >= 0; left--)
      files = random.pick(mutations)(files, random);
    const startMs = cpuMs();
    const outcome = outcomeOf(subject, files, `case ${index} of seed ${seed}`);
    const elapsedMs = cpuMs() - startMs;
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    slowestMs = Math.max(slowestMs, elapsedMs);
    growthBytes = Math.max(growthBytes, memoryBytes() - start);
    if (slowestMs > maxMs) throw new Error(`case ${index} of seed ${seed} took ${elapsedMs} ms`);
    if (growthBytes > maxGrowthBytes)
      throw new Error(`case ${index}: ${growthBytes} B more in use`);
  }
  return { outcomes, slowestMs, growthBytes };
}

/** Of this process, so that others on the machine do not count. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function memoryBytes(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function outcomeOf({ read }: FuzzSubject, files: Files, name: string): string {
  try {
    verify(read(files).graph);
    return 'accepted';
  } catch (error) {
    if (!(error instanceof Lm2mcuError) || error.kind !== 'user') {
      throw new Error(`${name}: ${error}`, { cause: error });
    }
    const text = formatError(error.details);
    const isComplete = error.details.hint !== undefined && text.length <= maxMessageLength;
    if (!isComplete) throw new Error(`${name}: a poor message: ${text.slice(0, 500)}`);
    return error.details.code;
  }
}

function startingPoints(): readonly Files[] {
  const small = fixtureFiles('seqcls-odd-f32');
  const modules = [{ idx: 0, name: '0', path: '', type: 'sentence_transformers.models.Pooling' }];
  return [
    small,
    small,
    sharded(small, 3),
    withTokenizerJson(small),
    withPieces(small),
    withBytePieces(small),
    fixtureFiles('modernbert-seqcls'),
    fixtureFiles('mobilebert-seqcls'),
    {
      ...fixtureFiles('embed-tanh-bf16'),
      'modules.json': utf8(JSON.stringify(modules)),
      '1_Pooling/config.json': utf8('{"pooling_mode_cls_token":true}'),
    },
  ];
}

const addedTokens = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'].map((content, id) => ({
  ...{ id, content, special: true },
}));
const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true };

function replaceTokenizer(files: Files, parts: object): Files {
  const json = {
    added_tokens: addedTokens,
    pre_tokenizer: metaspace,
    post_processor: { type: 'BertProcessing', sep: ['[SEP]', 3], cls: ['[CLS]', 2] },
    ...parts,
  };
  return { ...without(files, 'vocab.txt'), 'tokenizer.json': utf8(JSON.stringify(json)) };
}

/** A Unigram vocabulary, with rules that make A an a. */
function withPieces(files: Files): Files {
  const words = textOf(files['vocab.txt']).trimEnd().split('\n');
  const vocab = words.map((word, id) => [word, id < 5 ? 0 : -id / 8]);
  return replaceTokenizer(files, {
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Precompiled', precompiled_charsmap: oneRule().toString('base64') },
        { type: 'Strip', strip_left: false, strip_right: true },
        { type: 'Replace', pattern: { Regex: ' {2,}' }, content: '▁' },
      ],
    },
    model: { type: 'Unigram', unk_id: 1, vocab, byte_fallback: false },
  });
}

/** A double-array trie of one character: see toolchain/tokenizer/unigram/charsmap.ts. */
function oneRule(): Buffer {
  const units = new Uint32Array(512);
  const hasLeaf = 0x100;
  const isValue = 0x8000_0000;
  units[0] = 0x80 << 10;
  units[0x80 ^ 0x41] = (0x100 << 10) | hasLeaf | 0x41;
  units[0x80 ^ 0x41 ^ 0x100] = isValue;
  const size = Uint32Array.of(units.byteLength);
  return Buffer.concat([Buffer.from(size.buffer), Buffer.from(units.buffer), Buffer.from('a\0')]);
}

/** SentencePiece's BPE with byte fallback. */
function withBytePieces(files: Files): Files {
  const bytes = Array.from({ length: 0x100 }, (_, byte) => {
    return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
  });
  const all = [...addedTokens.map(({ content }) => content), ...bytes, '▁', 'a', 'é', '▁a'];
  const vocab = Object.fromEntries(all.map((text, id) => [text, id]));
  return replaceTokenizer(files, {
    model: { type: 'BPE', byte_fallback: true, vocab, merges: [['▁', 'a']] },
  });
}

/** The vocabulary as tokenizer.json has it. */
function withTokenizerJson(files: Files): Files {
  const words = textOf(files['vocab.txt']).trimEnd().split('\n');
  const vocab = Object.fromEntries(words.map((word, id) => [word, id]));
  const special = (content: string) => ({ id: vocab[content], content, special: true });
  const json = {
    added_tokens: ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'].map(special),
    normalizer: { type: 'BertNormalizer', clean_text: true, lowercase: true },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: { type: 'BertProcessing', sep: ['[SEP]', 3], cls: ['[CLS]', 2] },
    model: { type: 'WordPiece', unk_token: '[UNK]', vocab },
  };
  return { ...without(files, 'vocab.txt'), 'tokenizer.json': utf8(JSON.stringify(json)) };
}

export interface Random {
  /** An integer from 0 to below the limit. */
  below(limit: number): number;
  pick<T>(list: readonly T[]): T;
}

/** mulberry32: small, fast and the same everywhere. */
function generator(seed: number): Random {
  let state = seed >>> 0;
  const below = (limit: number): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return Math.floor((((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
  return { below, pick: (list) => list[below(list.length)]! };
}

export type Mutation = (files: Files, random: Random) => Files;

/** A mutation of one file's bytes, of any file or of those whose name ends so. */
export function ofBytes(
  change: (bytes: Uint8Array, random: Random) => Uint8Array,
  suffix = '',
): Mutation {
  return (files, random) => {
    const names = Object.keys(files).filter((name) => name.endsWith(suffix));
    if (names.length === 0) return files;
    const name = random.pick(names);
    return { ...files, [name]: change(files[name]!, random) };
  };
}

function flipBits(bytes: Uint8Array, random: Random): Uint8Array {
  const changed = bytes.slice();
  if (bytes.length === 0) return changed;
  for (let left = random.below(8); left >= 0; left--) {
    changed[random.below(bytes.length)]! ^= 1 << random.below(8);
  }
  return changed;
}

/** Bits of the first bytes only: lengths and headers. */
function flipFirstBits(bytes: Uint8Array, random: Random): Uint8Array {
  const changed = bytes.slice();
  const count = Math.min(bytes.length, random.pick([8, 400, 3000]));
  if (count > 0) changed[random.below(count)]! ^= 1 << random.below(8);
  return changed;
}

function truncate(bytes: Uint8Array, random: Random): Uint8Array {
  return bytes.slice(0, random.below(random.pick([16, bytes.length + 1])));
}

function extend(bytes: Uint8Array, random: Random): Uint8Array {
  const more = Uint8Array.from({ length: 1 + random.below(40) }, () => random.below(256));
  return concatenated([more.subarray(0, random.below(2) * 20), bytes, more]);
}

function concatenated(parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    result.set(part, offset);
    offset += part.length;
  }
  return result;
}

function fillRun(bytes: Uint8Array, random: Random): Uint8Array {
  const start = random.below(bytes.length + 1);
  return bytes.slice().fill(random.pick([0, 0xff, 0x7f, 0x20]), start, start + random.below(64));
}

function headerLength(bytes: Uint8Array, random: Random): Uint8Array {
  if (bytes.length < 8) return bytes;
  const changed = bytes.slice();
  const view = new DataView(changed.buffer);
  const near = view.getBigUint64(0, true) + BigInt(random.below(9) - 4);
  const length = random.pick([near, 0n, 2n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 32n, 99_999_999n]);
  view.setBigUint64(0, BigInt.asUintN(64, length), true);
  return changed;
}

/** The header's JSON changed somewhere, its length and the data kept right. */
function headerJson(bytes: Uint8Array, random: Random): Uint8Array {
  if (bytes.length < 8) return bytes;
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (length + 8n > BigInt(bytes.length)) return bytes;
  const [header, data] = splitSafetensors(bytes);
  const change = random.pick([editJson, editJson, editText]);
  return joinSafetensors(textOf(change(utf8(header), random)), data);
}

const fragments = [
  '"',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '\\',
  '0',
  '1e999',
  '-',
  '\u0000',
  '[[[[',
  '"F16"',
];

function editText(bytes: Uint8Array, random: Random): Uint8Array {
  const text = textOf(bytes);
  const at = random.below(text.length + 1);
  const removed = random.pick([0, 1, 1, 5, 40]);
  return utf8(text.slice(0, at) + random.pick([...fragments, '']) + text.slice(at + removed));
}

const strangeValues: readonly unknown[] = [
  ...[null, true, false, '', 'x', 'F16', 'I64', 'gelu_new', '9'.repeat(5000), [], {}, [[]]],
  ...[-1, 0, 1, 2, 3, 4, 0.5, 18, 197, 198, 1e9, 2 ** 31, 2 ** 53, 2 ** 53 - 1, 1e300, -0],
  ...[[0, 0], [0, 4], [4, 0], [2 ** 32, 2 ** 32], [1, 2, 3], ['a'], [18, 197]],
  { 0: 'a', 1: 'b', 2: 'c' },
];

/** One value, somewhere in the tree, replaced, removed or doubled under another key. */
function editJson(bytes: Uint8Array, random: Random): Uint8Array {
  let json: unknown;
  try {
    json = JSON.parse(textOf(bytes));
  } catch {
    return bytes; // an earlier mutation has broken it
  }
  return utf8(JSON.stringify(editValue(json, random)));
}

export function editValue(value: unknown, random: Random): unknown {
  if (typeof value !== 'object' || value === null) return random.pick(strangeValues);
  const entries = Object.entries(value);
  if (entries.length === 0 || random.below(8) === 0) return random.pick(strangeValues);
  const index = random.below(entries.length);
  const [key, item] = entries[index]!;
  const way = random.below(6);
  if (way === 0) entries.splice(index, 1);
  else if (way === 1) entries.push([random.pick(['__proto__', 'constructor', `${key}x`]), item]);
  else if (way === 2) entries[index] = [key, random.pick(entries)[1]];
  else entries[index] = [key, editValue(item, random)];
  return Array.isArray(value) ? entries.map(([, each]) => each) : Object.fromEntries(entries);
}

function editLines(bytes: Uint8Array, random: Random): Uint8Array {
  const lines = textOf(bytes).split('\n');
  const index = random.below(lines.length);
  const line = random.pick([
    lines[random.below(lines.length)]!,
    '',
    '[CLS]',
    '\ud83d\ude00',
    '\r',
    'new',
  ]);
  lines.splice(index, random.below(2), ...(random.below(3) === 0 ? [] : [line]));
  return utf8(lines.join('\n'));
}

/** Of any file of a model. */
export const commonMutations: readonly Mutation[] = [
  ofBytes(flipBits),
  ofBytes(truncate),
  ofBytes(extend),
  ofBytes(fillRun),
  ofBytes(editJson, '.json'),
  ofBytes(editText, '.json'),
  ofBytes(editLines, '.txt'),
  (files, random) => without(files, random.pick(Object.keys(files))),
  (files, random) => {
    const names = Object.keys(files);
    if (names.length === 0) return files;
    return { ...files, [random.pick(names)]: files[random.pick(names)]! };
  },
];

/** Hugging Face folders. */
export function checkpoints(): FuzzSubject {
  return {
    bases: startingPoints(),
    mutations: [
      ...commonMutations,
      ofBytes(flipFirstBits, '.safetensors'),
      ofBytes(headerLength, '.safetensors'),
      ofBytes(headerJson, '.safetensors'),
      ofBytes(headerJson, '.safetensors'),
      ofBytes(editJson, 'config.json'),
    ],
    read: (files) => importHuggingFace(filesFromMemory(files), 'fuzz'),
  };
}
