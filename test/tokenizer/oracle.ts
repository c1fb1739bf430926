/** Hugging Face's Rust tokenizers (npm `tokenizers` 0.23.2), set up as BERT from our plain data. */
import { type Encoding, Tokenizer as HuggingFace } from 'tokenizers';
import type { EncodedText } from '../../toolchain/tokenizer/encode.ts';
import type { WordPieceTokenizer } from '../../toolchain/tokenizer/parse.ts';

export type Texts = readonly [text: string, pair?: string];

/** The tokenizer.json that `transformers` would write for this tokenizer. */
export function tokenizerJson(tokenizer: WordPieceTokenizer): object {
  const { vocabulary, clsId, sepId } = tokenizer;
  const special = (id: number) => ({ id: vocabulary[id], ids: [id], tokens: [vocabulary[id]] });
  const piece = (id: number, type: number) => ({
    SpecialToken: { id: vocabulary[id], type_id: type },
  });
  const single = [piece(clsId, 0), { Sequence: { id: 'A', type_id: 0 } }, piece(sepId, 0)];
  const pair = [...single, { Sequence: { id: 'B', type_id: 1 } }, piece(sepId, 1)];
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: tokenizer.addedTokens.map(({ text, id }) => ({
      id,
      content: text,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: tokenizer.tokenizeChinese,
      strip_accents: tokenizer.stripAccents,
      lowercase: tokenizer.lowercase,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single,
      pair,
      special_tokens: {
        [vocabulary[clsId]!]: special(clsId),
        [vocabulary[sepId]!]: special(sepId),
      },
    },
    decoder: null,
    model: {
      type: 'WordPiece',
      unk_token: vocabulary[tokenizer.unknownId],
      continuing_subword_prefix: tokenizer.continuationPrefix,
      max_input_chars_per_word: tokenizer.maxWordChars,
      vocab: Object.fromEntries(vocabulary.map((word, id) => [word, id])),
    },
  };
}

export type Oracle = (texts: readonly Texts[], maxTokens: number) => Promise<EncodedText[]>;

/**
 * Texts are encoded whole and then truncated. Since 0.23 the library reads each text of a pair only
 * up to `maxTokens` and so forgets which was longer, which moves an odd token from one to the other;
 * versions before and the Python package 0.23.3 do not, and we follow them.
 */
export function makeOracle(tokenizer: WordPieceTokenizer): Oracle {
  const oracle = HuggingFace.fromString(JSON.stringify(tokenizerJson(tokenizer)));
  // Truncates and adds special tokens; setting up truncation copies the vocabulary, so it has none.
  const { vocabulary, addedTokens } = tokenizer;
  const specialsOnly = vocabulary.map((word, id) =>
    addedTokens.some((token) => token.id === id) ? word : '',
  );
  const finisher = HuggingFace.fromString(
    JSON.stringify(tokenizerJson({ ...tokenizer, vocabulary: specialsOnly })),
  );
  const whole = { addSpecialTokens: false };
  return async (texts, maxTokens) => {
    const firsts = await oracle.encodeBatch(
      texts.map(([text]) => text),
      whole,
    );
    const seconds = await oracle.encodeBatch(
      texts.map(([, pair]) => pair ?? ''),
      whole,
    );
    finisher.setTruncation(maxTokens);
    return texts.map(([, pair], i) => {
      const second = pair === undefined ? undefined : seconds[i]!;
      return summaryOf(finisher.postProcess(firsts[i]!, second, true));
    });
  };
}

/** The library on a `tokenizer.json` as it is. It may encode pairs and truncate, see `makeOracle`. */
export function loadOracle(json: object) {
  const oracle = HuggingFace.fromString(JSON.stringify(json));
  const run: Oracle = async (texts, maxTokens) => {
    const whole = { addSpecialTokens: false };
    const firsts = await oracle.encodeBatch(
      texts.map(([text]) => text),
      whole,
    );
    const seconds = await oracle.encodeBatch(
      texts.map(([, pair]) => pair ?? ''),
      whole,
    );
    oracle.setTruncation(maxTokens);
    const results = texts.map(([, pair], i) => {
      const second = pair === undefined ? undefined : seconds[i]!;
      return summaryOf(oracle.postProcess(firsts[i]!, second, true));
    });
    oracle.disableTruncation();
    return results;
  };
  const decode = (lists: readonly (readonly number[])[]): Promise<readonly string[]> =>
    oracle.decodeBatch(
      lists.map((ids) => [...ids]),
      true,
    );
  return Object.assign(run, { decode });
}

function summaryOf(encoding: Encoding): EncodedText {
  const segments = encoding.getTypeIds();
  const segmentStart = segments.indexOf(1);
  return {
    ids: Int32Array.from(encoding.getIds()),
    segmentStart: segmentStart === -1 ? segments.length : segmentStart,
    truncated: encoding.getOverflowing().length > 0,
  };
}
