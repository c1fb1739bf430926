/** Rows of embedding tables: ops that make int8 rows of nothing but an index. */
import { z } from 'zod';
import { internalError } from '../errors.ts';
import { dtypes, type TypedArray } from '../ir/dtypes.ts';
import {
  type Affine,
  isConstant,
  type Matrix,
  realValues,
  type Tensor,
  takeRows,
} from '../ir/graph.ts';
import { clamp, roundingShiftRight } from './fixed-point.ts';
import { arrayOf, int } from './form.ts';
import type { EvalContext, OpDef, Quantized } from './op.ts';

export interface TableAttrs {
  /** What a row is found by: the token's id, or its position in the text. */
  readonly index: 'token' | 'position';
}

export const tableForm = z.strictObject({ index: z.enum(['token', 'position']) });

/** `y = clamp((code·multipliers[index] + 2^(shift − 1)) >> shift)`; without multipliers y = code. */
export interface LookupInteger {
  /** A row. */
  readonly multipliers: Uint16Array | null;
  readonly shift: number;
}

/** y = table[index], the table in float, or in int8 or int4 with a scale for all or for each row. */
export const lookupRows: OpDef<TableAttrs, LookupInteger> = {
  doc: 'y = table[token id], or table[position]',
  operands: [
    { name: 'tokenIds', reads: 'row' },
    { name: 'table', reads: 'constant' },
  ],
  readsIndex: true,
  form: {
    attrs: tableForm,
    integer: ([, table]) =>
      z.strictObject({
        multipliers: arrayOf(Uint16Array, Number(table![0])).nullable(),
        shift: int.min(0).max(30),
      }),
    fits: ([ids]) => ids![1] === 1,
  },
  infer: ([ids, table]) => [ids![0], table![1]],
  evalFloat: ([ids, table], attrs, out, context) =>
    forRows(ids!, attrs, out, context, (from, to) => {
      for (let column = 0; column < out.columns; column++) {
        out.data[to + column] = table!.data[table!.offset + from * table!.stride + column]!;
      }
    }),
  quantize: ({ inputs, output: { dtype, quant } }) =>
    quantizeLookup(dtype === 'int16' ? withRowScales(inputs[1]!) : constantOf(inputs[1]!), quant),
  evalInteger: ([ids, table], attrs, { multipliers, shift }, out, context) => {
    const { min, max } = out.data instanceof Int16Array ? dtypes.int16 : dtypes.int8;
    forRows(ids!, attrs, out, context, (from, to) => {
      for (let column = 0; column < out.columns; column++) {
        const code = table!.data[table!.offset + from * table!.stride + column]!;
        out.data[to + column] =
          multipliers === null
            ? code
            : clamp(roundingShiftRight(code * multipliers[from]!, shift), min, max);
      }
    });
  },
  table: {
    rows: ([, table]) => table!.shape[0] as number,
    take: ([ids, table], rows) => [ids!, withRows(table!, rows)],
    scale: ([, table]) => (table!.quant?.kind === 'affine' ? table!.quant.scale : null),
  },
  macsPerRow: () => 0,
  kernel: 'lookup_rows',
};

const mostMultiplier = 0xffff;
/** Of a row that is zero. */
const scaleOfZero = 1e-9;

/** int8 codes with a scale a row, which rows of int16 are made of. */
function withRowScales(tensor: Tensor): Constant {
  const table = constantOf(tensor);
  if (table.quant?.kind === 'per-row') return table;
  const [rows, width] = table.shape as readonly [number, number];
  const reals = realValues(table);
  const scales = Float64Array.from({ length: rows }, (_, row) => {
    if (table.quant?.kind === 'affine') return table.quant.scale;
    let largest = 0;
    for (let k = row * width; k < (row + 1) * width; k++) {
      largest = Math.max(largest, Math.abs(reals[k]!));
    }
    return largest / dtypes.int8.max || scaleOfZero;
  });
  const data =
    table.quant === undefined
      ? Int8Array.from(reals, (real, index) =>
          Math.round(real / scales[Math.floor(index / width)]!),
        )
      : table.data;
  const dtype = table.quant === undefined ? 'int8' : table.dtype;
  return { ...table, dtype, data, quant: { kind: 'per-row', scales } };
}

function quantizeLookup(table: Constant, output: Affine): Quantized<LookupInteger> {
  const { shape, data, quant, dtype } = table;
  const asStored: LookupInteger = { multipliers: null, shift: 0 };
  if (dtype === 'float32') {
    const codes = Int8Array.from(data, (value) => Math.round(value / output.scale));
    return {
      integer: asStored,
      constants: { 1: { dtype: 'int8', shape, data: codes, quant: output } },
    };
  }
  const constants = { 1: { dtype, shape, data, ...(quant === undefined ? {} : { quant }) } };
  if (quant?.kind !== 'per-row') return { integer: asStored, constants };
  const factors = quant.scales.map((scale) => scale / output.scale);
  const largest = factors.reduce((a, b) => Math.max(a, b), 0);
  const shift = clamp(Math.floor(Math.log2(mostMultiplier / largest)), 1, 30);
  const multipliers = Uint16Array.from(factors, (factor) =>
    clamp(Math.round(factor * 2 ** shift), 0, mostMultiplier),
  );
  return { integer: { multipliers, shift }, constants };
}

/** Calls `make` with the table's row and where the output's row begins, for each row of the output. */
export function forRows(
  ids: Matrix,
  { index }: TableAttrs,
  out: Matrix,
  { rowStart }: EvalContext,
  make: (tableRow: number, to: number) => void,
): void {
  for (let row = 0; row < out.rows; row++) {
    const tableRow = index === 'token' ? ids.data[ids.offset + row * ids.stride]! : rowStart + row;
    make(tableRow, out.offset + row * out.stride);
  }
}

export type Constant = Tensor & { readonly data: TypedArray };

export function constantOf(tensor: Tensor): Constant {
  if (!isConstant(tensor)) throw internalError('it is not constant', tensor.name);
  return tensor;
}

/** Of one code of a table. */
export function codeBits({ dtype }: Constant): 4 | 8 {
  return dtype === 'int4' ? 4 : 8;
}

/** The constant with the rows of these numbers, in this order; itself if those are all there are. */
export function withRows(tensor: Tensor, rows: ArrayLike<number>): Tensor {
  const table = constantOf(tensor);
  const [count] = table.shape;
  if (rows.length === count && Array.prototype.every.call(rows, (row, to) => row === to)) {
    return table;
  }
  return { ...table, ...takeRows(table, rows) };
}

/** Symmetric int8 with one scale for the whole table. */
export function tableQuant(largest: number): Affine {
  return { kind: 'affine', scale: largest === 0 ? 1e-9 : largest / 127, zeroPoint: 0 };
}
