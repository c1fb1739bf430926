/** What `tokenizer.json` of a BPE tokenizer has, of whichever base: vocabulary, merges, added tokens. */
import { z } from 'zod';
import {
  type AddedTokenJson,
  addedTokenProblems,
  addedTokensSchema,
  idSchema,
} from '../added-tokens.ts';
import { postProcessorSchema } from '../frame.ts';
import { badFile } from '../special-tokens.ts';
import { normalizerSchema } from './normalizer.ts';
import { splitSchema } from './pre-tokenizer.ts';
import { mergeColumns } from './tokenizer.ts';

const file = 'tokenizer.json';
const flag = z.boolean().default(false);

export const bpeSchema = z.object({
  added_tokens: addedTokensSchema,
  normalizer: normalizerSchema,
  pre_tokenizer: splitSchema,
  post_processor: postProcessorSchema,
  model: z.object({
    dropout: z.number().nullish(),
    unk_token: z.string().nullish(),
    continuing_subword_prefix: z.string().nullish(),
    end_of_word_suffix: z.string().nullish(),
    ignore_merges: flag,
    byte_fallback: flag,
    vocab: z.record(z.string(), idSchema),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
  }),
});
export type BpeJson = z.infer<typeof bpeSchema>;

/** What of the model and its added tokens (see `addedTokenProblems`) the library does otherwise. */
export function modelProblems(
  { added_tokens, model }: BpeJson,
  isChanged: (token: AddedTokenJson) => boolean,
  findsLate: boolean,
): readonly string[] {
  return [
    (model.dropout ?? 0) > 0 && 'it drops merges at random (dropout)',
    (model.continuing_subword_prefix ?? '') !== '' && 'tokens inside a word have a prefix',
    (model.end_of_word_suffix ?? '') !== '' && 'tokens at the end of a word have a suffix',
    ...addedTokenProblems(added_tokens, isChanged, findsLate),
  ].filter((problem) => problem !== false);
}

export function vocabularyOf({ model, added_tokens }: BpeJson): readonly string[] {
  const tokens = new Map<number, string>();
  const all = [
    ...Object.entries(model.vocab),
    ...added_tokens.map(({ content, id }): [string, number] => [content, id]),
  ];
  for (const [text, id] of all) {
    const other = tokens.get(id);
    if (other !== undefined && other !== text) {
      throw badFile(
        file,
        `model.vocab: the id ${id} of ${JSON.stringify(text)} is also that of ${JSON.stringify(other)}`,
      );
    }
    tokens.set(id, text);
  }
  const size = [...tokens.keys()].reduce((largest, id) => Math.max(largest, id), -1) + 1;
  if (size > all.length + mostGaps) throw badFile(file, 'model.vocab: most ids have no token');
  return Array.from({ length: size }, (_, id) => tokens.get(id) ?? '');
}

/** Ids without a token, of padding. */
const mostGaps = 0xffff;

export function mergesOf({ model }: BpeJson, idOf: ReadonlyMap<string, number>): Int32Array {
  const merges = new Int32Array(mergeColumns * model.merges.length);
  const known = new Set<string>();
  model.merges.forEach((merge, row) => {
    const parts = typeof merge === 'string' ? merge.split(' ') : merge;
    const [left = '', right = ''] = parts;
    const ids = [left, right, left + right].map((text) => idOf.get(text));
    const missing = [left, right, left + right].find((text) => !idOf.has(text));
    if (parts.length !== 2 || missing !== undefined) {
      const problem =
        parts.length === 2
          ? `the vocabulary lacks ${JSON.stringify(missing)}`
          : `${JSON.stringify(merge)} is no pair`;
      throw badFile(file, `model.merges.${row}: ${problem}`);
    }
    const key = `${ids[0]} ${ids[1]}`;
    if (known.has(key)) throw badFile(file, `model.merges.${row}: ${JSON.stringify(merge)} again`);
    known.add(key);
    merges.set(ids as number[], row * mergeColumns);
  });
  return merges;
}
