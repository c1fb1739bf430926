/** Rows of embedding tables: ops that make int8 rows of nothing but an index. */
import {
  type Affine,
  isConstant,
  type Matrix,
  realValues,
  type Tensor,
  takeRows,
} from '../ir/graph.ts';
import type { EvalContext, OpDef } from './op.ts';

export interface TableAttrs {
  /** What a row is found by: the token's id, or its position in the text. */
  readonly index: 'token' | 'position';
}

/** The codes are the row. */
export type LookupInteger = Readonly<Record<string, never>>;

/** y = table[index]; int8 rows with zero point 0. */
export const lookupRows: OpDef<TableAttrs, LookupInteger> = {
  doc: 'y = table[token id], or table[position]',
  operands: [
    { name: 'tokenIds', reads: 'row' },
    { name: 'table', reads: 'constant' },
  ],
  readsIndex: true,
  infer: ([ids, table]) => [ids![0], table![1]],
  evalFloat: ([ids, table], attrs, out, context) => copyRows(ids!, table!, attrs, out, context),
  quantize: ({ inputs, output }) => {
    const table = inputs[1]!;
    const { quant } = output;
    const data = Int8Array.from(realValues(table), (value) => Math.round(value / quant.scale));
    return { integer: {}, constants: { 1: { dtype: 'int8', shape: table.shape, data, quant } } };
  },
  evalInteger: ([ids, table], attrs, _integer, out, context) =>
    copyRows(ids!, table!, attrs, out, context),
  table: {
    rows: ([, table]) => table!.shape[0] as number,
    take: ([ids, table], rows) => [ids!, withRows(table!, rows)],
  },
  macsPerRow: () => 0,
  kernel: 'lookup_rows',
};

function copyRows(
  ids: Matrix,
  table: Matrix,
  attrs: TableAttrs,
  out: Matrix,
  context: EvalContext,
): void {
  for (let row = 0; row < out.rows; row++) {
    const from = table.offset + indexOf(ids, attrs, context, row) * table.stride;
    for (let column = 0; column < out.columns; column++) {
      out.data[out.offset + row * out.stride + column] = table.data[from + column]!;
    }
  }
}

/** Of the table's row that output row `row` shows. */
function indexOf(
  ids: Matrix,
  { index }: TableAttrs,
  { rowStart }: EvalContext,
  row: number,
): number {
  return index === 'token' ? ids.data[ids.offset + row * ids.stride]! : rowStart + row;
}

/** The constant with the rows of these numbers, in this order; itself if those are all there are. */
export function withRows(table: Tensor, rows: ArrayLike<number>): Tensor {
  if (!isConstant(table)) throw new Error(`table '${table.name}' is not constant`);
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
