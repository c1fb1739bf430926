/** The sum of two int8 matrices as TFLite computes it: the residual join where the sum is stored. */
import { z } from 'zod';
import { dtypes } from '../ir/dtypes.ts';
import type { Affine, Matrix } from '../ir/graph.ts';
import { clamp, type Requant, requantize, toRequant } from './fixed-point.ts';
import { empty, int32, type NoAttrs, requantForm, sameShape } from './form.ts';
import type { OpDef } from './op.ts';

/**
 * `y = clamp(requantize(a' + b', sum) + zeroPoint)`, `a' = requantize((a − zeroPointA)·2^20, a)` and
 * `b'` likewise: TFLite's int8 ADD.
 */
export interface AddInteger {
  readonly a: Requant;
  readonly b: Requant;
  readonly sum: Requant;
  readonly zeroPointA: number;
  readonly zeroPointB: number;
  readonly zeroPoint: number;
  readonly min: number;
  readonly max: number;
}

/** Room for the 9 bits of a difference of int8, the sign, and one bit of the sum. */
const addLeftShift = 20;

export const add: OpDef<NoAttrs, AddInteger> = {
  doc: 'y = a + b',
  operands: [
    { name: 'a', reads: 'row' },
    { name: 'b', reads: 'row' },
  ],
  form: {
    attrs: empty,
    integer: () =>
      z.strictObject({
        a: requantForm,
        b: requantForm,
        sum: requantForm,
        zeroPointA: int32,
        zeroPointB: int32,
        zeroPoint: int32,
        min: int32,
        max: int32,
      }),
    fits: ([a, b]) => sameShape(a!, b!),
  },
  infer: ([a]) => a!,
  evalFloat: ([a, b], _attrs, out) => mapPairs(a!, b!, out, (x, y) => x + y),
  quantize: ({ quants, output }) => {
    const [a, b] = quants as readonly [Affine, Affine];
    const unit = 2 * Math.max(a.scale, b.scale);
    const { min, max } = dtypes[output.dtype];
    return {
      integer: {
        a: toRequant(a.scale / unit),
        b: toRequant(b.scale / unit),
        sum: toRequant(unit / (2 ** addLeftShift * output.quant.scale)),
        zeroPointA: a.zeroPoint,
        zeroPointB: b.zeroPoint,
        zeroPoint: output.quant.zeroPoint,
        min,
        max,
      },
      constants: {},
    };
  },
  evalInteger: ([a, b], _attrs, integer, out) => {
    const { zeroPointA, zeroPointB, zeroPoint, sum, min, max } = integer;
    mapPairs(a!, b!, out, (x, y) => {
      const total = aligned(x - zeroPointA, integer.a) + aligned(y - zeroPointB, integer.b);
      return clamp(requantize(total, sum.multiplier, sum.shift) + zeroPoint, min, max);
    });
  },
  macsPerRow: () => 0,
  kernel: 'add',
};

function aligned(value: number, { multiplier, shift }: Requant): number {
  return requantize(value << addLeftShift, multiplier, shift);
}

function mapPairs(a: Matrix, b: Matrix, out: Matrix, f: (x: number, y: number) => number): void {
  for (let row = 0; row < out.rows; row++) {
    for (let column = 0; column < out.columns; column++) {
      const x = a.data[a.offset + row * a.stride + column]!;
      const y = b.data[b.offset + row * b.stride + column]!;
      out.data[out.offset + row * out.stride + column] = f(x, y);
    }
  }
}
