/**
 * What a changed model loses against the float model: task accuracy, and the measures that are less
 * forgiving.
 */
import type { Graph } from '../ir/graph.ts';
import { evaluateNetwork, graphConstants } from './network.ts';
import { seededRandom } from './random.ts';
import { batchRows } from './sensitivity.ts';
import { loadTensors } from './tensors.ts';
import { batchesOf, embeddingSum, embeddingTables, type TokenText } from './texts.ts';

/** Outputs of texts one after the other, a row of `columns` values each. */
export interface Outputs {
  readonly columns: number;
  readonly rows: readonly Float32Array[];
}

export interface Loss {
  /** Kullback-Leibler divergence of the class probabilities, in nats; of vectors 1 − cosine. */
  readonly distance: number;
  /** Share of rows with the same largest output; of vectors, with the same nearest other text. */
  readonly agreement: number;
  /** Share right before less share right after; null without labels. */
  readonly accuracyDrop: number | null;
  readonly accuracy: number | null;
}

export type Interval = readonly [low: number, high: number];

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
  const rows: Float32Array[] = [];
  let columns = 0;
  for (const batch of batchesOf(texts, batchRows)) {
    await progress(rows.length, texts.length);
    const sum = embeddingSum(tables, batch);
    const layout = { lengths: batch.map(({ ids }) => ids.length) };
    const output = tf.tidy(() => {
      const x = tf.tensor2d(sum, [sum.length / word.width, word.width]);
      const [first] = evaluateNetwork(tf, graph, x, layout, constants, graph.outputs);
      columns = first!.shape[1];
      return first!.dataSync() as Float32Array;
    });
    const perText = output.length === batch.length * columns;
    let from = 0;
    for (const { ids } of batch) {
      const length = (perText ? 1 : ids.length) * columns;
      rows.push(output.slice(from, from + length));
      from += length;
    }
  }
  dispose();
  return { columns, rows };
}

/** `isVector`: outputs are embeddings, compared by their angle. */
export function lossOf(
  reference: Outputs,
  changed: Outputs,
  texts: readonly TokenText[],
  isVector: boolean,
): Loss {
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
  if (isVector) same = sharedNeighbours(reference.rows, changed.rows);
  return {
    distance: distance / rows,
    agreement: same / rows,
    accuracyDrop: labelled === 0 ? null : (rightBefore - right) / labelled,
    accuracy: labelled === 0 ? null : right / labelled,
  };
}

/** Of the drop of accuracy: the middle 95 % of a paired bootstrap over texts. */
export function accuracyDropInterval(
  reference: Outputs,
  changed: Outputs,
  texts: readonly TokenText[],
): Interval {
  const differences = texts.map(({ label }, index) => {
    const isRight = (row: Float32Array): number => Number(largestOf(row) === label);
    return isRight(reference.rows[index]!) - isRight(changed.rows[index]!);
  });
  const random = seededRandom(1);
  const drops = Array.from({ length: resamples }, () => {
    let sum = 0;
    for (let count = 0; count < differences.length; count++) {
      sum += differences[Math.floor(random() * differences.length)]!;
    }
    return sum / differences.length;
  }).sort((a, b) => a - b);
  return [drops[Math.floor(resamples * 0.025)]!, drops[Math.ceil(resamples * 0.975) - 1]!];
}

const resamples = 2000;

/** Texts whose nearest other text, by angle, is the same among the changed vectors. */
function sharedNeighbours(before: readonly Float32Array[], after: readonly Float32Array[]): number {
  const nearest = nearestOthers(before);
  return nearestOthers(after).filter((other, index) => other === nearest[index]).length;
}

function nearestOthers(vectors: readonly Float32Array[]): readonly number[] {
  const units = vectors.map((vector) => {
    const length = Math.hypot(...vector) || 1;
    return vector.map((value) => value / length);
  });
  return units.map((unit, index) => {
    const products = units.map((other, at) =>
      at === index ? -2 : unit.reduce((sum, value, k) => sum + value * other[k]!, 0),
    );
    return largestOf(products);
  });
}

export function largestOf(values: ArrayLike<number>): number {
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
