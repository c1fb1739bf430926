/** What every importer makes: a float graph, its tokenizer, and the card that says what they are. */
import { z } from 'zod';
import type { Affine, Graph } from '../ir/graph.ts';
import type { Tokenizer } from '../tokenizer/parse.ts';

export type Pooling = 'cls' | 'mean';

export interface ImportOptions {
  /** How an embedding model makes one vector of its rows, where the folder does not say. */
  readonly pooling?: Pooling;
  /** The model's name; without it the folder's. */
  readonly name?: string;
  /** Of a decoder whose positions are computed: for texts longer than its own context. */
  readonly leastPositions?: number;
}

/** Also what `graph.bin` is read back with. */
export const modelCardSchema = z.strictObject({
  name: z.string(),
  kind: z.enum(['classification', 'token-classification', 'embedding', 'generation']),
  /** By class; null for an embedding. */
  labels: z.array(z.string()).readonly().nullable(),
  /** How logits become scores: over all classes, class by class, or not at all (regression). */
  scores: z.enum(['softmax', 'sigmoid', 'none']),
  /** How an embedding is made of its rows; null for other heads. */
  pooling: z.enum(['cls', 'mean']).nullable(),
  maxPositions: z.number(),
  /** Weights read, before any optimization. */
  parameters: z.number(),
  /** Over the names and bytes of the files read. */
  sha256: z.string(),
  vocabularySize: z.number(),
  /** Of a decoder: vocabulary ids of the tokens after which a text has ended. */
  endTokens: z.array(z.number()).readonly().optional(),
});
export type ModelCard = Readonly<z.infer<typeof modelCardSchema>>;
export type ModelKind = ModelCard['kind'];

export interface ImportedModel {
  readonly graph: Graph<'float'>;
  readonly tokenizer: Tokenizer;
  readonly card: ModelCard;
  /** The model's own, by the name of each tensor: not what the compiler adds, such as angles. */
  readonly parameters: ReadonlyMap<string, number>;
  /** How a quantized model stores its activations as int8, by tensor: kept instead of calibrated. */
  readonly stored?: ReadonlyMap<string, Affine>;
  /** What the user should know about the import, a sentence each. */
  readonly notes: readonly string[];
}

export function totalOf(parameters: ReadonlyMap<string, number>): number {
  return [...parameters.values()].reduce((sum, count) => sum + count, 0);
}
