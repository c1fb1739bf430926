/** What a `graph.bin` holds: a compiled model with all that is needed to run it. */
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import type { Recipe } from '../compress/recipe.ts';
import { type Constraint, constraintKinds } from '../constrain/constraint.ts';
import { internalError, userError } from '../errors.ts';
import { type ModelCard, modelCardSchema } from '../importers/index.ts';
import type { Graph } from '../ir/graph.ts';
import { parseGraph } from '../ir/serialize.ts';
import { type CachePolicy, cachePolicySchema } from '../passes/cache-policy.ts';
import type { Plan } from '../schedule/plan.ts';
import type { AnyTarget } from '../targets.ts';
import { prefixRules } from '../tokenizer/bpe/tokenizer.ts';
import { encode } from '../tokenizer/encode.ts';
import { normalFormNames } from '../tokenizer/normal-form.ts';
import type { Tokenizer } from '../tokenizer/parse.ts';
import type { Tokens } from './interpreter.ts';

/** A text of the user's data; `textPair` is its second sentence. */
export interface Example {
  readonly text: string;
  readonly textPair?: string | undefined;
  readonly label?: string | undefined;
}

/** What graph.bin holds beside the graph: all that `run` and `eval` need. */
export interface StoredModel {
  readonly card: ModelCard;
  readonly tokenizer: Tokenizer;
  /** By which it was compressed. */
  readonly recipe: Recipe | null;
  /** Vocabulary id of each compact id, by which the graph's tables and the device count. */
  readonly idOrder: Int32Array;
  readonly target: AnyTarget;
  /** What generated texts may be; without it anything. */
  readonly constraint?: Constraint;
  readonly maxTokens: number;
  readonly cache: CachePolicy;
  readonly plan: Plan;
}

/** Encodes texts to the compact ids that the graph's tables are ordered by. */
export function compactEncoder(
  { tokenizer, idOrder }: Pick<StoredModel, 'tokenizer' | 'idOrder'>,
  maxTokens: number,
): (example: Example) => Tokens & { readonly truncated: boolean } {
  const compactOf = new Map(Array.from(idOrder, (id, index) => [id, index]));
  return ({ text, textPair }) => {
    const { ids, segmentStart, truncated } = encode(tokenizer, text, textPair, maxTokens);
    const compact = ids.map((id) => {
      const index = compactOf.get(id);
      if (index === undefined) throw internalError(`token ${id} has no compact id`, 'tokenizer');
      return index;
    });
    return { ids: compact, segmentStart, truncated };
  };
}

export interface RunnableModel extends StoredModel {
  readonly graph: Graph<'legal'>;
}

const natural = z.int().nonnegative();

const wordPieceSchema = z.strictObject({
  kind: z.literal('wordpiece'),
  vocabulary: z.array(z.string()),
  lowercase: z.boolean(),
  stripAccents: z.boolean(),
  tokenizeChinese: z.boolean(),
  unknownId: natural,
  clsId: natural,
  sepId: natural,
  padId: natural,
  maskId: natural.exactOptional(),
  addedTokens: z.array(z.strictObject({ text: z.string(), id: natural })),
  continuationPrefix: z.string(),
  maxWordChars: natural,
});

const ids = z.array(natural);

const frameSchema = z.strictObject({
  before: ids,
  between: ids,
  after: ids,
  segmentBreak: z.int(),
});

const addedTokensSchema = z.array(
  z.strictObject({
    text: z.string(),
    id: natural,
    stripsLeft: z.boolean(),
    stripsRight: z.boolean(),
    isSpecial: z.boolean(),
    isLate: z.boolean(),
  }),
);

const normalFormSchema = z
  .strictObject({ name: z.enum(normalFormNames), cleansText: z.boolean() })
  .nullable();

const bpeSchema = z.strictObject({
  kind: z.literal('bpe'),
  vocabulary: z.array(z.string()),
  byteIds: z.instanceof(Int32Array),
  merges: z.instanceof(Int32Array),
  normalForm: normalFormSchema,
  split: z.strictObject({
    words: z.enum(['gpt2', 'cl100k', 'marks', 'none']),
    mostDigits: natural,
    isolatesDigits: z.boolean(),
  }),
  prefix: z.enum(prefixRules),
  marksSpaces: z.boolean(),
  frame: frameSchema,
  addedTokens: addedTokensSchema,
});

const unigramSchema = z.strictObject({
  kind: z.literal('unigram'),
  vocabulary: z.array(z.string()),
  scores: z.instanceof(Int32Array),
  unknownScore: z.int(),
  unknownId: natural,
  byteIds: z.instanceof(Int32Array).nullable(),
  normalizer: z.strictObject({
    pairs: z.array(z.strictObject({ from: z.string(), to: z.string() })),
    cleansText: z.boolean(),
    normalForm: normalFormSchema,
    decomposes: z.boolean(),
    stripsMarks: z.boolean(),
    lowercases: z.boolean(),
    rules: z.array(z.tuple([z.string(), z.string()])),
    stripsRight: z.boolean(),
    collapsesSpaces: z.boolean(),
  }),
  words: z.strictObject({
    splitsAtWhitespace: z.boolean(),
    splitsAtMarks: z.boolean(),
    prefix: z.enum(['always', 'first', 'never']),
  }),
  frame: frameSchema,
  addedTokens: addedTokensSchema,
});

const tokenizerSchema = z.discriminatedUnion('kind', [wordPieceSchema, bpeSchema, unigramSchema]);

/** The board was checked when it was loaded; here only what picks its parts is. */
const targetSchema = z.custom<AnyTarget>(
  (value) =>
    z
      .object({ name: z.string(), core: z.object({ features: z.array(z.string()) }) })
      .safeParse(value).success,
  'is no target',
);

/** It was checked when it was followed. */
const recipeSchema = z.custom<Recipe>(
  (value) => z.object({ modelSha256: z.string() }).safeParse(value).success,
  'is no recipe',
);

const classesSchema = z.union([z.instanceof(Uint8Array), z.instanceof(Uint16Array)]);

const constraintSchema = z.strictObject({
  kind: z.enum(constraintKinds),
  tokens: z.instanceof(Uint16Array).nullable(),
  classes: classesSchema,
  classCount: natural,
  firstSingle: natural,
  rows: z.instanceof(Uint16Array),
  rowStarts: z.instanceof(Uint16Array),
  edgeClasses: classesSchema,
  edgeSteps: z.instanceof(Uint16Array),
  distances: z.instanceof(Uint16Array),
  hasEnd: z.boolean(),
});

const storedModelSchema = z.strictObject({
  card: modelCardSchema,
  tokenizer: tokenizerSchema,
  recipe: recipeSchema.nullable(),
  idOrder: z.instanceof(Int32Array),
  target: targetSchema,
  constraint: constraintSchema.exactOptional(),
  maxTokens: z.int().positive(),
  cache: cachePolicySchema,
  plan: z.strictObject({
    tileRows: z.int().positive(),
    recomputeInputs: z.boolean(),
    layers: z.array(
      z.strictObject({
        layer: z.string(),
        storedGroups: z.int().nonnegative(),
        absorbedHeads: z.int().nonnegative(),
      }),
    ),
  }),
});

export function parseStoredModel(graphBin: Uint8Array): RunnableModel {
  const { graph, extra } = parseGraph(graphBin, storedModelSchema);
  if (graph.stage !== 'legal') throw notBuilt('its graph was not compiled to the end');
  return { ...extra, graph: graph as Graph<'legal'> };
}

export function readGraphFile(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw notBuilt(reason);
  }
}

function notBuilt(reason: string) {
  return userError({
    code: 'not-built',
    message: `there is no compiled model here: ${reason}`,
    where: 'graph.bin',
    hint: 'Build it first: lm2mcu build <model> --target <board> --out <dir>',
  });
}
