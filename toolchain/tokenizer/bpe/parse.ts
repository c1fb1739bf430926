/** `tokenizer.json` of Hugging Face's tokenizers, where it describes a byte-level BPE tokenizer. */
import { z } from 'zod';
import {
  addedTokenProblems,
  addedTokenRules,
  addedTokensSchema,
  checkFrame,
  idSchema,
} from '../added-tokens.ts';
import { frameOf, postProcessorSchema } from '../frame.ts';
import { badFile, parseJson, unsupported } from '../special-tokens.ts';
import { tokenizeWhole } from './encode.ts';
import { splitRuleOf, splitSchema } from './pre-tokenizer.ts';
import { type BpeTokenizer, byteAlphabet, mergeColumns, tokenBytes } from './tokenizer.ts';

const file = 'tokenizer.json';

const flag = z.boolean().default(false);

const schema = z.object({
  added_tokens: addedTokensSchema,
  normalizer: z.object({ type: z.string() }).nullish(),
  pre_tokenizer: splitSchema,
  post_processor: postProcessorSchema,
  model: z.object({
    dropout: z.number().nullish(),
    unk_token: z.string().nullish(),
    continuing_subword_prefix: z.string().nullish(),
    end_of_word_suffix: z.string().nullish(),
    ignore_merges: flag,
    vocab: z.record(z.string(), idSchema),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
  }),
});
type BpeJson = z.infer<typeof schema>;

export function parseBpe(json: unknown): BpeTokenizer {
  const parsed = parseJson(schema, json, file);
  const { model, added_tokens } = parsed;
  checkStages(parsed);
  const idOf = new Map(Object.entries(model.vocab));
  const tokenizer: BpeTokenizer = {
    kind: 'bpe',
    vocabulary: vocabularyOf(parsed),
    byteIds: Int32Array.from(byteAlphabet, (char) => idOf.get(char) ?? -1),
    merges: mergesOf(parsed, idOf),
    ...splitRuleOf(parsed.pre_tokenizer),
    frame: frameOf(parsed.post_processor),
    addedTokens: addedTokenRules(added_tokens),
  };
  checkBytes(tokenizer, model);
  checkFrame(tokenizer.frame, tokenizer.addedTokens);
  if (model.ignore_merges) checkMergesReach(tokenizer);
  return tokenizer;
}

function checkStages({ added_tokens, normalizer, model }: BpeJson): void {
  const problems = [
    normalizer != null && `the normalizer is ${normalizer.type}`,
    (model.dropout ?? 0) > 0 && 'it drops merges at random (dropout)',
    (model.continuing_subword_prefix ?? '') !== '' && 'tokens inside a word have a prefix',
    (model.end_of_word_suffix ?? '') !== '' && 'tokens at the end of a word have a suffix',
    ...addedTokenProblems(added_tokens, normalizer != null),
  ].filter((problem) => problem !== false);
  if (problems.length > 0) throw unsupported(file, problems.join('; '));
}

function vocabularyOf({ model, added_tokens }: BpeJson): readonly string[] {
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

function mergesOf({ model }: BpeJson, idOf: ReadonlyMap<string, number>): Int32Array {
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

function checkBytes({ byteIds, vocabulary }: BpeTokenizer, { unk_token }: BpeJson['model']): void {
  const missing = byteIds.indexOf(-1);
  if (missing >= 0 && unk_token != null) {
    throw unsupported(file, `no token is the byte ${missing}, which would be unknown`);
  }
  if (byteIds.every((id) => id < 0) || !vocabulary.some((token) => token !== '')) {
    throw unsupported(file, 'no token of it is a byte: its BPE is not byte-level');
  }
}

/** With `ignore_merges` a piece that is a token is that token: so it must be by its merges. */
function checkMergesReach(tokenizer: BpeTokenizer): void {
  const added = new Set(tokenizer.addedTokens.map(({ id }) => id));
  const unreached = tokenizer.vocabulary.findIndex((token, id) => {
    const bytes = token === '' || added.has(id) ? undefined : tokenBytes(token);
    if (bytes === undefined) return false;
    const ids = tokenizeWhole(tokenizer, Uint8Array.from(bytes));
    return ids.length !== 1 || ids[0] !== id;
  });
  if (unreached < 0) return;
  throw unsupported(
    file,
    `with ignore_merges, ${JSON.stringify(tokenizer.vocabulary[unreached])} is a token that its merges do not make`,
  );
}
