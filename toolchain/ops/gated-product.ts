/** The gate of a gated feed-forward layer: a function of one half times the other half. */
import { z } from 'zod';
import { dtypes } from '../ir/dtypes.ts';
import type { Affine } from '../ir/graph.ts';
import { clamp, roundingHighMul } from './fixed-point.ts';
import { arrayOf, int32, sameShape } from './form.ts';
import { type ActivationKind, activationFunctions, activationKinds } from './linear.ts';
import type { OpDef } from './op.ts';

export interface GatedProductAttrs {
  readonly kind: ActivationKind;
}

/** `y = clamp8(roundingHighMul(table[gate + 128]·(up − zeroPointUp), multiplier) + zeroPoint)`. */
export interface GatedProductInteger {
  /** f of each of the 256 gates, as finely as int16 has it. */
  readonly table: Int16Array;
  readonly zeroPointUp: number;
  /** scale(table) · scale(up) / scale(y) · 2^32. */
  readonly multiplier: number;
  readonly zeroPoint: number;
}

export const gatedProduct: OpDef<GatedProductAttrs, GatedProductInteger> = {
  doc: 'y = f(gate)·up for each element; f is silu or another activation',
  operands: [
    { name: 'gate', reads: 'row' },
    { name: 'up', reads: 'row' },
  ],
  overwritesRows: true,
  form: {
    attrs: z.strictObject({ kind: activationKinds }),
    integer: () =>
      z.strictObject({
        table: arrayOf(Int16Array, 256),
        zeroPointUp: int32,
        multiplier: int32,
        zeroPoint: int32,
      }),
    fits: ([gate, up]) => sameShape(gate!, up!),
  },
  infer: ([gate]) => gate!,
  evalFloat: ([gate, up], { kind }, out) => {
    const f = activationFunctions[kind];
    for (let row = 0; row < out.rows; row++) {
      for (let column = 0; column < out.columns; column++) {
        const factor = f(gate!.data[gate!.offset + row * gate!.stride + column]!);
        out.data[out.offset + row * out.stride + column] =
          factor * up!.data[up!.offset + row * up!.stride + column]!;
      }
    }
  },
  quantize: ({ attrs, quants, output }) => {
    const [gate, up] = quants as readonly [Affine, Affine];
    const f = activationFunctions[attrs.kind];
    const reals = Array.from({ length: 256 }, (_, index) =>
      f(gate.scale * (index - 128 - gate.zeroPoint)),
    );
    const largest = Math.max(...reals.map(Math.abs)) || 1;
    const step = largest / dtypes.int16.max;
    return {
      integer: {
        table: Int16Array.from(reals, (real) => Math.round(real / step)),
        zeroPointUp: up.zeroPoint,
        multiplier: clamp(
          Math.round(((step * up.scale) / output.quant.scale) * 2 ** 32),
          0,
          dtypes.int32.max,
        ),
        zeroPoint: output.quant.zeroPoint,
      },
      constants: {},
    };
  },
  evalInteger: ([gate, up], _attrs, { table, zeroPointUp, multiplier, zeroPoint }, out) => {
    for (let row = 0; row < out.rows; row++) {
      for (let column = 0; column < out.columns; column++) {
        const factor = table[gate!.data[gate!.offset + row * gate!.stride + column]! + 128]!;
        const other = up!.data[up!.offset + row * up!.stride + column]! - zeroPointUp;
        const value = roundingHighMul(factor * other, multiplier) + zeroPoint;
        out.data[out.offset + row * out.stride + column] = clamp(value, -128, 127);
      }
    }
  },
  macsPerRow: () => 0,
  kernel: 'gated_product',
};
