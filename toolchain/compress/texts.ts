/** The user's texts as token ids, in batches for the network, and the model's embedding tables. */
import { internalError, userError } from '../errors.ts';
import { type Graph, isConstant, tensorOf } from '../ir/graph.ts';
import { producersOf } from '../ir/rewrite.ts';

/** A text as vocabulary ids, [CLS] and [SEP] included. */
export interface TokenText {
  readonly ids: Int32Array;
  readonly segmentStart: number;
  /** Index of its class; null where it has none. */
  readonly label: number | null;
}

export interface EmbeddingTables {
  readonly word: Table;
  readonly position: Table;
  readonly segment: Table;
}

export interface Table {
  readonly name: string;
  readonly rows: number;
  readonly width: number;
  readonly values: Float32Array;
}

/** The tables that the embedding sum of an imported graph reads. */
export function embeddingTables(graph: Graph<'float'>): EmbeddingTables {
  const node = graph.nodes.find(({ op }) => op === 'embed');
  if (node === undefined) throw notSearched(graph);
  const [words, position, , segment] = node.inputs as readonly [string, string, string, string];
  const lookup = producersOf(graph).get(words);
  if (lookup?.op !== 'lookupRows') throw notSearched(graph);
  return {
    word: constantTable(graph, lookup.inputs[1]!),
    position: constantTable(graph, position),
    segment: constantTable(graph, segment),
  };
}

/** ModernBERT's words have no positions added to them, MobileBERT's only behind a product. */
function notSearched({ name }: Graph<'float'>) {
  return userError({
    code: 'not-searched',
    message: `${name} cannot be searched for a recipe: its embeddings are no sum of words, positions and segments`,
    hint: 'Recipes are searched for models of BERT’s kind and for decoders. Build this one without --recipe.',
  });
}

function constantTable(graph: Graph<'float'>, name: string): Table {
  const tensor = tensorOf(graph, name);
  if (!isConstant(tensor)) throw internalError('an embedding table is no constant', name);
  const [rows, width] = tensor.shape as readonly [number, number];
  return { name, rows, width, values: tensor.data as Float32Array };
}

/** word + position + segment for the rows of all texts, one below the other: (rows, width). */
export function embeddingSum(
  { word, position, segment }: EmbeddingTables,
  texts: readonly TokenText[],
): Float32Array {
  const { width } = word;
  const rows = texts.reduce((sum, { ids }) => sum + ids.length, 0);
  const sum = new Float32Array(rows * width);
  let to = 0;
  for (const { ids, segmentStart } of texts) {
    for (const [row, id] of ids.entries()) {
      const first = row < segmentStart ? 0 : (segment.rows - 1) * width;
      for (let column = 0; column < width; column++) {
        sum[to++] =
          word.values[id * width + column]! +
          position.values[row * width + column]! +
          segment.values[first + column]!;
      }
    }
  }
  return sum;
}

/** Texts in batches of about `rows` rows, in their order. */
export function batchesOf(
  texts: readonly TokenText[],
  rows: number,
): readonly (readonly TokenText[])[] {
  const batches: TokenText[][] = [];
  let room = 0;
  for (const text of texts) {
    if (text.ids.length > room || batches.length === 0) {
      batches.push([]);
      room = rows;
    }
    batches.at(-1)!.push(text);
    room -= text.ids.length;
  }
  return batches;
}
