/**
 * Tables as products of two thin matrices: the truncated, weighted singular value decomposition, in one
 * piece or in clusters of rows with a rank of their own (clustered low rank, MCUBERT).
 *
 * Two stages: rows are put into clusters by how much the outputs depend on them, then the bytes are
 * given to the columns of all clusters, always to the one that takes away most weighted error a byte
 * (exact, for the gains of a cluster only fall). Factors are rounded and the projection fitted to them
 * in turns.
 */
import { inverse, Matrix } from 'ml-matrix';
import type { LowRankCluster, LowRankTable } from './coded-table.ts';
import {
  type Basis,
  fitProjection,
  truncated,
  type WeightedRows,
  weightedBasis,
} from './weighted-basis.ts';

export interface LowRankOptions {
  readonly bits: 4 | 8;
  readonly clusters: number;
  /** Of factors and projections. */
  readonly bytes: number;
}

export function encodeLowRank(rows: WeightedRows, options: LowRankOptions): LowRankTable {
  const clusterOf = bySensitivity(rows.weights, options.clusters);
  const members = Array.from({ length: options.clusters }, (_, cluster) =>
    rowsOfCluster(rows, clusterOf, cluster),
  );
  const bases = members.map(weightedBasis);
  const ranks = chooseRanks(members, bases, options);
  const clusters = members.map((member, index) =>
    encodeCluster(member, bases[index]!, ranks[index]!, options.bits),
  );
  return { method: 'low-rank', rows: rows.rows, width: rows.width, clusterOf, clusters };
}

/** Bytes of a table of one cluster with that rank. */
export function bytesOfRank(rows: number, width: number, rank: number, bits: 4 | 8): number {
  return Math.ceil((rows * rank * bits) / 8) + rank * width;
}

/** Each cluster has four times as many rows as the one before it, the most sensitive first. */
function bySensitivity(weights: Float64Array, clusters: number): Uint8Array {
  const order = Array.from(weights.keys()).sort((a, b) => weights[b]! - weights[a]! || a - b);
  const total = (4 ** clusters - 1) / 3;
  const clusterOf = new Uint8Array(weights.length);
  let end = 0;
  let from = 0;
  for (let cluster = 0; cluster < clusters; cluster++) {
    end += (weights.length * 4 ** cluster) / total;
    const to = cluster === clusters - 1 ? weights.length : Math.round(end);
    for (const row of order.slice(from, to)) clusterOf[row] = cluster;
    from = to;
  }
  return clusterOf;
}

function rowsOfCluster(rows: WeightedRows, clusterOf: Uint8Array, cluster: number): WeightedRows {
  const { width, values, weights } = rows;
  const own = Array.from(clusterOf.keys()).filter((row) => clusterOf[row] === cluster);
  const ownValues = new Float32Array(own.length * width);
  for (const [index, row] of own.entries()) {
    ownValues.set(values.subarray(row * width, (row + 1) * width), index * width);
  }
  return {
    ...rows,
    rows: own.length,
    values: ownValues,
    weights: Float64Array.from(own, (row) => weights[row]!),
  };
}

function chooseRanks(
  members: readonly WeightedRows[],
  bases: readonly Basis[],
  { bits, bytes }: LowRankOptions,
): readonly number[] {
  const ranks = members.map(() => 1);
  const costs = members.map(({ rows, width }) => (rows * bits) / 8 + width);
  const masses = members.map(({ weights }) => weights.reduce((sum, weight) => sum + weight, 0));
  const gain = (cluster: number): number =>
    (masses[cluster]! * (bases[cluster]!.variances[ranks[cluster]!] ?? 0)) / costs[cluster]!;
  let left = bytes - costs.reduce((sum, cost) => sum + cost, 0);
  for (;;) {
    const affordable = members.flatMap((_, cluster) =>
      costs[cluster]! <= left && gain(cluster) > 0 ? [cluster] : [],
    );
    if (affordable.length === 0) return ranks;
    const best = affordable.reduce((a, b) => (gain(b) > gain(a) ? b : a));
    ranks[best]! += 1;
    left -= costs[best]!;
  }
}

const alternations = 3;

function encodeCluster(
  rows: WeightedRows,
  basis: Basis,
  rank: number,
  bits: 4 | 8,
): LowRankCluster {
  const most = bits === 4 ? 7 : 127;
  const coordinates = truncated(basis, rank);
  const scales = columnScales(coordinates, rows.weights, rank, most);
  let factors: Int8Array = Int8Array.from(coordinates, (value, index) =>
    rounded(value / scales[index % rank]!, most),
  );
  let fitted = fitProjection(rows, Float32Array.from(factors), rank);
  for (let turn = 1; turn < alternations; turn++) {
    factors = refitFactors(rows, fitted.projection, fitted.offset, rank, most);
    fitted = fitProjection(rows, Float32Array.from(factors), rank);
  }
  return { rank, bits, factors, ...fitted };
}

/** The scale of each column with the least weighted rounding error. */
function columnScales(
  coordinates: Float32Array,
  weights: Float64Array,
  rank: number,
  most: number,
): readonly number[] {
  return Array.from({ length: rank }, (_, column) => {
    let largest = 0;
    for (let at = column; at < coordinates.length; at += rank) {
      largest = Math.max(largest, Math.abs(coordinates[at]!));
    }
    let best = largest / most || 1;
    let least = Number.POSITIVE_INFINITY;
    for (let step = 0; step < 16; step++) {
      const scale = (largest * (1 - step * 0.05)) / most || 1;
      let error = 0;
      for (const [row, weight] of weights.entries()) {
        const value = coordinates[row * rank + column]!;
        error += weight * (rounded(value / scale, most) * scale - value) ** 2;
      }
      if (error < least) {
        least = error;
        best = scale;
      }
    }
    return best;
  });
}

/** Least squares in the metric, in units of the factors: (row − offset)·M·Bᵀ·(B·M·Bᵀ)⁻¹, rounded. */
function refitFactors(
  { rows, width, values, metric }: WeightedRows,
  projection: Float32Array,
  offset: Float32Array,
  rank: number,
  most: number,
): Int8Array {
  const m = Matrix.from1DArray(width, width, metric);
  const mean = m.trace() / width || 1;
  const regular = m.div(mean).add(Matrix.eye(width, width).mul(0.02));
  const b = Matrix.from1DArray(rank, width, projection);
  const weighted = regular.mmul(b.transpose());
  const normal = b.mmul(weighted);
  const ridge = (1e-6 * normal.trace()) / rank || 1;
  const toFactors = weighted.mmul(inverse(normal.add(Matrix.eye(rank, rank).mul(ridge))));
  const map = toFactors.to1DArray();
  const factors = new Int8Array(rows * rank);
  const sums = new Float64Array(rank);
  for (let row = 0; row < rows; row++) {
    sums.fill(0);
    for (let column = 0; column < width; column++) {
      const value = values[row * width + column]! - offset[column]!;
      for (let k = 0; k < rank; k++) sums[k]! += value * map[column * rank + k]!;
    }
    for (let k = 0; k < rank; k++) factors[row * rank + k] = rounded(sums[k]!, most);
  }
  return factors;
}

function rounded(value: number, most: number): number {
  return Math.max(-most, Math.min(most, Math.round(value)));
}
