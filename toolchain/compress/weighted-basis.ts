/**
 * The directions of a table that matter: a weighted principal component analysis in the metric of the
 * outputs' sensitivity.
 *
 * With M the metric, |x·M^½|² is the change of the outputs that an error x makes; rows are turned by
 * M^½ (the metric), weighted by their own sensitivity, and then rotated to their principal axes. An
 * error in the coordinates found so costs its square, whatever the column.
 */
import { EigenvalueDecomposition, Matrix, solve } from 'ml-matrix';

export interface WeightedRows {
  readonly rows: number;
  readonly width: number;
  /** (rows, width). */
  readonly values: Float32Array;
  /** Of the squared error of each row. */
  readonly weights: Float64Array;
  /** (width, width), positive semidefinite. */
  readonly metric: Float64Array;
}

/** row_i = offset + coordinates_i · basis */
export interface Basis {
  /** (width): the weighted mean. */
  readonly offset: Float32Array;
  /** (rows, width), columns in descending variance. */
  readonly coordinates: Float32Array;
  /** (width, width). */
  readonly basis: Float32Array;
  /** Weighted variance of each column. */
  readonly variances: Float64Array;
}

/** Keeps directions that no gradient reached from being thrown away: share of the mean. */
const metricFloor = 0.02;

export function weightedBasis({ rows, width, values, weights, metric }: WeightedRows): Basis {
  const root = metricRoot(metric, width);
  const offset = weightedMean(values, weights, width);
  const forward = square(root.forward);
  const turned = new Float32Array(rows * width);
  const centered = new Float64Array(width);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < width; k++) centered[k] = values[row * width + k]! - offset[k]!;
    multiplyRow(centered, forward, turned, row * width);
  }
  const { values: variances, vectors } = principalAxes(turned, weights, width);
  const rotation = square(vectors);
  const coordinates = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    multiplyRow(
      turned.subarray(row * width, (row + 1) * width),
      rotation,
      coordinates,
      row * width,
    );
  }
  const basis = vectors.transpose().mmul(root.backward);
  return { offset, coordinates, basis: Float32Array.from(basis.to1DArray()), variances };
}

/** The same basis with the first `rank` columns. */
export function truncated(basis: Basis, rank: number): Float32Array {
  const width = basis.offset.length;
  const rows = basis.coordinates.length / width;
  const kept = new Float32Array(rows * rank);
  for (let row = 0; row < rows; row++) {
    kept.set(basis.coordinates.subarray(row * width, row * width + rank), row * rank);
  }
  return kept;
}

/** M^½ and M^−½, M with mean eigenvalue 1 and the floor. */
function metricRoot(metric: Float64Array, width: number) {
  const matrix = new Matrix(chunks(metric, width));
  const meanEigenvalue = matrix.trace() / width;
  const scaled = meanEigenvalue > 0 ? matrix.div(meanEigenvalue) : Matrix.zeros(width, width);
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(
    scaled.add(Matrix.eye(width, width).mul(metricFloor)),
    { assumeSymmetric: true },
  );
  const withPower = (power: number): Matrix =>
    eigenvectorMatrix
      .mmul(Matrix.diag(realEigenvalues.map((value) => Math.max(value, metricFloor) ** power)))
      .mmul(eigenvectorMatrix.transpose());
  return { forward: withPower(0.5), backward: withPower(-0.5) };
}

/** Eigenvectors (columns) of the weighted covariance of centered rows, largest first. */
function principalAxes(centered: Float32Array, weights: Float64Array, width: number) {
  const covariance = new Float64Array(width * width);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  for (const [row, weight] of weights.entries()) {
    const share = weight / total;
    for (let i = 0; i < width; i++) {
      const left = share * centered[row * width + i]!;
      for (let k = i; k < width; k++) {
        covariance[i * width + k]! += left * centered[row * width + k]!;
      }
    }
  }
  const symmetric = new Matrix(chunks(covariance, width));
  for (let i = 0; i < width; i++) {
    for (let k = 0; k < i; k++) symmetric.set(i, k, symmetric.get(k, i));
  }
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(symmetric, {
    assumeSymmetric: true,
  });
  const order = Array.from(realEigenvalues.keys()).sort(
    (a, b) => realEigenvalues[b]! - realEigenvalues[a]!,
  );
  return {
    values: Float64Array.from(order, (index) => Math.max(0, realEigenvalues[index]!)),
    vectors: eigenvectorMatrix.subMatrixColumn(order),
  };
}

/**
 * The offset and projection that fit rows best to given coordinates: weighted least squares of
 * offset + coordinates · projection. The metric falls out, for nothing constrains the projection.
 */
export function fitProjection(
  { rows, width, values, weights }: WeightedRows,
  coordinates: Float32Array,
  rank: number,
): { readonly projection: Float32Array; readonly offset: Float32Array } {
  const terms = rank + 1; // the last one is the offset
  const normal = new Float64Array(terms * terms);
  const right = new Float64Array(terms * width);
  const z = new Float64Array(terms).fill(1);
  for (let row = 0; row < rows; row++) {
    const weight = weights[row]!;
    if (weight === 0) continue;
    for (let k = 0; k < rank; k++) z[k] = coordinates[row * rank + k]!;
    for (let i = 0; i < terms; i++) {
      const left = weight * z[i]!;
      if (left === 0) continue;
      for (let k = 0; k <= i; k++) normal[i * terms + k]! += left * z[k]!;
      for (let k = 0; k < width; k++) right[i * width + k]! += left * values[row * width + k]!;
    }
  }
  let trace = 0;
  for (let i = 0; i < terms; i++) trace += normal[i * terms + i]!;
  for (let i = 0; i < terms; i++) {
    for (let k = 0; k < i; k++) normal[k * terms + i] = normal[i * terms + k]!;
    // Columns that no row uses would make it singular.
    normal[i * terms + i]! += (1e-7 * trace) / terms || 1;
  }
  const fitted = Float32Array.from(
    solve(new Matrix(chunks(normal, terms)), new Matrix(chunks(right, width))).to1DArray(),
  );
  return { projection: fitted.slice(0, rank * width), offset: fitted.slice(rank * width) };
}

function weightedMean(values: Float32Array, weights: Float64Array, width: number): Float32Array {
  const sums = new Float64Array(width);
  let total = 0;
  for (const [row, weight] of weights.entries()) {
    total += weight;
    for (let k = 0; k < width; k++) sums[k]! += weight * values[row * width + k]!;
  }
  return Float32Array.from(sums, (sum) => sum / total);
}

function multiplyRow(row: ArrayLike<number>, matrix: Square, out: Float32Array, to: number): void {
  const { width, values } = matrix;
  const sums = new Float64Array(width);
  for (let i = 0; i < width; i++) {
    const value = row[i]!;
    for (let k = 0; k < width; k++) sums[k]! += value * values[i * width + k]!;
  }
  out.set(sums, to);
}

interface Square {
  readonly width: number;
  /** Row-major. */
  readonly values: Float64Array;
}

function square(matrix: Matrix): Square {
  return { width: matrix.columns, values: Float64Array.from(matrix.to1DArray()) };
}

function chunks(values: Float64Array, width: number): number[][] {
  return Array.from({ length: values.length / width }, (_, row) =>
    Array.from(values.subarray(row * width, (row + 1) * width)),
  );
}
