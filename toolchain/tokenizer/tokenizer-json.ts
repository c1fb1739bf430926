/** `tokenizer.json` of Hugging Face's tokenizers, by the kind of its model; BERT's is read here. */
import { z } from 'zod';
import { parseBpe } from './bpe/parse.ts';
import type { Tokenizer } from './parse.ts';
import {
  badFile,
  type Config,
  checkWordPiece,
  defaultPrefix,
  maxWordChars,
  parseJson,
  specialIds,
  specialNames,
  uniqueIds,
  unsupported,
} from './special-tokens.ts';
import { parseUnigram } from './unigram/parse.ts';

const templatePiece = z.union([
  z.object({ SpecialToken: z.object({ id: z.string() }) }).transform((p) => p.SpecialToken.id),
  z.object({ Sequence: z.object({ id: z.string() }) }).transform((p) => `$${p.Sequence.id}`),
]);

const tokenizerJsonSchema = z.object({
  added_tokens: z
    .array(
      z.object({
        id: z.number().int().nonnegative(),
        content: z.string(),
        single_word: z.boolean().default(false),
        normalized: z.boolean().default(false),
      }),
    )
    .default([]),
  normalizer: z.object({
    type: z.string(),
    clean_text: z.boolean().default(true),
    handle_chinese_chars: z.boolean().default(true),
    strip_accents: z.boolean().nullish(),
    lowercase: z.boolean().default(true),
  }),
  pre_tokenizer: z.object({ type: z.string() }),
  post_processor: z.object({
    type: z.string(),
    sep: z.tuple([z.string(), z.number()]).optional(),
    cls: z.tuple([z.string(), z.number()]).optional(),
    single: z.array(templatePiece).optional(),
    pair: z.array(templatePiece).optional(),
  }),
  model: z.object({
    vocab: z.record(z.string(), z.number().int().nonnegative()),
    unk_token: z.string().default('[UNK]'),
    continuing_subword_prefix: z.string().default(defaultPrefix),
    max_input_chars_per_word: z.number().int().positive().default(maxWordChars),
  }),
});
type TokenizerJson = z.infer<typeof tokenizerJsonSchema>;

const modelTypeSchema = z.object({ model: z.object({ type: z.string().optional() }) });

export function fromTokenizerJson(json: unknown, config: Config): Tokenizer {
  const file = 'tokenizer.json';
  // First, for other kinds of model have another shape altogether. Old files name no type.
  const type = parseJson(modelTypeSchema, json, file).model.type ?? 'WordPiece';
  if (type === 'BPE') return parseBpe(json);
  if (type === 'Unigram') return parseUnigram(json);
  if (type !== 'WordPiece') throw unsupported(file, `the model is ${type}`);
  checkWordPiece(config);
  const parsed = parseJson(tokenizerJsonSchema, json, file);
  const { model, normalizer } = parsed;
  checkStages(parsed, file);
  const vocabulary = vocabularyOf(parsed, file);
  const idOf = uniqueIds(vocabulary, file, (id) => `id ${id}`);
  const { cls, sep } = frameTokens(parsed, file);
  const names = {
    ...specialNames(config),
    unknownId: model.unk_token,
    clsId: cls,
    sepId: sep,
  };
  return {
    kind: 'wordpiece',
    vocabulary,
    lowercase: normalizer.lowercase,
    stripAccents: normalizer.strip_accents ?? normalizer.lowercase,
    tokenizeChinese: normalizer.handle_chinese_chars,
    ...specialIds(names, idOf, file),
    addedTokens: parsed.added_tokens.map(({ content, id }) => ({ text: content, id })),
    continuationPrefix: model.continuing_subword_prefix,
    maxWordChars: model.max_input_chars_per_word,
  };
}

function checkStages(
  { added_tokens, normalizer, pre_tokenizer, model }: TokenizerJson,
  file: string,
) {
  const odd = added_tokens.find((token) => token.normalized || token.single_word);
  const problems = [
    normalizer.type !== 'BertNormalizer' && `the normalizer is ${normalizer.type}`,
    !normalizer.clean_text && 'the normalizer does not clean the text',
    pre_tokenizer.type !== 'BertPreTokenizer' && `the pre-tokenizer is ${pre_tokenizer.type}`,
    odd !== undefined &&
      `the added token ${JSON.stringify(odd.content)} is matched in normalized text or as a single word only`,
    model.max_input_chars_per_word > maxWordChars &&
      `words may have ${model.max_input_chars_per_word} characters, more than ${maxWordChars}`,
  ].filter((problem) => problem !== false);
  if (problems.length > 0) throw unsupported(file, problems.join('; '));
}

function vocabularyOf({ model, added_tokens }: TokenizerJson, file: string): readonly string[] {
  const tokens = new Map<number, string>();
  const all = [
    ...Object.entries(model.vocab),
    ...added_tokens.map(({ content, id }): [string, number] => [content, id]),
  ];
  for (const [text, id] of all) {
    const other = tokens.get(id);
    const isBad = id > 0xff_ffff || (other !== undefined && other !== text);
    if (isBad) {
      const problem =
        other === undefined ? 'is too large' : `is also that of ${JSON.stringify(other)}`;
      throw badFile(file, `model.vocab: the id ${id} of ${JSON.stringify(text)} ${problem}`);
    }
    tokens.set(id, text);
  }
  const size = [...tokens.keys()].reduce((largest, id) => Math.max(largest, id), -1) + 1;
  return Array.from({ length: size }, (_, id) => tokens.get(id) ?? '');
}

/** The tokens around the text, which must be [CLS] A [SEP] and [CLS] A [SEP] B [SEP]. */
function frameTokens({ post_processor: post }: TokenizerJson, file: string) {
  if (post.type === 'BertProcessing' && post.cls !== undefined && post.sep !== undefined) {
    return { cls: post.cls[0], sep: post.sep[0] };
  }
  const [cls, , sep] = post.single ?? [];
  const single = post.single?.join(' ');
  const pair = post.pair?.join(' ');
  if (single === `${cls} $A ${sep}` && pair === `${single} $B ${sep}`) {
    return { cls: cls!, sep: sep! };
  }
  throw unsupported(file, `the post-processor ${post.type} does not make [CLS] A [SEP] B [SEP]`);
}
