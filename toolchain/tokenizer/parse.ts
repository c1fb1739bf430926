/**
 * Tokenizer files of a BERT model to plain data: `vocab.txt` with `tokenizer_config.json`, or
 * `tokenizer.json` where there is no `vocab.txt`.
 */
import { z } from 'zod';
import { userError } from '../errors.ts';

export interface Tokenizer {
  /** Token of each id; '' where an id has none (a blank line). No other string occurs twice. */
  readonly vocabulary: readonly string[];
  readonly lowercase: boolean;
  readonly stripAccents: boolean;
  /** CJK ideographs are words of their own. */
  readonly tokenizeChinese: boolean;
  readonly unknownId: number;
  readonly clsId: number;
  readonly sepId: number;
  readonly padId: number;
  readonly maskId?: number;
  /** Special tokens, found in the raw text before all else (Hugging Face's added tokens). */
  readonly addedTokens: readonly AddedToken[];
  /** Marks the tokens that continue a word. */
  readonly continuationPrefix: string;
  /** Longer words are unknown; in characters after normalization. */
  readonly maxWordChars: number;
}

export interface AddedToken {
  readonly text: string;
  readonly id: number;
}

export interface TokenizerFiles {
  readonly vocabTxt?: Uint8Array | undefined;
  /** Parsed `tokenizer_config.json`. */
  readonly tokenizerConfig?: unknown;
  /** Parsed `tokenizer.json`. */
  readonly tokenizerJson?: unknown;
}

/** The device keeps one word of this many characters; it is BERT's limit too. */
export const maxWordChars = 100;
/** Device ids are 16 bits, and one value is kept free. */
export const maxVocabulary = 65_535;

const continuationPrefix = '##';

export function parseTokenizer(files: TokenizerFiles): Tokenizer {
  const config = parseConfig(files.tokenizerConfig ?? {});
  if (files.vocabTxt !== undefined) return fromVocabTxt(files.vocabTxt, config);
  if (files.tokenizerJson !== undefined) return fromTokenizerJson(files.tokenizerJson, config);
  throw userError({
    code: 'tokenizer-missing',
    message: 'the model has no tokenizer',
    hint: 'Put vocab.txt or tokenizer.json beside the model.',
  });
}

const tokenSchema = z
  .union([z.string(), z.object({ content: z.string() })])
  .transform((token) => (typeof token === 'string' ? token : token.content));

const configSchema = z.object({
  tokenizer_class: z.string().nullish(),
  do_lower_case: z.boolean().nullish(),
  do_basic_tokenize: z.boolean().nullish(),
  never_split: z.array(z.string()).nullish(),
  strip_accents: z.boolean().nullish(),
  tokenize_chinese_chars: z.boolean().nullish(),
  unk_token: tokenSchema.nullish(),
  cls_token: tokenSchema.nullish(),
  sep_token: tokenSchema.nullish(),
  pad_token: tokenSchema.nullish(),
  mask_token: tokenSchema.nullish(),
  additional_special_tokens: z.array(tokenSchema).nullish(),
});
type Config = z.infer<typeof configSchema>;

/** Classes of `transformers` whose vocab.txt is BERT's WordPiece with [CLS] A [SEP] B [SEP]. */
const wordPieceClasses =
  /^(Bert|DistilBert|Electra|MobileBert|ConvBert|Funnel|Lxmert|LayoutLM|Retribert|SqueezeBert|RoFormer|Splinter|PreTrained)Tokenizer(Fast)?$|^TokenizersBackend$/;

function parseConfig(json: unknown): Config {
  const config = parseJson(configSchema, json, 'tokenizer_config.json');
  const name = config.tokenizer_class;
  if (typeof name === 'string' && !wordPieceClasses.test(name)) {
    throw unsupported('tokenizer_config.json', `${name} is not a WordPiece tokenizer of BERT`);
  }
  if (config.do_basic_tokenize === false) {
    throw unsupported('tokenizer_config.json', 'do_basic_tokenize is false');
  }
  if (config.never_split != null && config.never_split.length > 0) {
    throw unsupported('tokenizer_config.json', 'never_split lists words');
  }
  return config;
}

function fromVocabTxt(bytes: Uint8Array, config: Config): Tokenizer {
  const vocabulary = parseVocabTxt(bytes);
  const idOf = uniqueIds(vocabulary, 'vocab.txt', (id) => `line ${id + 1}`);
  const names = specialNames(config);
  const ids = specialIds(names, idOf, 'vocab.txt');
  const texts = new Set([...Object.values(names), ...(config.additional_special_tokens ?? [])]);
  const lowercase = config.do_lower_case ?? true;
  return {
    vocabulary,
    lowercase,
    stripAccents: config.strip_accents ?? lowercase,
    tokenizeChinese: config.tokenize_chinese_chars ?? true,
    ...ids,
    addedTokens: [...texts].flatMap((text) => {
      const id = idOf.get(text);
      return id === undefined || text === '' ? [] : [{ text, id }];
    }),
    continuationPrefix,
    maxWordChars,
  };
}

/** One token a line, ended by LF or CRLF; white space at a line's end is no part of the token. */
function parseVocabTxt(bytes: Uint8Array): readonly string[] {
  const text = decodeUtf8(bytes);
  const lines = text.split('\n').map((line) => line.trimEnd());
  if (text.endsWith('\n') || text === '') lines.pop();
  if (!lines.some((line) => line !== '')) {
    throw userError({
      code: 'empty-vocabulary',
      message: 'the vocabulary is empty',
      where: 'vocab.txt',
      hint: 'Each line of vocab.txt is one token; copy the file again from the model.',
    });
  }
  return lines;
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw userError({
      code: 'bad-vocabulary',
      message: 'the vocabulary is not UTF-8 text',
      where: 'vocab.txt',
      hint: 'Copy vocab.txt again from the model; it may be a pointer file or compressed.',
    });
  }
}

function uniqueIds(
  vocabulary: readonly string[],
  file: string,
  place: (id: number) => string,
): ReadonlyMap<string, number> {
  const idOf = new Map<string, number>();
  vocabulary.forEach((word, id) => {
    const earlier = idOf.get(word);
    if (earlier !== undefined && word !== '') {
      throw userError({
        code: 'duplicate-token',
        message: `the token ${JSON.stringify(word)} stands at ${place(earlier)} and ${place(id)}`,
        where: file,
        hint: 'Every token has one id: take the vocabulary the model was trained with.',
      });
    }
    idOf.set(word, id);
  });
  return idOf;
}

function specialNames(config: Config) {
  return {
    unknownId: config.unk_token ?? '[UNK]',
    clsId: config.cls_token ?? '[CLS]',
    sepId: config.sep_token ?? '[SEP]',
    padId: config.pad_token ?? '[PAD]',
    maskId: config.mask_token ?? '[MASK]',
  };
}

/** Ids of the special tokens; the mask may be missing, for only training needs it. */
function specialIds(
  names: ReturnType<typeof specialNames>,
  idOf: ReadonlyMap<string, number>,
  file: string,
) {
  const { maskId: mask, ...required } = names;
  const missing = Object.values(required).filter((name) => !idOf.has(name));
  if (missing.length > 0) {
    throw userError({
      code: 'missing-special-token',
      message: `the vocabulary lacks ${missing.join(', ')}`,
      where: file,
      hint: 'A BERT vocabulary has [UNK], [CLS], [SEP] and [PAD]; other names go into tokenizer_config.json (unk_token, cls_token, sep_token, pad_token).',
    });
  }
  const maskId = idOf.get(mask);
  return {
    unknownId: idOf.get(names.unknownId)!,
    clsId: idOf.get(names.clsId)!,
    sepId: idOf.get(names.sepId)!,
    padId: idOf.get(names.padId)!,
    ...(maskId === undefined ? {} : { maskId }),
  };
}

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
    continuing_subword_prefix: z.string().default(continuationPrefix),
    max_input_chars_per_word: z.number().int().positive().default(maxWordChars),
  }),
});
type TokenizerJson = z.infer<typeof tokenizerJsonSchema>;

const modelTypeSchema = z.object({ model: z.object({ type: z.string().optional() }) });

function fromTokenizerJson(json: unknown, config: Config): Tokenizer {
  const file = 'tokenizer.json';
  // First, for other kinds of model have another shape altogether. Old files name no type.
  const type = parseJson(modelTypeSchema, json, file).model.type ?? 'WordPiece';
  if (type !== 'WordPiece') throw unsupported(file, `the model is ${type}, not WordPiece`);
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
    if (isBad) throw badJson(file, `model.vocab: id ${id} of ${JSON.stringify(text)}`);
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

function parseJson<T>(schema: z.ZodType<T>, json: unknown, file: string): T {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw badJson(file, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not readable'}`);
}

function badJson(file: string, problem: string) {
  return userError({
    code: 'bad-tokenizer-json',
    message: `${file} is not as expected at ${problem}`,
    where: file,
    hint: 'Copy the file again from the model, or save the tokenizer anew with transformers.',
  });
}

function unsupported(file: string, what: string) {
  return userError({
    code: 'unsupported-tokenizer',
    message: `this tokenizer is not supported: ${what}`,
    where: file,
    hint: 'Only BERT tokenizers (basic tokenizer and WordPiece) run on the device.',
  });
}
