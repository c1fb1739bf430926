/** `tokenizer.json` of Hugging Face's tokenizers, where it describes a byte-level BPE tokenizer. */
import { z } from 'zod';
import { badFile, parseJson, unsupported } from '../special-tokens.ts';
import { tokenizeWhole } from './encode.ts';
import { frameOf, postProcessorSchema } from './frame.ts';
import { splitRuleOf, splitSchema } from './pre-tokenizer.ts';
import {
  type BpeAddedToken,
  type BpeTokenizer,
  byteAlphabet,
  mergeColumns,
  tokenBytes,
} from './tokenizer.ts';

const file = 'tokenizer.json';
const maxId = 0xff_ffff;

const flag = z.boolean().default(false);
const id = z.number().int().nonnegative().max(maxId);

const schema = z.object({
  added_tokens: z
    .array(
      z.object({
        id,
        content: z.string().min(1),
        single_word: flag,
        lstrip: flag,
        rstrip: flag,
        normalized: flag,
        special: flag,
      }),
    )
    .default([]),
  normalizer: z.object({ type: z.string() }).nullish(),
  pre_tokenizer: splitSchema,
  post_processor: postProcessorSchema,
  model: z.object({
    dropout: z.number().nullish(),
    unk_token: z.string().nullish(),
    continuing_subword_prefix: z.string().nullish(),
    end_of_word_suffix: z.string().nullish(),
    ignore_merges: flag,
    vocab: z.record(z.string(), id),
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
    addedTokens: added_tokens.map(
      (token): BpeAddedToken => ({
        text: token.content,
        id: token.id,
        stripsLeft: token.lstrip,
        stripsRight: token.rstrip,
        isSpecial: token.special,
      }),
    ),
  };
  checkBytes(tokenizer, model);
  checkFrame(tokenizer);
  if (model.ignore_merges) checkMergesReach(tokenizer);
  return tokenizer;
}

function checkStages({ added_tokens, normalizer, model }: BpeJson): void {
  const single = added_tokens.find((token) => token.single_word);
  const overlapping = overlappingTokens(added_tokens);
  const problems = [
    normalizer != null && `the normalizer is ${normalizer.type}`,
    (model.dropout ?? 0) > 0 && 'it drops merges at random (dropout)',
    (model.continuing_subword_prefix ?? '') !== '' && 'tokens inside a word have a prefix',
    (model.end_of_word_suffix ?? '') !== '' && 'tokens at the end of a word have a suffix',
    single !== undefined &&
      `the added token ${JSON.stringify(single.content)} is matched as a single word only`,
    overlapping !== undefined &&
      `the added tokens ${overlapping.map((text) => JSON.stringify(text)).join(' and ')} overlap, and are matched one after the other`,
  ].filter((problem) => problem !== false);
  if (problems.length > 0) throw unsupported(file, problems.join('; '));
}

/** Normalized tokens are matched in what the others leave; that tells only where two overlap. */
function overlappingTokens(tokens: BpeJson['added_tokens']): readonly [string, string] | undefined {
  const first = tokens.filter(({ normalized }) => !normalized).map(({ content }) => content);
  const second = tokens.filter(({ normalized }) => normalized).map(({ content }) => content);
  for (const a of first) {
    const b = second.find((text) => overlap(a, text) || overlap(text, a));
    if (b !== undefined) return [a, b];
  }
  return undefined;
}

/** Whether some end of `a`, or all of `b`, is some beginning of `b` or in `a`. */
function overlap(a: string, b: string): boolean {
  if (a.includes(b)) return true;
  return Array.from(a, (_, start) => a.slice(start)).some((end) => b.startsWith(end));
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

/** Tokens around texts are among the added ones, so that what they are as text is told there. */
function checkFrame({ frame, addedTokens }: BpeTokenizer): void {
  const added = new Set(addedTokens.map(({ id }) => id));
  const strange = [...frame.before, ...frame.between, ...frame.after].find((id) => !added.has(id));
  if (strange === undefined) return;
  throw unsupported(file, `the post-processor puts in token ${strange}, which is no added token`);
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
