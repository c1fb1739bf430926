/** The residual stream of a decoder: a sum that is kept in int16, since every layer adds to it. */
import { z } from 'zod';
import { dtypes } from '../ir/dtypes.ts';
import type { Affine, Matrix } from '../ir/graph.ts';
import { clamp } from './fixed-point.ts';
import { empty, int, type NoAttrs, sameShape } from './form.ts';
import type { OpDef } from './op.ts';

/** `y = clamp16((⌊a·multiplierA / 2^16⌋ + ⌊b·multiplierB / 2^16⌋ + 2^(shift − 1)) >> shift)`. */
export interface ResidualAddInteger {
  /** scale(a) / scale(y) · 2^(16 + shift), at most 2^30. */
  readonly multiplierA: number;
  readonly multiplierB: number;
  /** 1 … 14. */
  readonly shift: number;
}

const multiplier30 = int.min(0).max(2 ** 30);

export const residualAdd: OpDef<NoAttrs, ResidualAddInteger> = {
  doc: 'y = a + b, all of them int16',
  operands: [
    { name: 'a', reads: 'row', dtype: 'int16' },
    { name: 'b', reads: 'row', dtype: 'int16' },
  ],
  outputDtype: 'int16',
  overwritesRows: true,
  form: {
    attrs: empty,
    integer: () =>
      z.strictObject({
        multiplierA: multiplier30,
        multiplierB: multiplier30,
        shift: int.min(1).max(14),
      }),
    fits: ([a, b]) => sameShape(a!, b!),
  },
  infer: ([a]) => a!,
  evalFloat: ([a, b], _attrs, out) => mapPairs(a!, b!, out, (x, y) => x + y),
  quantize: ({ quants, output }) => {
    const [a, b] = (quants as readonly Affine[]).map(({ scale }) => scale / output.quant.scale);
    const shift = clamp(Math.floor(30 - Math.log2(Math.max(a!, b!))) - 16, 1, 14);
    const multiplier = (factor: number): number =>
      Math.min(Math.round(factor * 2 ** (16 + shift)), 2 ** 30);
    return {
      integer: { multiplierA: multiplier(a!), multiplierB: multiplier(b!), shift },
      constants: {},
    };
  },
  evalInteger: ([a, b], _attrs, { multiplierA, multiplierB, shift }, out) => {
    const { min, max } = dtypes.int16;
    const half = 2 ** (shift - 1);
    mapPairs(a!, b!, out, (x, y) => {
      const sum = Math.floor((x * multiplierA) / 0x10000) + Math.floor((y * multiplierB) / 0x10000);
      return clamp((sum + half) >> shift, min, max);
    });
  },
  macsPerRow: () => 0,
  kernel: 'residual_add',
};

function mapPairs(a: Matrix, b: Matrix, out: Matrix, f: (x: number, y: number) => number): void {
  for (let row = 0; row < out.rows; row++) {
    for (let column = 0; column < out.columns; column++) {
      const x = a.data[a.offset + row * a.stride + column]!;
      const y = b.data[b.offset + row * b.stride + column]!;
      out.data[out.offset + row * out.stride + column] = f(x, y);
    }
  }
}
