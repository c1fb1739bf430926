/** Root-mean-square normalization: layer normalization without a mean and without an offset. */
import { z } from 'zod';
import { dtypes } from '../ir/dtypes.ts';
import { type Affine, isConstant, type Matrix, realValues } from '../ir/graph.ts';
import { clamp } from './fixed-point.ts';
import { int, int32, isRowVector } from './form.ts';
import { type NormAttrs, normalize, normalizerOf, normForm, normInteger } from './layer-norm.ts';
import type { OpDef } from './op.ts';

/**
 * For one row of width d with zero point 0:
 *
 *   c_i = d·x_i                                            |c_i| ≤ 2^30
 *   V   = d·Σx² + epsilon                                  int64; V = 0: n_i = 0
 *   n_i = clamp16(c_i / √V · 2^fraction)                   as in layer normalization
 *   y_i = clamp((n_i·gamma_i + offset) >> outShift)        offset: the rounding half and the zero point
 */
export interface RmsNormInteger {
  /** epsilon·d²/scale(x)², as an integer below 2^53. */
  readonly epsilon: number;
  readonly fraction: number;
  readonly outShift: number;
  readonly offset: number;
  readonly min: number;
  readonly max: number;
}

/** Integer operands x: int16, gamma: int16 (1, d). */
export const rmsNorm: OpDef<NormAttrs, RmsNormInteger> = {
  doc: 'y = x/√(mean of x² + epsilon)·gamma for each row',
  operands: [
    { name: 'x', reads: 'row', dtype: 'int16' },
    { name: 'gamma', reads: 'constant' },
  ],
  form: {
    attrs: normForm,
    integer: () =>
      z.strictObject({
        epsilon: normInteger.shape.epsilon,
        fraction: normInteger.shape.fraction,
        outShift: int.min(1).max(22),
        offset: int32,
        min: int32,
        max: int32,
      }),
    fits: ([x, gamma]) => isRowVector(gamma, x![1]),
  },
  infer: ([x]) => x!,
  evalFloat: ([x, gamma], { epsilon }, out) => {
    for (let row = 0; row < out.rows; row++) {
      let squares = 0;
      for (let column = 0; column < out.columns; column++) squares += at(x!, row, column) ** 2;
      const root = Math.sqrt(squares / out.columns + epsilon);
      for (let column = 0; column < out.columns; column++) {
        const normalized = root === 0 ? 0 : at(x!, row, column) / root;
        out.data[out.offset + row * out.stride + column] = normalized * at(gamma!, 0, column);
      }
    }
  },
  quantize: ({ attrs, inputs, quants, output }) => {
    const gamma = inputs[1]!;
    if (!isConstant(gamma)) throw new Error('RMS norm needs a constant gamma');
    const width = output.shape[1];
    const unit = (quants[0] as Affine).scale;
    const fraction = 15 - Math.ceil(Math.log2(width) / 2);
    const { scale, zeroPoint } = output.quant;
    const gammas = Array.from(realValues(gamma), (value) => value / scale);
    const largest = Math.max(...gammas.map(Math.abs), 1e-9);
    // gamma_i·2^(outShift − fraction) in int16; the product of two int16 leaves room for the offset.
    const outShift = clamp(fraction + Math.floor(Math.log2(32767 / largest)), 1, 22);
    return {
      integer: {
        epsilon: Math.min(Math.round((attrs.epsilon * width * width) / (unit * unit)), 2 ** 53),
        fraction,
        outShift,
        offset: zeroPoint * 2 ** outShift + 2 ** (outShift - 1),
        min: dtypes[output.dtype].min,
        max: dtypes[output.dtype].max,
      },
      constants: {
        1: {
          dtype: 'int16',
          shape: gamma.shape,
          data: Int16Array.from(gammas, (value) =>
            clamp(Math.round(value * 2 ** (outShift - fraction)), -32768, 32767),
          ),
        },
      },
    };
  },
  evalInteger: ([x, gamma], _attrs, integer, out) => {
    const { epsilon, fraction, outShift, offset, min, max } = integer;
    const width = out.columns;
    for (let row = 0; row < out.rows; row++) {
      let squares = 0; // below 2^15·2^30: an exact double
      for (let column = 0; column < width; column++) squares += at(x!, row, column) ** 2;
      const sum = BigInt(width) * BigInt(squares) + BigInt(epsilon);
      const normalizer = normalizerOf(sum, fraction);
      for (let column = 0; column < width; column++) {
        const normalized = normalize(width * at(x!, row, column), normalizer);
        const scaled = (normalized * at(gamma!, 0, column) + offset) >> outShift;
        out.data[out.offset + row * out.stride + column] = clamp(scaled, min, max);
      }
    }
  },
  macsPerRow: () => 0,
  kernel: 'rms_norm',
};

function at(matrix: Matrix, row: number, column: number): number {
  return matrix.data[matrix.offset + row * matrix.stride + column]!;
}
