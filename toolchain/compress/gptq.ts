/**
 * Rounding a weight matrix to int4 so that its outputs change least on the user's texts, without any
 * training: GPTQ (Frantar et al., arXiv 2210.17323), and the bias that takes up what is left of the
 * mean.
 *
 * Columns are rounded one after the other, the most active input first; the error of a column is made good by
 * the columns that are still real, as the inverse of the inputs' second moments tells.
 */
import { CholeskyDecomposition, inverse, Matrix } from 'ml-matrix';
import type { CodedWeight } from './recipe.ts';
import { roundRows, roundTo } from './row-codes.ts';

/** Of the inputs of a linear, over all rows of all texts. */
export interface InputMoments {
  readonly rows: number;
  /** Σ x: (inputs). */
  readonly sums: Float64Array;
  /** Σ xᵀ·x: (inputs, inputs). */
  readonly products: Float64Array;
}

export interface RoundedLinear {
  readonly weight: CodedWeight;
  readonly bias: Float32Array;
}

/** Added to the diagonal, as a share of its mean (the paper's damping). */
const damping = 0.01;

export function roundLinear(
  weight: Float32Array,
  bias: Float32Array,
  bits: 4 | 8,
  moments: InputMoments,
): RoundedLinear {
  const inputs = moments.sums.length;
  const activity = Float64Array.from(
    { length: inputs },
    (_, column) => moments.products[column * inputs + column]! / moments.rows,
  );
  const { scales } = roundRows(weight, inputs, bits, activity);
  const codes = roundColumns(weight, scales, bits, moments);
  const corrected = bias.map((value, row) => {
    let missing = 0;
    for (let column = 0; column < inputs; column++) {
      const error = weight[row * inputs + column]! - scales[row]! * codes[row * inputs + column]!;
      missing += (error * moments.sums[column]!) / moments.rows;
    }
    return value + missing;
  });
  return { weight: { bits, codes, scales }, bias: corrected };
}

function roundColumns(
  weight: Float32Array,
  scales: Float32Array,
  bits: 4 | 8,
  { products, rows, sums }: InputMoments,
): Int8Array {
  const inputs = sums.length;
  const order = Array.from(sums.keys()).sort(
    (a, b) => products[b * inputs + b]! - products[a * inputs + a]! || a - b,
  );
  // The bias takes up the mean, so that only the covariance counts.
  const covariance = new Matrix(
    order.map((i) =>
      order.map((k) => products[i * inputs + k]! / rows - (sums[i]! / rows) * (sums[k]! / rows)),
    ),
  );
  const ridge = (damping * covariance.trace()) / inputs || 1;
  const regular = covariance.add(Matrix.eye(inputs, inputs).mul(ridge));
  // Upper triangular U with Uᵀ·U = H⁻¹: row i tells how column i's error goes to those behind it.
  const upper = new CholeskyDecomposition(symmetric(inverse(regular))).lowerTriangularMatrix
    .transpose()
    .to2DArray();
  const codes = new Int8Array(weight.length);
  const left = new Float64Array(inputs);
  for (const [row, scale] of scales.entries()) {
    for (const [at, column] of order.entries()) left[at] = weight[row * inputs + column]!;
    for (const [at, column] of order.entries()) {
      const code = roundTo(left[at]! / scale, bits);
      codes[row * inputs + column] = code;
      const line = upper[at]!;
      const error = (left[at]! - scale * code) / line[at]!;
      for (let behind = at + 1; behind < inputs; behind++) left[behind]! -= error * line[behind]!;
    }
  }
  return codes;
}

function symmetric(matrix: Matrix): Matrix {
  return matrix.clone().add(matrix.transpose()).div(2);
}
