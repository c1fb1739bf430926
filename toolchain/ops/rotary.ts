/**
 * Rotary position embedding: neighbouring columns are a point that is turned by an angle which grows
 * with the row's position. Importers bring the two halves of a head that are turned together side by
 * side, which changes no product of a query and a key.
 */
import { z } from 'zod';
import { type Affine, isConstant, type Matrix, realValues } from '../ir/graph.ts';
import {
  clamp,
  type Requant,
  roundingHighMul,
  roundingShiftRight,
  toRequant,
} from './fixed-point.ts';
import { empty, int, int32, type NoAttrs } from './form.ts';
import type { OpDef } from './op.ts';

/**
 * With the table in Q14 and x in int16, for columns 2i and 2i + 1:
 *
 *   u = x_2i·cos − x_2i+1·sin,  v = x_2i·sin + x_2i+1·cos          |u|, |v| < 2^30
 *   y = clamp8(roundingShiftRight(roundingHighMul(u, multiplier), shift))
 */
export interface RotaryInteger {
  readonly multiplier: number;
  /** 0 … 30. */
  readonly shift: number;
}

/** Of cosines and sines in the integer table. */
const tableBits = 14;

export const rotary: OpDef<NoAttrs, RotaryInteger> = {
  doc: 'y = each two columns of x turned by the angle whose cosine and sine the table has',
  operands: [
    { name: 'x', reads: 'row', dtype: 'int16' },
    { name: 'table', reads: 'row' },
  ],
  readsIndex: true,
  form: {
    attrs: empty,
    integer: () => z.strictObject({ multiplier: int32, shift: int.min(0).max(30) }),
    fits: ([x, table]) => table![1] % 2 === 0 && x![1] % table![1] === 0,
  },
  infer: ([x]) => x!,
  evalFloat: ([x, table], _attrs, out) =>
    turnRows(x!, table!, (row, column, u, v) => {
      out.data[out.offset + row * out.stride + column] = u;
      out.data[out.offset + row * out.stride + column + 1] = v;
    }),
  quantize: ({ inputs, quants, output }) => {
    const table = inputs[1]!;
    if (!isConstant(table)) throw new Error('rotary needs a constant table');
    const factor = (quants[0] as Affine).scale / (output.quant.scale * 2 ** tableBits);
    const data = Int16Array.from(realValues(table), (real) => Math.round(real * 2 ** tableBits));
    return {
      integer: halved(toRequant(factor)),
      constants: { 1: { dtype: 'int16', shape: table.shape, data } },
    };
  },
  evalInteger: ([x, table], _attrs, { multiplier, shift }, out) => {
    const scaled = (sum: number): number =>
      clamp(roundingShiftRight(roundingHighMul(sum, multiplier), shift), -128, 127);
    turnRows(x!, table!, (row, column, u, v) => {
      out.data[out.offset + row * out.stride + column] = scaled(u);
      out.data[out.offset + row * out.stride + column + 1] = scaled(v);
    });
  },
  macsPerRow: ([x]) => 2 * x![1],
  kernel: 'rotary',
};

/** `roundingHighMul` halves what `requantize` doubles. */
function halved({ multiplier, shift }: Requant): RotaryInteger {
  return { multiplier, shift: clamp(-1 - shift, 0, 30) };
}

/** Heads are as wide as the table; row r of the table belongs to row r of x. */
function turnRows(
  x: Matrix,
  table: Matrix,
  take: (row: number, column: number, u: number, v: number) => void,
): void {
  for (let row = 0; row < x.rows; row++) {
    for (let column = 0; column < x.columns; column += 2) {
      const from = x.offset + row * x.stride + column;
      const angle = table.offset + row * table.stride + (column % table.columns);
      const cosine = table.data[angle]!;
      const sine = table.data[angle + 1]!;
      const [a, b] = [x.data[from]!, x.data[from + 1]!];
      take(row, column, a * cosine - b * sine, a * sine + b * cosine);
    }
  }
}
