/**
 * A table as codes into small codebooks: product quantization in the rotated space, with fewer codes
 * for rows that matter less.
 *
 * The columns of the weighted basis are cut into stages of about equal information (the sum of
 * log₂ standard deviations), each with a codebook of 256 entries. A row keeps the codes of its first
 * stages; how many is chosen row by row for the least weighted error at a given size (Lagrange
 * multiplier, exact up to the last row), among a few tiers. Then codebooks are trained again on the
 * rows that use them, and the projection is fitted to what is left.
 */
import type { CodebookStage, CodebookTable, CodebookTier } from './coded-table.ts';
import { type KMeansOptions, kMeans } from './k-means.ts';
import { type Basis, fitProjection, type WeightedRows, weightedBasis } from './weighted-basis.ts';

export interface CodebookOptions {
  /** Columns of the rotated space that are kept. */
  readonly rank: number;
  /** Stages that have a column each to themselves. */
  readonly stages: number;
  /** Further stages, on what the first ones leave of the same columns: for rows that matter most. */
  readonly refiningStages: number;
  /** At most so many numbers of stages a row can have. */
  readonly tiers: number;
  /** Codes of all rows together. */
  readonly codeBytes: number;
}

const mostEntries = 256;
const iterations = 8;
/** Again, from the entries that are there. */
const againIterations = 3;

/** Codebooks for all rows, before anything is left out. */
export interface TrainedStages {
  readonly basis: Basis;
  readonly rank: number;
  readonly stages: readonly TrainedStage[];
}

interface TrainedStage extends CodebookStage {
  /** Entry of each row. */
  readonly codes: Uint8Array;
}

/** The slow part, which serves every size. */
export function trainStages(
  rows: WeightedRows,
  { rank, stages, refiningStages }: Omit<CodebookOptions, 'tiers' | 'codeBytes'>,
): TrainedStages {
  const basis = weightedBasis(rows);
  const weights = trainingWeights(rows.weights);
  const columns = Math.min(rank, rows.width);
  const left = basis.coordinates.slice();
  const trained: TrainedStage[] = [];
  const train = (cuts: readonly number[]): void => {
    for (const [index, end] of cuts.slice(1).entries()) {
      const start = { entries: Math.min(mostEntries, rows.rows), seed: trained.length + 1 };
      const at = { firstColumn: cuts[index]!, columns: end - cuts[index]! };
      trained.push(trainStage(left, rows, at, weights, { start, iterations }));
    }
  };
  train(stageColumns(basis.variances, columns, stages));
  if (refiningStages > 0) {
    train(stageColumns(weightedVariances(left, rows), columns, refiningStages));
  }
  return { basis, rank: columns, stages: trained };
}

export function encodeWithTrained(
  rows: WeightedRows,
  trained: TrainedStages,
  { tiers: tierCount, codeBytes }: Pick<CodebookOptions, 'tiers' | 'codeBytes'>,
): CodebookTable {
  const errors = errorsByStages(rows, trained);
  const stageCounts = chooseStages(errors, trained.stages.length, codeBytes, tierCount);
  const tierStages = [...new Set(stageCounts)].sort((a, b) => a - b);
  const used = trained.stages.slice(0, tierStages.at(-1)!);
  const left = trained.basis.coordinates.slice();
  const stages = used.map((stage, index) => {
    const weights = trainingWeights(
      rows.weights.map((weight, row) => (stageCounts[row]! > index ? weight : 0)),
    );
    const again = { start: stage.entries, iterations: againIterations };
    return trainStage(left, rows, stage, weights, again);
  });
  const rank = Math.max(...stages.map(({ firstColumn, columns }) => firstColumn + columns));
  const coordinates = decodedCoordinates(rows.rows, rank, stages, stageCounts);
  const { projection, offset } = fitProjection(rows, coordinates, rank);
  const scales = columnScales(stages, rank);
  return {
    method: 'codebooks',
    rows: rows.rows,
    width: rows.width,
    rank,
    projection: projection.map((value, at) => value * scales[Math.floor(at / rows.width)]!),
    offset,
    stages: stages.map(({ firstColumn, columns, entries }) => ({
      firstColumn,
      columns,
      entries: entries.map((value, at) => value / scales[firstColumn + (at % columns)]!),
    })),
    tierOf: Uint8Array.from(stageCounts, (count) => tierStages.indexOf(count)),
    tiers: tierStages.map((count) => tierOf(count, stages, stageCounts)),
  };
}

/**
 * All entries share one scale once they are int8, and so do the projection's inputs of one output: half
 * of each column's magnitude (its square root) goes to either.
 */
function columnScales(stages: readonly TrainedStage[], rank: number): Float64Array {
  const largest = new Float64Array(rank);
  for (const { firstColumn, columns, entries } of stages) {
    for (const [at, value] of entries.entries()) {
      const column = firstColumn + (at % columns);
      largest[column] = Math.max(largest[column]!, Math.abs(value));
    }
  }
  return largest.map((value) => Math.sqrt(value) || 1);
}

/** Square roots: else the few most frequent rows have all entries, and the others none. */
function trainingWeights(weights: Float64Array): Float64Array {
  return weights.map(Math.sqrt);
}

/** Of each column, as far as the rows matter. */
function weightedVariances(left: Float32Array, { weights, width }: WeightedRows): Float64Array {
  const variances = new Float64Array(width);
  for (const [row, weight] of weights.entries()) {
    for (let column = 0; column < width; column++) {
      variances[column]! += weight * left[row * width + column]! ** 2;
    }
  }
  return variances;
}

/** Ends of the stages' columns, after a 0: as much information in each. */
function stageColumns(variances: Float64Array, rank: number, stages: number): readonly number[] {
  const least = Math.max(variances[rank - 1]! / 2, Number.MIN_VALUE);
  const bits = Array.from(variances.subarray(0, rank), (variance) =>
    Math.max(0.1, Math.log2(Math.max(variance, least) / least) / 2),
  );
  const total = bits.reduce((sum, one) => sum + one, 0);
  const cuts = [0];
  let sum = 0;
  for (const [column, one] of bits.entries()) {
    sum += one;
    const columnsLeft = rank - (column + 1);
    const stagesLeft = stages - cuts.length;
    if (stagesLeft === 0) break;
    if (sum >= (total * cuts.length) / stages || columnsLeft === stagesLeft) cuts.push(column + 1);
  }
  return [...cuts, rank];
}

/** Takes away what it finds from what is `left` of the coordinates. */
function trainStage(
  left: Float32Array,
  { rows, width }: WeightedRows,
  { firstColumn, columns }: Pick<CodebookStage, 'firstColumn' | 'columns'>,
  weights: Float64Array,
  options: KMeansOptions,
): TrainedStage {
  const values = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const from = row * width + firstColumn;
    values.set(left.subarray(from, from + columns), row * columns);
  }
  const found = kMeans({ count: rows, columns, values }, weights, options);
  for (let row = 0; row < rows; row++) {
    const entry = found.codes[row]! * columns;
    for (let column = 0; column < columns; column++) {
      left[row * width + firstColumn + column]! -= found.entries[entry + column]!;
    }
  }
  return { firstColumn, columns, ...found };
}

/** Weighted squared error of each row with 0, 1, … stages: (rows, stages + 1). A row keeps one at least. */
function errorsByStages(
  { rows, width, weights }: WeightedRows,
  trained: TrainedStages,
): Float64Array {
  const { basis, stages } = trained;
  const counts = stages.length + 1;
  const errors = new Float64Array(rows * counts);
  for (let row = 0; row < rows; row++) {
    const left = basis.coordinates.slice(row * width, (row + 1) * width);
    let error = left.reduce((sum, value) => sum + value ** 2, 0);
    errors[row * counts] = weights[row]! * error;
    for (const [index, { firstColumn, columns, entries, codes }] of stages.entries()) {
      for (let column = 0; column < columns; column++) {
        const value = left[firstColumn + column]!;
        const rest = value - entries[codes[row]! * columns + column]!;
        error += rest ** 2 - value ** 2;
        left[firstColumn + column] = rest;
      }
      errors[row * counts + index + 1] = weights[row]! * error;
    }
  }
  return errors;
}

/** Stages of each row: at most `tierCount` different numbers, `codeBytes` in all, least error. */
function chooseStages(
  errors: Float64Array,
  stages: number,
  codeBytes: number,
  tierCount: number,
): Uint8Array {
  let options = Array.from({ length: stages }, (_, index) => index + 1);
  for (;;) {
    const { counts, price } = allocate(errors, stages, options, codeBytes);
    if (options.length <= tierCount) return counts;
    const least = leastMissed(errors, stages, options, { price, codeBytes });
    options = options.filter((option) => option !== least);
  }
}

interface Allocation {
  readonly counts: Uint8Array;
  /** Of a byte, in error: what a row takes is worth it, what it leaves is not. */
  readonly price: number;
}

/** Least error + price·bytes a row; the price is found by bisection. */
function allocate(
  errors: Float64Array,
  stages: number,
  options: readonly number[],
  codeBytes: number,
): Allocation {
  const rows = errors.length / (stages + 1);
  const at = (price: number): Allocation & { readonly bytes: number } => {
    const counts = new Uint8Array(rows);
    let bytes = 0;
    for (let row = 0; row < rows; row++) {
      const best = bestOf(errors, row * (stages + 1), options, price);
      counts[row] = best;
      bytes += best;
    }
    return { counts, price, bytes };
  };
  const free = at(0);
  if (free.bytes <= codeBytes) return free;
  let [low, high] = [Math.log(1e-15), Math.log(errors.reduce((sum, error) => sum + error, 1))];
  let found = at(Math.exp(high)); // the fewest bytes, should they be too many
  for (let step = 0; step < 40; step++) {
    const middle = (low + high) / 2;
    const tried = at(Math.exp(middle));
    if (tried.bytes > codeBytes) {
      low = middle;
    } else {
      high = middle;
      found = tried;
    }
  }
  return found;
}

function bestOf(
  errors: Float64Array,
  first: number,
  options: readonly number[],
  price: number,
): number {
  let best = options[0]!;
  for (const count of options) {
    const gain = errors[first + best]! - errors[first + count]!;
    if (gain > price * (count - best)) best = count;
  }
  return best;
}

/**
 * The number of stages without which error + price·bytes grows least, at a price that stays: a bound,
 * as the price would change with it. The fewest stay where there are not enough bytes for the next.
 */
function leastMissed(
  errors: Float64Array,
  stages: number,
  options: readonly number[],
  { price, codeBytes }: { readonly price: number; readonly codeBytes: number },
): number {
  const rows = errors.length / (stages + 1);
  const missed = new Float64Array(stages + 1);
  const others = new Map(
    options.map((option) => [option, options.filter((other) => other !== option)]),
  );
  for (let first = 0; first < errors.length; first += stages + 1) {
    const best = bestOf(errors, first, options, price);
    const next = bestOf(errors, first, others.get(best)!, price);
    missed[best]! += errors[first + next]! - errors[first + best]! + price * (next - best);
  }
  const free = options.slice(options[1]! * rows > codeBytes ? 1 : 0);
  return free.reduce((a, b) => (missed[b]! < missed[a]! ? b : a));
}

function decodedCoordinates(
  rows: number,
  rank: number,
  stages: readonly TrainedStage[],
  stageCounts: Uint8Array,
): Float32Array {
  const coordinates = new Float32Array(rows * rank);
  for (let row = 0; row < rows; row++) {
    for (const { firstColumn, columns, entries, codes } of stages.slice(0, stageCounts[row]!)) {
      const from = codes[row]! * columns;
      for (let column = 0; column < columns; column++) {
        coordinates[row * rank + firstColumn + column]! += entries[from + column]!;
      }
    }
  }
  return coordinates;
}

function tierOf(
  count: number,
  stages: readonly TrainedStage[],
  stageCounts: Uint8Array,
): CodebookTier {
  const codes: number[] = [];
  for (const [row, own] of stageCounts.entries()) {
    if (own !== count) continue;
    for (const stage of stages.slice(0, count)) codes.push(stage.codes[row]!);
  }
  return { stages: count, codes: Uint8Array.from(codes) };
}
