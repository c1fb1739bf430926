/**
 * How much the outputs of the model change when a row of its embedding sum does, measured on the
 * user's texts.
 *
 * With J the derivative of the outputs by one row, JᵀJ is the Gauss-Newton matrix of the squared output
 * change. For a random z of ±1 it is the expectation of g·gᵀ, g = ∂(z·outputs)/∂row (Hutchinson), so
 * one gradient a text serves all its rows. Kept are the trace |g|², summed by token and by position,
 * and the matrix itself, summed over everything.
 */
import type { Graph } from '../ir/graph.ts';
import { evaluateNetwork, graphConstants } from './network.ts';
import { seededRandom } from './random.ts';
import { loadTensors, type Tensor2D } from './tensors.ts';
import { batchesOf, type EmbeddingTables, embeddingSum, type TokenText } from './texts.ts';

export interface Sensitivity {
  /** Σ |g|² and number of occurrences, by vocabulary id. */
  readonly tokens: Sums;
  /** The same by position. */
  readonly positions: Sums;
  /** Σ g·gᵀ: (width, width). */
  readonly metric: Float64Array;
}

export interface Sums {
  readonly squares: Float64Array;
  readonly counts: Float64Array;
}

/** Rows of one batch; larger ones leave the processor's caches. */
export const batchRows = 2048;

export async function measureSensitivity(
  graph: Graph<'float'>,
  tables: EmbeddingTables,
  texts: readonly TokenText[],
  progress: (done: number, total: number) => Promise<void>,
): Promise<Sensitivity> {
  const tf = await loadTensors();
  const { constants, dispose } = graphConstants(tf, graph);
  const { width } = tables.word;
  const tokens = noSums(tables.word.rows);
  const positions = noSums(tables.position.rows);
  const metric = new Float64Array(width * width);
  const random = seededRandom(1);
  let done = 0;
  for (const batch of batchesOf(texts, batchRows)) {
    await progress(done, texts.length);
    const layout = { lengths: batch.map(({ ids }) => ids.length) };
    const sum = embeddingSum(tables, batch);
    const [gradient, products] = tf.tidy(() => {
      const signedOutputs = (rows: Tensor2D) => {
        const [outputs] = evaluateNetwork(tf, graph, rows, layout, constants, graph.outputs);
        const signs = Float32Array.from({ length: outputs!.size }, () => (random() < 0.5 ? -1 : 1));
        return tf.sum(tf.mul(outputs!, tf.tensor(signs, outputs!.shape)));
      };
      const rows = tf.tensor2d(sum, [sum.length / width, width]);
      const g = tf.grad((x) => signedOutputs(x as Tensor2D))(rows) as Tensor2D;
      return [g.dataSync(), tf.matMul(tf.transpose(g), g).dataSync()];
    });
    for (const [index, value] of products.entries()) metric[index]! += value;
    addSquares(batch, gradient as Float32Array, width, tokens, positions);
    done += batch.length;
  }
  dispose();
  return { tokens, positions, metric };
}

function noSums(rows: number): Sums {
  return { squares: new Float64Array(rows), counts: new Float64Array(rows) };
}

function addSquares(
  batch: readonly TokenText[],
  gradient: Float32Array,
  width: number,
  tokens: Sums,
  positions: Sums,
): void {
  let from = 0;
  for (const { ids } of batch) {
    for (const [row, id] of ids.entries()) {
      let squares = 0;
      for (const value of gradient.subarray(from, from + width)) squares += value * value;
      from += width;
      tokens.squares[id]! += squares;
      tokens.counts[id]! += 1;
      positions.squares[row]! += squares;
      positions.counts[row]! += 1;
    }
  }
}

/**
 * The weight of each row's squared error: occurrences in all texts (and `prior` more, for what other
 * texts may bring) times the sensitivity of one, drawn to the mean where few were measured.
 */
export function rowWeights(
  { squares, counts }: Sums,
  occurrences: ArrayLike<number>,
  prior: number,
): Float64Array {
  const sum = (values: Float64Array): number => values.reduce((a, b) => a + b, 0);
  const mean = sum(squares) / sum(counts);
  return squares.map((square, row) => {
    const perOccurrence = (square + meanCount * mean) / (counts[row]! + meanCount);
    return (occurrences[row]! + prior) * perOccurrence;
  });
}

/** Occurrences that the mean over all rows counts for. */
const meanCount = 5;
