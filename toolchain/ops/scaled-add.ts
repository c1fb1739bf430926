/** The residual join of a model that scales its rows column by column in place of a layer norm. */
import { z } from 'zod';
import { internalError } from '../errors.ts';
import { dtypes } from '../ir/dtypes.ts';
import { type Affine, at, isConstant, type Matrix, realValues } from '../ir/graph.ts';
import { alignedFactor, alignedOffset, alignedShift, alignFactors } from './aligned-factors.ts';
import { clamp } from './fixed-point.ts';
import { empty, int32, isRowVector, type NoAttrs, sameShape } from './form.ts';
import type { OpDef } from './op.ts';

/**
 * `y_i = clamp((a_i·multiplier + (b_i − zeroPointB)·gamma_i + offset) >> shift)`, gamma int32 (1, d), at
 * most 2^21 like the multiplier; the offset holds half a step and the other zero points.
 */
export interface ScaledAddInteger {
  readonly multiplier: number;
  readonly zeroPointB: number;
  readonly offset: number;
  readonly shift: number;
  readonly min: number;
  readonly max: number;
}

export const scaledAdd: OpDef<NoAttrs, ScaledAddInteger> = {
  doc: 'y = a + b·gamma, with a gamma for each column',
  operands: [
    { name: 'a', reads: 'row' },
    { name: 'b', reads: 'row' },
    { name: 'gamma', reads: 'constant' },
  ],
  overwritesRows: true,
  form: {
    attrs: empty,
    integer: () =>
      z.strictObject({
        multiplier: alignedFactor,
        zeroPointB: int32,
        offset: alignedOffset,
        shift: alignedShift,
        min: int32,
        max: int32,
      }),
    fits: ([a, b, gamma]) => sameShape(a!, b!) && isRowVector(gamma, a![1]),
  },
  infer: ([a]) => a!,
  evalFloat: ([a, b, gamma], _attrs, out) =>
    mapPairs(a!, b!, out, (x, y, column) => x + y * at(gamma!, 0, column)),
  quantize: ({ inputs, quants, output }) => {
    const [a, b] = quants as readonly [Affine, Affine];
    const gamma = inputs[2]!;
    if (!isConstant(gamma)) throw internalError('it is not constant', gamma.name);
    const factors = Array.from(
      realValues(gamma),
      (value) => (value * b.scale) / output.quant.scale,
    );
    const { multipliers, shift } = alignFactors([a.scale / output.quant.scale, ...factors]);
    const [multiplier, ...columns] = multipliers as [number, ...number[]];
    const half = 2 ** (shift - 1);
    return {
      integer: {
        multiplier,
        zeroPointB: b.zeroPoint,
        offset: output.quant.zeroPoint * 2 ** shift + half - a.zeroPoint * multiplier,
        shift,
        min: dtypes[output.dtype].min,
        max: dtypes[output.dtype].max,
      },
      constants: { 2: { dtype: 'int32', shape: gamma.shape, data: Int32Array.from(columns) } },
    };
  },
  evalInteger: ([a, b, gamma], _attrs, { multiplier, zeroPointB, offset, shift, min, max }, out) =>
    mapPairs(a!, b!, out, (x, y, column) => {
      const sum = x * multiplier + (y - zeroPointB) * at(gamma!, 0, column) + offset;
      return clamp(sum >> shift, min, max);
    }),
  macsPerRow: () => 0,
  kernel: 'scaled_add',
};

function mapPairs(
  a: Matrix,
  b: Matrix,
  out: Matrix,
  f: (x: number, y: number, column: number) => number,
): void {
  for (let row = 0; row < out.rows; row++) {
    for (let column = 0; column < out.columns; column++) {
      const value = f(at(a, row, column), at(b, row, column), column);
      out.data[out.offset + row * out.stride + column] = value;
    }
  }
}
