/** `tokenizer.json` of Hugging Face's tokenizers, where it describes a SentencePiece Unigram model. */
import { z } from 'zod';
import {
  addedTokenProblems,
  addedTokenRules,
  addedTokensSchema,
  checkFrame,
  idSchema,
} from '../added-tokens.ts';
import { frameOf, postProcessorSchema } from '../frame.ts';
import { badFile, parseJson, uniqueIds, unsupported } from '../special-tokens.ts';
import { normalizerOf, normalizerSchema, preTokenizerSchema, wordRuleOf } from './normalizer.ts';
import { integerScores } from './scores.ts';
import type { UnigramTokenizer } from './tokenizer.ts';

const file = 'tokenizer.json';

const schema = z.object({
  added_tokens: addedTokensSchema,
  normalizer: normalizerSchema,
  pre_tokenizer: preTokenizerSchema,
  post_processor: postProcessorSchema,
  model: z.object({
    unk_id: idSchema.nullish(),
    byte_fallback: z.boolean().default(false),
    vocab: z.array(z.tuple([z.string(), z.number()])).min(1),
  }),
});
type UnigramJson = z.infer<typeof schema>;

export function parseUnigram(json: unknown): UnigramTokenizer {
  const parsed = parseJson(schema, json, file);
  const { model, added_tokens } = parsed;
  const problems = addedTokenProblems(added_tokens, () => parsed.normalizer != null, false);
  if (problems.length > 0) throw unsupported(file, problems.join('; '));
  const { unk_id: unknownId } = model;
  if (unknownId == null) throw unsupported(file, 'no token stands for unknown characters (unk_id)');
  if (unknownId >= model.vocab.length) {
    throw badFile(file, `model.unk_id: ${unknownId} of ${model.vocab.length} tokens`);
  }
  const pieces = model.vocab.map(([piece]) => piece);
  const idOf = uniqueIds(pieces, file, (id) => `id ${id}`);
  const frame = frameOf(parsed.post_processor);
  const addedTokens = addedTokenRules(added_tokens);
  checkFrame(frame, addedTokens);
  return {
    kind: 'unigram',
    vocabulary: withAdded(parsed, pieces),
    ...integerScores(model.vocab.map(([, score]) => score)),
    unknownId,
    byteIds: model.byte_fallback ? bytePieces(idOf) : null,
    normalizer: normalizerOf(parsed.normalizer),
    words: wordRuleOf(parsed.pre_tokenizer),
    frame,
    addedTokens,
  };
}

/** An added token is what the vocabulary has at its id, or stands behind it. */
function withAdded({ added_tokens }: UnigramJson, pieces: readonly string[]): readonly string[] {
  const strange = added_tokens.find(
    ({ id, content }) => pieces[id] !== undefined && pieces[id] !== content,
  );
  if (strange !== undefined) {
    throw badFile(
      file,
      `added_tokens: the id ${strange.id} of ${JSON.stringify(strange.content)} is also that of ${JSON.stringify(pieces[strange.id])}`,
    );
  }
  // The library numbers those that are no pieces anew, one behind the other.
  const extra = added_tokens.filter(({ id }) => id >= pieces.length);
  const far = extra.find(({ id }, i) => id !== pieces.length + i);
  if (far !== undefined) {
    throw badFile(
      file,
      `added_tokens: the id ${far.id} of ${JSON.stringify(far.content)} does not follow the one before`,
    );
  }
  return [...pieces, ...extra.map(({ content }) => content)];
}

function bytePieces(idOf: ReadonlyMap<string, number>): Int32Array {
  return Int32Array.from({ length: 0x100 }, (_, byte) => {
    const piece = `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
    const id = idOf.get(piece);
    if (id === undefined) throw badFile(file, `model.vocab: byte_fallback without ${piece}`);
    return id;
  });
}
