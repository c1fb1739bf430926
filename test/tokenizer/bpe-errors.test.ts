/** What is said of BPE files that cannot be read, or not as the library reads them. */
import { expect, test } from 'vitest';
import { formatError, Lm2mcuError } from '../../toolchain/errors.ts';
import { compileBpe } from '../../toolchain/tokenizer/bpe/compile.ts';
import { parseBpe } from '../../toolchain/tokenizer/bpe/parse.ts';
import { byteLevel, cl100k, sentencePieceBpe, sequence, trainedBpe } from './bpe-samples.ts';
import { normalizers, replace } from './unigram-samples.ts';

const { model, added_tokens } = trainedBpe();
const withModel = (part: object): object => trainedBpe({ model: { ...model, ...part } });
const withPieces = (part: object): object =>
  sentencePieceBpe({ model: { ...sentencePieceBpe().model, ...part } });
const added = { id: 3, content: '!', normalized: false, special: true };
const withNormalized = (content: string, type: string): object =>
  trainedBpe({
    normalizer: { type },
    added_tokens: [...added_tokens, { ...added, id: 1300, content, normalized: true }],
  });

const files: Readonly<Record<string, object>> = {
  'no vocabulary': withModel({ vocab: null }),
  'a merge that is no pair': withModel({ merges: ['a b c'] }),
  'a merge of an unknown token': withModel({ merges: [['nowhere', 'a']] }),
  'a merge twice': withModel({ merges: [...model.merges, model.merges[0]] }),
  'an id twice': withModel({ vocab: { ...model.vocab, again: 7 } }),
  'an id far away': withModel({ vocab: { ...model.vocab, far: 16_000_000 } }),
  'characters, not bytes': withModel({ vocab: { '▁': 5, '▁a': 6 }, merges: [] }),
  'a byte that would be unknown': withModel({
    unk_token: '<unk>',
    vocab: { a: 5, b: 6 },
    merges: [],
  }),
  'merges at random': withModel({ dropout: 0.1 }),
  'a suffix': withModel({ end_of_word_suffix: '</w>' }),
  'tokens without merges': withModel({ ignore_merges: true, merges: model.merges.slice(0, 20) }),
  'another normalizer': trainedBpe({ normalizer: { type: 'Lowercase' } }),
  'two normalizers': trainedBpe(normalizers({ type: 'NFC' }, { type: 'Lowercase' })),
  'an added token of characters that others become': withNormalized('½', 'NFKC'),
  'an added token whose last letter takes accents': withNormalized('<new', 'NFC'),
  'an added token that begins with a mark': withNormalized('\u0301x', 'NFD'),
  'another pre-tokenizer': trainedBpe({ pre_tokenizer: { type: 'Metaspace' } }),
  'another expression': trainedBpe({
    pre_tokenizer: sequence(
      { type: 'Split', pattern: { Regex: '\\w+' }, behavior: 'Isolated', invert: false },
      byteLevel(false),
    ),
  }),
  'two splits': trainedBpe({ pre_tokenizer: sequence(cl100k('\\p{N}'), byteLevel(true)) }),
  'a space before each part': trainedBpe({
    pre_tokenizer: sequence(
      { type: 'Digits', individual_digits: true },
      { ...byteLevel(true), add_prefix_space: true },
    ),
  }),
  'an added token of a single word': trainedBpe({
    added_tokens: [...added_tokens, { ...added, single_word: true }],
  }),
  'added tokens that overlap': trainedBpe({
    added_tokens: [...added_tokens, { ...added, id: 1300, content: 's>x', normalized: true }],
  }),
  'white space that two added tokens take': trainedBpe({
    added_tokens: [
      ...added_tokens,
      { ...added, id: 1300, content: '<fill>', lstrip: true },
      { ...added, id: 1301, content: '  ', normalized: true },
    ],
  }),
  'a frame of a token that is not added': trainedBpe({
    post_processor: { type: 'RobertaProcessing', sep: ['</s>', 1], cls: ['a', 90] },
  }),
  'another post-processor': trainedBpe({ post_processor: { type: 'Other' } }),
  'an added token too long to store': trainedBpe({
    added_tokens: [...added_tokens, { ...added, id: 1300, content: 'x'.repeat(256) }],
  }),
  'byte fallback without bytes': withModel({ byte_fallback: true, vocab: { '▁': 5 }, merges: [] }),
  'byte fallback without a space': withPieces({ vocab: { a: 0 }, merges: [] }),
  'byte fallback and tokens without merges': withPieces({ ignore_merges: true }),
  'byte fallback and another normalizer': sentencePieceBpe({
    normalizer: { type: 'NFKC' },
    pre_tokenizer: null,
  }),
  'byte fallback and another pre-tokenizer': sentencePieceBpe({ pre_tokenizer: byteLevel(true) }),
  'spaces marked twice': sentencePieceBpe(normalizers(replace({ String: ' ' }, '▁'))),
};

test.each(Object.keys(files))('%s', (name) => {
  let message = 'no error';
  try {
    compileBpe(parseBpe(files[name]!));
  } catch (error) {
    if (!(error instanceof Lm2mcuError)) throw error;
    message = `${error.details.code}\n${formatError(error.details)}`;
  }
  expect(message).toMatchSnapshot();
});
