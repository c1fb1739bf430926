/**
 * What a changed model loses against the float model: task accuracy, and the measures that are less
 * forgiving.
 */
import { internalError } from '../errors.ts';
import { type Graph, tensorOf } from '../ir/graph.ts';
import { bootstrapInterval, type Interval } from './bootstrap.ts';
import { evaluateNetwork, graphConstants } from './network.ts';
import { batchRows } from './sensitivity.ts';
import { loadTensors } from './tensors.ts';
import { batchesOf, embeddingSum, embeddingTables, type TokenText } from './texts.ts';

/** Texts one after the other: of each its rows of `columns` values. */
export interface TextRows {
  readonly columns: number;
  readonly rows: readonly Float32Array[];
}

export interface Outputs extends TextRows {
  /** What the head reads: the last normalized rows that are computed. */
  readonly hidden: TextRows;
}

/** What can be told from the outputs alone. */
export interface OutputLoss {
  /** Kullback-Leibler divergence of the class probabilities, in nats; of vectors 1 − cosine. */
  readonly distance: number;
  /** Share of rows with the same largest output; of vectors, with the same nearest other text. */
  readonly agreement: number;
  /** Share right before less share right after; null without labels. */
  readonly accuracyDrop: number | null;
  readonly accuracy: number | null;
}

export interface Loss extends OutputLoss {
  /** Mean cosine of the hidden rows before and after. */
  readonly hiddenCosine: number;
}

/** The float graph's outputs, with constants replaced by name. */
export async function networkOutputs(
  graph: Graph<'float'>,
  texts: readonly TokenText[],
  replaced: ReadonlyMap<string, Float32Array>,
  progress: (done: number, total: number) => Promise<void>,
): Promise<Outputs> {
  const tf = await loadTensors();
  const { word, position, segment } = embeddingTables(graph);
  const withReplaced = (table: typeof word) => ({
    ...table,
    values: replaced.get(table.name) ?? table.values,
  });
  const tables = {
    word: withReplaced(word),
    position: withReplaced(position),
    segment: withReplaced(segment),
  };
  const { constants, dispose } = graphConstants(tf, graph, replaced);
  const hidden = graph.nodes.findLast(({ op }) => op === 'layerNorm')?.output;
  if (hidden === undefined) throw internalError('the graph has no normalized rows');
  const wanted = [graph.outputs[0]!, hidden].map((name) => ({
    name,
    columns: tensorOf(graph, name).shape[1],
    rows: [] as Float32Array[],
  }));
  let done = 0;
  for (const batch of batchesOf(texts, batchRows)) {
    await progress(done, texts.length);
    done += batch.length;
    const sum = embeddingSum(tables, batch);
    const lengths = batch.map(({ ids }) => ids.length);
    const found = tf.tidy(() => {
      const x = tf.tensor2d(sum, [sum.length / word.width, word.width]);
      const names = wanted.map(({ name }) => name);
      const tensors = evaluateNetwork(tf, graph, x, { lengths }, constants, names);
      return tensors.map((tensor) => tensor.dataSync() as Float32Array);
    });
    for (const [index, { columns, rows }] of wanted.entries()) {
      rows.push(...byText(found[index]!, columns, lengths));
    }
  }
  dispose();
  const [outputs, normalized] = wanted;
  return { columns: outputs!.columns, rows: outputs!.rows, hidden: normalized! };
}

/** The rows of each text, of which there is one, or one a token. */
function byText(
  values: Float32Array,
  columns: number,
  lengths: readonly number[],
): readonly Float32Array[] {
  const perText = values.length === lengths.length * columns;
  let end = 0;
  return lengths.map((length) => {
    const start = end;
    end += (perText ? 1 : length) * columns;
    return values.slice(start, end);
  });
}

/** Of the first texts of both; `isVector`: outputs are embeddings, compared by their angle. */
export function lossOf(
  reference: Outputs,
  changed: Outputs,
  texts: readonly TokenText[],
  isVector: boolean,
): Loss {
  return {
    ...outputLossOf(reference, changed, texts, isVector),
    hiddenCosine: meanCosine(reference.hidden, changed.hidden, texts.length),
  };
}

export function outputLossOf(
  reference: TextRows,
  changed: TextRows,
  texts: readonly Pick<TokenText, 'label'>[],
  isVector: boolean,
): OutputLoss {
  const { columns } = reference;
  let distance = 0;
  let rows = 0;
  let same = 0;
  let labelled = 0;
  let right = 0;
  let rightBefore = 0;
  for (const [index, { label }] of texts.entries()) {
    const before = reference.rows[index]!;
    const after = changed.rows[index]!;
    for (let from = 0; from < before.length; from += columns) {
      const a = before.subarray(from, from + columns);
      const b = after.subarray(from, from + columns);
      distance += isVector ? 1 - cosine(a, b) : divergence(a, b);
      rows += 1;
      if (!isVector && largestOf(a) === largestOf(b)) same += 1;
    }
    if (label === null) continue;
    labelled += 1;
    if (largestOf(before) === label) rightBefore += 1;
    if (largestOf(after) === label) right += 1;
  }
  if (isVector) {
    const own = ({ rows }: TextRows) => rows.slice(0, texts.length);
    same = sharedNeighbours(own(reference), own(changed));
  }
  return {
    distance: distance / rows,
    agreement: same / rows,
    accuracyDrop: labelled === 0 ? null : (rightBefore - right) / labelled,
    accuracy: labelled === 0 ? null : right / labelled,
  };
}

function meanCosine({ columns, rows }: TextRows, changed: TextRows, texts: number): number {
  let sum = 0;
  let count = 0;
  for (const [index, before] of rows.slice(0, texts).entries()) {
    for (let from = 0; from < before.length; from += columns) {
      const row = (values: Float32Array) => values.subarray(from, from + columns);
      sum += cosine(row(before), row(changed.rows[index]!));
      count += 1;
    }
  }
  return sum / count;
}

/** Of the drop of accuracy, over the texts that have a class; null where none has. */
export function accuracyDropInterval(
  reference: TextRows,
  changed: TextRows,
  texts: readonly Pick<TokenText, 'label'>[],
): Interval | null {
  const drops = texts.flatMap(({ label }, index) => {
    const isRight = (row: Float32Array): number => Number(largestOf(row) === label);
    return label === null ? [] : [isRight(reference.rows[index]!) - isRight(changed.rows[index]!)];
  });
  return drops.length === 0 ? null : bootstrapInterval(drops);
}

/** Texts whose nearest other text, by angle, is the same among the changed vectors. */
function sharedNeighbours(before: readonly Float32Array[], after: readonly Float32Array[]): number {
  const nearest = nearestTexts(before, 1);
  return nearestTexts(after, 1).filter(([other], index) => other === nearest[index]![0]).length;
}

/** Of each vector the `count` others at the least angle, the nearest first. */
export function nearestTexts(
  vectors: readonly Float32Array[],
  count: number,
): readonly (readonly number[])[] {
  const units = vectors.map((vector) => {
    const length = Math.hypot(...vector) || 1;
    return vector.map((value) => value / length);
  });
  return units.map((unit, index) => {
    const products = units.map((other) =>
      unit.reduce((sum, value, k) => sum + value * other[k]!, 0),
    );
    return Array.from(units.keys())
      .filter((other) => other !== index)
      .sort((a, b) => products[b]! - products[a]! || a - b)
      .slice(0, count);
  });
}

function largestOf(values: ArrayLike<number>): number {
  let best = 0;
  for (let index = 1; index < values.length; index++) {
    if (values[index]! > values[best]!) best = index;
  }
  return best;
}

/** Σ p·log(p/q) of the softmax of both. */
function divergence(before: Float32Array, after: Float32Array): number {
  const [p, logP] = softmax(before);
  const [, logQ] = softmax(after);
  return p.reduce((sum, share, index) => sum + share * (logP[index]! - logQ[index]!), 0);
}

function softmax(values: Float32Array): readonly [shares: Float64Array, logs: Float64Array] {
  const largest = values.reduce((a, b) => Math.max(a, b));
  let total = 0;
  for (const value of values) total += Math.exp(value - largest);
  const logs = Float64Array.from(values, (value) => value - largest - Math.log(total));
  return [logs.map(Math.exp), logs];
}

export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let dot = 0;
  let left = 0;
  let right = 0;
  for (let index = 0; index < a.length; index++) {
    dot += a[index]! * b[index]!;
    left += a[index]! ** 2;
    right += b[index]! ** 2;
  }
  return dot / Math.sqrt(left * right) || 0;
}
