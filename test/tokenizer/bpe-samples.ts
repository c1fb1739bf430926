/** BPE tokenizers for tests: one trained on the example's texts, odd ones from a fixed seed. */
import { readFileSync } from 'node:fs';
import { packagePath } from '../../toolchain/package-root.ts';
import { byteAlphabet } from '../../toolchain/tokenizer/bpe/tokenizer.ts';
import { randomText } from './samples.ts';
import { metaspace, normalizers, readFixture, replace } from './unigram-samples.ts';

export interface BpeJson {
  readonly added_tokens: readonly object[];
  readonly model: {
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly unknown[];
  };
  readonly [part: string]: unknown;
}

const fixture = packagePath('test', 'fixtures', 'tokenizers', 'byte-level-bpe.json');

/** 1,200 tokens, as `tokenizer.json`; `parts` stand in for its own. */
export function trainedBpe(parts: object = {}): BpeJson {
  return { ...(JSON.parse(readFileSync(fixture, 'utf8')) as BpeJson), ...parts };
}

export const byteLevel = (use_regex: boolean, add_prefix_space = false): object => ({
  ...{ type: 'ByteLevel', add_prefix_space, trim_offsets: true, use_regex },
});

export const sequence = (...pretokenizers: readonly object[]): object => ({
  ...{ type: 'Sequence', pretokenizers },
});

/** Llama 3's expression, or Qwen 2's. */
export const cl100k = (digits: string): object => ({
  type: 'Split',
  pattern: {
    Regex: `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`,
  },
  behavior: 'Isolated',
  invert: false,
});

/** SentencePiece's, of 1,000 tokens, with byte fallback. */
export function sentencePieceBpe(parts: object = {}): BpeJson {
  return { ...(readFixture('sentencepiece-bpe') as BpeJson), ...parts };
}

const markSpaces = replace({ String: ' ' }, '▁');

/** Every way to mark spaces. */
export const sentencePieceForms: Readonly<Record<string, object>> = {
  'Llama 2': {},
  'Llama 2, older files': {
    ...normalizers({ type: 'Prepend', prepend: '▁' }, markSpaces),
    pre_tokenizer: null,
  },
  'marked words': { pre_tokenizer: metaspace('always') },
  'spaces marked only': { ...normalizers(markSpaces), pre_tokenizer: null },
};

const special = (id: string, type_id: number): object => ({ SpecialToken: { id, type_id } });
const text = (id: string, type_id: number): object => ({ Sequence: { id, type_id } });

/** Every way to split, and post-processors of the families. */
export const forms: Readonly<Record<string, object>> = {
  'GPT-2': { pre_tokenizer: byteLevel(true) },
  RoBERTa: {
    pre_tokenizer: byteLevel(true),
    post_processor: {
      ...{ type: 'RobertaProcessing', sep: ['</s>', 1], cls: ['<s>', 0] },
      ...{ trim_offsets: true, add_prefix_space: false },
    },
  },
  'a space before each text': {
    pre_tokenizer: byteLevel(true, true),
    post_processor: { type: 'BertProcessing', sep: ['</s>', 1], cls: ['<s>', 0] },
  },
  'Llama 3': {
    pre_tokenizer: sequence(cl100k('\\p{N}{1,3}'), byteLevel(false)),
    post_processor: {
      type: 'Sequence',
      processors: [
        byteLevel(true),
        {
          type: 'TemplateProcessing',
          single: [special('<s>', 0), text('A', 0)],
          pair: [special('<s>', 0), text('A', 0), special('<s>', 1), text('B', 1)],
          special_tokens: { '<s>': { id: '<s>', ids: [0], tokens: ['<s>'] } },
        },
      ],
    },
  },
  'Qwen 2': { pre_tokenizer: sequence(cl100k('\\p{N}'), byteLevel(false)) },
  'single digits': {
    pre_tokenizer: sequence({ type: 'Digits', individual_digits: true }, byteLevel(true)),
  },
  'nothing split': { pre_tokenizer: byteLevel(false) },
};

/**
 * Random merges of few letters: some that make a token again, some bytes without a token, added
 * tokens that take white space.
 */
export function oddBpe(random: (below: number) => number): BpeJson {
  const letters = Array.from('abcdeĠ');
  const lacking = new Set(Array.from({ length: 3 }, () => random(0x100)));
  const tokens = byteAlphabet.filter((char, byte) => letters.includes(char) || !lacking.has(byte));
  const merged = [...letters];
  const merges = new Map<string, readonly [string, string]>();
  for (let i = 0; i < 300; i++) {
    const [left, right] = [merged[random(merged.length)]!, merged[random(merged.length)]!];
    if (left.length + right.length > 40) continue;
    merges.set(`${left} ${right}`, [left, right]);
    if (!merged.includes(left + right)) merged.push(left + right);
  }
  const all = [...tokens, ...merged.slice(letters.length), '<s>', ' x', 'ab cd', '<mask>'];
  const vocab = Object.fromEntries(all.map((token, id) => [token, id]));
  const added = (content: string, lstrip: boolean, rstrip: boolean, isSpecial: boolean) => ({
    ...{ id: vocab[content], content, single_word: false, lstrip, rstrip },
    ...{ normalized: false, special: isSpecial },
  });
  return {
    ...trainedBpe(),
    added_tokens: [
      ...[added('<s>', false, false, true), added('ab cd', false, true, false)],
      added('<mask>', true, true, true),
    ],
    model: {
      ...{ type: 'BPE', dropout: null, unk_token: null, fuse_unk: false, byte_fallback: false },
      ...{ continuing_subword_prefix: null, end_of_word_suffix: null, ignore_merges: false },
      vocab,
      merges: [...merges.values()],
    },
  };
}

const words = [
  ...["'s", "'S", "'ll", " don't", "I'VE", "'ſ", "'RE", '123', '12345', ' 99', '\n', '\r\n', '  '],
  ...['\t', ' the', 'the', ' package', ' \n x', '!!\n', '...', '½', '²', '𑷠', 'ab', 'cd', ' ab cd'],
  ...['  <mask> ', '<mask>', '<s>', 'a', 'b', 'aaaa', ' a', 'e', '語', 'é', '\u00a0'],
  ...['▁', '▁▁', '\u2580', '\u2582', '😀', '\ufffd'],
];

/** Half of them of words that tell pieces apart, some of them longer than the window. */
export function bpeText(random: (below: number) => number): string {
  const kind = random(60);
  if (kind === 0) return words[random(words.length)]!.repeat(60 + random(400));
  if (kind < 30) return randomText(random);
  return Array.from({ length: random(14) }, () => words[random(words.length)]!).join('');
}
