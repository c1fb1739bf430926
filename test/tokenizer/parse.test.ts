/** Tokenizer files as users have them, good and bad: each message is here in full. */
import { describe, expect, test } from 'vitest';
import { formatError, Lm2mcuError } from '../../toolchain/errors.ts';
import { compileTokenizer } from '../../toolchain/tokenizer/compile.ts';
import { encode } from '../../toolchain/tokenizer/encode.ts';
import { parseTokenizer, type TokenizerFiles } from '../../toolchain/tokenizer/parse.ts';
import { tokenizerJson } from './oracle.ts';
import { encodeLines } from './samples.ts';

const lines = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', '##b', 'É', '[unused1]', '##文'];
const vocabTxt = encodeLines(lines);
const good = parseTokenizer({ vocabTxt });

test('vocab.txt alone: the defaults of BERT', () => {
  expect(good).toEqual({
    kind: 'wordpiece',
    vocabulary: lines,
    lowercase: true,
    stripAccents: true,
    tokenizeChinese: true,
    unknownId: 1,
    clsId: 2,
    sepId: 3,
    padId: 0,
    maskId: 4,
    addedTokens: [
      { text: '[UNK]', id: 1 },
      { text: '[CLS]', id: 2 },
      { text: '[SEP]', id: 3 },
      { text: '[PAD]', id: 0 },
      { text: '[MASK]', id: 4 },
    ],
    continuationPrefix: '##',
    maxWordChars: 100,
  });
});

test('CRLF and a missing last line end are read alike', () => {
  const text = new TextDecoder().decode(vocabTxt);
  for (const other of [text.replaceAll('\n', '\r\n'), text.trimEnd()]) {
    expect(parseTokenizer({ vocabTxt: new TextEncoder().encode(other) })).toEqual(good);
  }
});

test('tokenizer_config.json: case, accents, names of special tokens', () => {
  const tokenizer = parseTokenizer({
    vocabTxt: encodeLines(['<pad>', '<unk>', '<s>', '</s>', 'É']),
    tokenizerConfig: {
      tokenizer_class: 'BertTokenizerFast',
      do_lower_case: false,
      unk_token: { content: '<unk>', lstrip: false },
      cls_token: '<s>',
      sep_token: '</s>',
      pad_token: '<pad>',
    },
  });
  expect(tokenizer).toMatchObject({ lowercase: false, stripAccents: false, clsId: 2, sepId: 3 });
  expect(tokenizer.maskId).toBeUndefined();
  expect([...encode(tokenizer, 'É</s>é', undefined, 8).ids]).toEqual([2, 4, 3, 1, 3]);
});

test('tokenizer.json gives the same as vocab.txt', () => {
  expect(parseTokenizer({ tokenizerJson: tokenizerJson(good) })).toEqual(good);
});

test('tokens that no text reaches get no compact index', () => {
  const { idOrder } = compileTokenizer(good);
  expect([...idOrder].map((id) => lines[id])).toEqual([
    'a',
    '##b',
    '[UNK]',
    '[CLS]',
    '[SEP]',
    '[PAD]',
    '[MASK]',
  ]);
});

function messageOf(files: TokenizerFiles): string {
  try {
    parseTokenizer(files);
  } catch (error) {
    if (error instanceof Lm2mcuError) return `${error.details.code}\n${formatError(error.details)}`;
    throw error;
  }
  return 'no error';
}

function json(change: object): TokenizerFiles {
  return { tokenizerJson: { ...tokenizerJson(good), ...change } };
}

const badFiles: Readonly<Record<string, TokenizerFiles>> = {
  'no files': {},
  'an empty file': { vocabTxt: new Uint8Array() },
  'blank lines only': { vocabTxt: encodeLines(['', '']) },
  'not UTF-8': { vocabTxt: Uint8Array.of(0x5b, 0xff, 0x0a) },
  'a duplicate line': { vocabTxt: encodeLines([...lines, 'a']) },
  'no special tokens': { vocabTxt: encodeLines(['a', '[CLS]', '##b']) },
  'another kind of tokenizer': {
    vocabTxt,
    tokenizerConfig: { tokenizer_class: 'RobertaTokenizer' },
  },
  'no basic tokenizer': { vocabTxt, tokenizerConfig: { do_basic_tokenize: false } },
  'words never split': { vocabTxt, tokenizerConfig: { never_split: ['x'] } },
  'a config of the wrong type': { vocabTxt, tokenizerConfig: { do_lower_case: 'yes' } },
  'a config that is no object': { vocabTxt, tokenizerConfig: 7 },
  BPE: json({ model: { type: 'BPE', vocab: {}, merges: [] } }),
  'no model': { tokenizerJson: {} },
  null: { tokenizerJson: null },
  'another normalizer and pre-tokenizer': json({
    normalizer: { type: 'NFC' },
    pre_tokenizer: { type: 'Whitespace' },
  }),
  'no post-processor': json({ post_processor: { type: 'ByteLevel' } }),
  'an id twice': json({ added_tokens: [{ id: 5, content: 'b' }] }),
  'an added token in normalized text': json({
    added_tokens: [{ id: 10, content: 'lol', normalized: true }],
  }),
};

describe('messages', () => {
  test.each(Object.keys(badFiles))('%s', (name) => {
    expect(messageOf(badFiles[name]!)).toMatchSnapshot();
  });

  test('no room for the special tokens', () => {
    expect(() => encode(good, 'a', 'b', 2)).toThrowErrorMatchingInlineSnapshot(
      `[Lm2mcuError: 2 tokens have no room for the 3 special tokens]`,
    );
  });

  test('more tokens than the device counts', () => {
    const words = Array.from({ length: 65_600 }, (_, i) => i.toString(36));
    const tokenizer = parseTokenizer({ vocabTxt: encodeLines([...lines.slice(0, 5), ...words]) });
    expect(() => compileTokenizer(tokenizer)).toThrowErrorMatchingInlineSnapshot(
      `[Lm2mcuError: the vocabulary has 65,605 tokens that texts can reach, more than 65,535]`,
    );
  });

  test('a special token too long to store', () => {
    const addedTokens = [{ text: 'x'.repeat(256), id: 5 }];
    const tokenizer = { ...good, addedTokens };
    expect(() => compileTokenizer(tokenizer)).toThrowErrorMatchingInlineSnapshot(
      `[Lm2mcuError: the special token "xxxxxxxxxxxxxxxxxxxx…" has more than 255 bytes]`,
    );
  });
});

test('bad bytes never crash the parser', () => {
  for (let byte = 0; byte < 0x100; byte++) {
    const bytes = Uint8Array.from([...vocabTxt, byte, 0x0a]);
    expect(messageOf({ vocabTxt: bytes })).toMatch(/^(no error|bad-vocabulary|duplicate-token)/);
  }
});
