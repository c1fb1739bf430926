/** `tokenizer_config.json`, the special tokens it names, and what is checked in every file. */
import { z } from 'zod';
import { userError } from '../errors.ts';

/** The device keeps one word of this many characters; it is BERT's limit too. */
export const maxWordChars = 100;

export const defaultPrefix = '##';

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
export type Config = z.infer<typeof configSchema>;

/** Classes of `transformers` whose vocab.txt is BERT's WordPiece with [CLS] A [SEP] B [SEP]. */
const wordPieceClasses =
  /^(Bert|DistilBert|Electra|MobileBert|ConvBert|Funnel|Lxmert|LayoutLM|Retribert|SqueezeBert|RoFormer|Splinter|PreTrained)Tokenizer(Fast)?$|^TokenizersBackend$/;

export function parseConfig(json: unknown): Config {
  return parseJson(configSchema, json, 'tokenizer_config.json');
}

/** That the file speaks of BERT's WordPiece. */
export function checkWordPiece(config: Config): void {
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
}

/** Characters of a token that a message repeats. */
const maxShown = 120;

export function uniqueIds(
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
        message: `the token ${JSON.stringify(word.slice(0, maxShown))} stands at ${place(earlier)} and ${place(id)}`,
        where: file,
        hint: 'Every token has one id: take the vocabulary the model was trained with.',
      });
    }
    idOf.set(word, id);
  });
  return idOf;
}

export function specialNames(config: Config) {
  return {
    unknownId: config.unk_token ?? '[UNK]',
    clsId: config.cls_token ?? '[CLS]',
    sepId: config.sep_token ?? '[SEP]',
    padId: config.pad_token ?? '[PAD]',
    maskId: config.mask_token ?? '[MASK]',
  };
}

/** Ids of the special tokens; the mask may be missing, for only training needs it. */
export function specialIds(
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

export function parseJson<T>(schema: z.ZodType<T>, json: unknown, file: string): T {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const place = issue === undefined || issue.path.length === 0 ? 'the top' : issue.path.join('.');
  throw badFile(file, `${place}: ${issue?.message ?? 'not readable'}`);
}

export function badFile(file: string, problem: string) {
  return userError({
    code: 'bad-tokenizer-file',
    message: `${file} is not as expected at ${problem}`,
    where: file,
    hint: 'Copy the file again from the model, or save the tokenizer anew with transformers.',
  });
}

export function unsupported(file: string, what: string) {
  return userError({
    code: 'unsupported-tokenizer',
    message: `this tokenizer is not supported: ${what}`,
    where: file,
    hint: 'Tokenizers that run on the device: BERT’s (basic tokenizer and WordPiece), BPE (byte-level, or SentencePiece’s with byte fallback) and SentencePiece’s Unigram.',
  });
}
