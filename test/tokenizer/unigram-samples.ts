/** Unigram tokenizers for tests: one that SentencePiece trained, odd ones from a fixed seed. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { packagePath } from '../../toolchain/package-root.ts';
import { randomText } from './samples.ts';

export interface UnigramJson {
  readonly added_tokens: readonly { readonly id: number }[];
  readonly post_processor: unknown;
  readonly normalizer: { readonly precompiled_charsmap: string };
  readonly model: {
    readonly vocab: readonly (readonly [string, number])[];
    readonly unk_id: number;
  };
  readonly [part: string]: unknown;
}

export function readFixture(name: string): object {
  const path = packagePath('test', 'fixtures', 'tokenizers', `${name}.json.gz`);
  return JSON.parse(gunzipSync(readFileSync(path)).toString()) as object;
}

const trained = readFixture('unigram') as UnigramJson;

/** 2,000 pieces, as `tokenizer.json`; `parts` stand in for its own. */
export function trainedUnigram(parts: object = {}): UnigramJson {
  return { ...trained, ...parts };
}

export const metaspace = (prepend_scheme: string, split = true): object => ({
  ...{ type: 'Metaspace', replacement: '▁', prepend_scheme, split },
});

export const replace = (pattern: object, content: string): object => ({
  ...{ type: 'Replace', pattern, content },
});

export const normalizers = (...list: readonly object[]): object => ({
  normalizer: { type: 'Sequence', normalizers: list },
});

export const rules = trained.normalizer;
export const quotes = ['``', "''"].map((quote) => replace({ String: quote }, '"'));
const withoutAccents = [{ type: 'NFKD' }, { type: 'StripAccents' }];

/** Every kind of step, as the families' files have them. */
export const forms: Readonly<Record<string, object>> = {
  'XLM-RoBERTa': {},
  ALBERT: normalizers(...quotes, ...withoutAccents, { type: 'Lowercase' }, rules),
  T5: {
    ...normalizers(
      rules,
      { type: 'Strip', strip_left: false, strip_right: true },
      replace({ Regex: ' {2,}' }, '▁'),
    ),
    pre_tokenizer: metaspace('always'),
  },
  'whole texts': {
    normalizer: null,
    pre_tokenizer: metaspace('first', false),
    post_processor: { type: 'BertProcessing', sep: ['</s>', 2], cls: ['<s>', 0] },
  },
  'no prefix': {
    pre_tokenizer: metaspace('never'),
    added_tokens: [
      ...trained.added_tokens,
      { ...trained.added_tokens[4]!, id: 2002, content: 'pack' },
    ],
  },
  'byte fallback': byteFallback(),
};

function byteFallback(): object {
  const bytes = Array.from({ length: 0x100 }, (_, byte) => {
    const digits = byte.toString(16).toUpperCase().padStart(2, '0');
    return [`<0x${digits}>`, 0] as const;
  });
  // Few single characters, so that most texts have unknown ones.
  const kept = trained.model.vocab.filter(([piece], id) => id < 4 || /^[▁a-y0-9]*$/u.test(piece));
  const vocab = [...kept, ...bytes];
  return {
    added_tokens: trained.added_tokens.slice(0, 4),
    model: { ...trained.model, vocab, byte_fallback: true },
  };
}

/** Random pieces of few letters, whose scores are so coarse that many paths are equally good. */
export function oddUnigram(random: (below: number) => number): UnigramJson {
  const pieces = new Set(['▁', ...'abcd', '语', 'é']);
  const letters = ['a', 'b', 'c', 'd', 'e', '语', '▁', ' '];
  for (let i = 0; i < 60; i++) {
    const length = 2 + random(6);
    pieces.add(Array.from({ length }, () => letters[random(7)]!).join(''));
  }
  const vocab = [
    ...trained.model.vocab.slice(0, 4),
    ...[...pieces].map((piece) => [piece, -random(12) / 2] as const),
  ];
  return trainedUnigram({
    added_tokens: trained.added_tokens.slice(0, 4),
    model: { ...trained.model, vocab },
  });
}

const words = [
  ...['the', ' package', 'abab', 'aaaa', 'cdcd', 'eeee', '语', '语语', '▁', '▁▁', ' ', '  ', '\t'],
  ...['\r\n', '\u0085', '``', "'''", '"', 'É', 'e\u0301', 'e\u0301\u0323', 'ＡＢ', 'ﬁ', 'ﬁ\u0301'],
  ...['①', '½', '™', '\u00a0', '\u200d', 'か\u3099', '각', '가\u0301', '\u1100\u1161\u11a8', '<s>'],
  ...[
    '<mask>',
    ' <mask> ',
    '<unk>',
    '＜unk＞',
    '<0x41>',
    'İ',
    'ß',
    '\u0600a',
    'Ⅷ',
    '\u0915\u094d\u0937',
  ],
  ...['ﷺ', '\u0000', '\ufeff', '👩\u200d👩', '𝐀', 'x\u0300\u0301'],
];

/** Half of them of words that tell normalizers and paths apart, some of them longer than the window. */
export function unigramText(random: (below: number) => number): string {
  const kind = random(60);
  if (kind === 0) return words[random(words.length)]!.repeat(60 + random(200));
  if (kind < 25) return randomText(random);
  return Array.from({ length: random(14) }, () => words[random(words.length)]!).join('');
}
