/** What is said of Unigram files that cannot be read, or not as the library reads them. */
import { expect, test } from 'vitest';
import { formatError, Lm2mcuError } from '../../toolchain/errors.ts';
import { compileTokenizer } from '../../toolchain/tokenizer/compile.ts';
import { parseTokenizer } from '../../toolchain/tokenizer/parse.ts';
import {
  forms,
  metaspace,
  normalizers,
  quotes,
  replace,
  rules,
  trainedUnigram,
} from './unigram-samples.ts';

const { model, added_tokens } = trainedUnigram();
const withModel = (part: object): object => trainedUnigram({ model: { ...model, ...part } });
const withRules = (bytes: Uint8Array): object =>
  trainedUnigram({
    normalizer: {
      type: 'Precompiled',
      precompiled_charsmap: Buffer.from(bytes).toString('base64'),
    },
  });
const charsmap = Buffer.from(rules.precompiled_charsmap, 'base64');
const added = { id: 2002, content: '!!', single_word: false, normalized: false, special: true };

const files: Readonly<Record<string, object>> = {
  'no vocabulary': withModel({ vocab: [] }),
  'no scores': withModel({ vocab: ['a', 'b'] }),
  'no unknown token': withModel({ unk_id: null }),
  'an unknown token that is not there': withModel({ unk_id: 5000 }),
  'a piece twice': withModel({ vocab: [...model.vocab, ['▁', -1]] }),
  'bytes without pieces': withModel({ byte_fallback: true }),
  'rules that are cut off': withRules(charsmap.subarray(0, 1000)),
  'rules without a text': withRules(charsmap.subarray(0, 179_204)),
  'rules of broken characters': withRules(
    charsmap.map((byte, i) => (i > 179_204 ? byte ^ 0x80 : byte)),
  ),
  'another normalizer': trainedUnigram({ normalizer: { type: 'BertNormalizer' } }),
  'two normal forms': trainedUnigram(normalizers({ type: 'NFD' }, { type: 'NFC' })),
  'quotes before a normal form': trainedUnigram(normalizers(...quotes, { type: 'NFKC' })),
  'lower case at the end': trainedUnigram(normalizers(rules, { type: 'Lowercase' })),
  'two sets of rules': trainedUnigram(normalizers(rules, rules)),
  'texts stripped on the left': trainedUnigram(
    normalizers(rules, { type: 'Strip', strip_left: true, strip_right: true }),
  ),
  'another expression': trainedUnigram(normalizers(replace({ Regex: '\\s+' }, ' '))),
  'replacements that meet': trainedUnigram(
    normalizers(replace({ String: '""' }, "'"), replace({ String: "''" }, '!')),
  ),
  'a longer replacement': trainedUnigram(normalizers(replace({ String: 'abc' }, 'd'))),
  'another pre-tokenizer': trainedUnigram({ pre_tokenizer: { type: 'Whitespace' } }),
  'no pre-tokenizer': trainedUnigram({ pre_tokenizer: null }),
  'the first word only': trainedUnigram({
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [{ type: 'WhitespaceSplit' }, metaspace('first')],
    },
  }),
  'another mark': trainedUnigram({
    pre_tokenizer: { type: 'Metaspace', replacement: '_', prepend_scheme: 'always' },
  }),
  'an added token in normalized text': trainedUnigram({
    added_tokens: [...added_tokens, { ...added, normalized: true }],
  }),
  'an added token with another id': trainedUnigram({
    added_tokens: [...added_tokens, { ...added, id: 7 }],
  }),
  'an added token far behind': trainedUnigram({
    added_tokens: [...added_tokens, { ...added, id: 3000 }],
  }),
  'a frame of a token that is not added': trainedUnigram({ added_tokens: [] }),
  'more tokens than the device counts': withModel({
    vocab: [...model.vocab, ...Array.from({ length: 65_600 }, (_, i) => [`▁▁${i}`, -9])],
  }),
};

test.each(Object.keys(files))('%s', (name) => {
  let message = 'no error';
  try {
    compileTokenizer(parseTokenizer({ tokenizerJson: files[name] }));
  } catch (error) {
    if (!(error instanceof Lm2mcuError)) throw error;
    message = `${error.details.code}\n${formatError(error.details)}`;
  }
  expect(message).toMatchSnapshot();
});

test('every form is read', () => {
  for (const form of Object.values(forms)) {
    expect(parseTokenizer({ tokenizerJson: trainedUnigram(form) }).kind).toBe('unigram');
  }
});
