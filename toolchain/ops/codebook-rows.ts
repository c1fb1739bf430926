/** Rows that are sums of codebook entries: product and residual quantization. */

import { denseMatrix, type Matrix, realValues, type Tensor } from '../ir/graph.ts';
import { clamp } from './fixed-point.ts';
import { empty, int } from './form.ts';
import type { OpDef } from './op.ts';
import { placeInGroup, takeGroupedRows } from './row-groups.ts';
import { constantOf, forRows, type TableAttrs, tableForm, tableQuant } from './table-rows.ts';

export interface CodebookAttrs extends TableAttrs {
  /** Columns of the rows. */
  readonly rank: number;
  /** Tables of codes; the rows of one have codes for its first stages only. */
  readonly tiers: number;
}

/** y is saturated to int8 after each stage. */
export type CodebookInteger = Readonly<Record<string, never>>;

/**
 * Operands behind `firstColumns` (stages, 1): a table of codes (rows of the tier, its stages) for each
 * tier, then a codebook (entries, columns) for each stage.
 */
export const codebookRows: OpDef<CodebookAttrs, CodebookInteger> = {
  doc: 'y = Σ over stages of entries[stage][codes[index][stage]], at the columns of the stage',
  operands: [
    { name: 'tokenIds', reads: 'row' },
    { name: 'tierOf', reads: 'constant' },
    { name: 'firstColumns', reads: 'constant' },
    { name: 'codes or entries', reads: 'constant' },
  ],
  variadic: true,
  readsIndex: true,
  form: {
    attrs: tableForm.extend({ rank: int.positive(), tiers: int.positive() }),
    integer: () => empty,
    fits: (shapes, { rank, tiers }) => {
      const [ids, tierOf, firstColumns] = shapes;
      const codes = shapes.slice(3, 3 + tiers);
      const stages = Number(firstColumns![0]);
      return (
        [ids!, tierOf!, firstColumns!].every((shape) => shape[1] === 1) &&
        shapes.length === 3 + tiers + stages &&
        codes.every((shape) => shape[1] <= stages) &&
        shapes.slice(3 + tiers).every((shape) => shape[1] <= rank)
      );
    },
  },
  infer: ([ids], { rank }) => [ids![0], rank],
  evalFloat: (inputs, attrs, out, context) => {
    const parts = partsOf(inputs, attrs);
    forRows(inputs[0]!, attrs, out, context, (row, to) =>
      addEntries(parts, row, attrs.rank, (column, value) => {
        out.data[to + column] = value;
      }),
    );
  },
  quantize: ({ attrs, inputs, output }) => {
    const { scale } = output.quant;
    const { books } = partsOf(inputs, attrs);
    const others = inputs.flatMap((tensor, index) =>
      tensor.role !== 'constant' || books.includes(tensor)
        ? []
        : [
            [
              index,
              { dtype: tensor.dtype, shape: tensor.shape, data: constantOf(tensor).data },
            ] as const,
          ],
    );
    const constants = books.map((tensor) => {
      const data = Int8Array.from(realValues(constantOf(tensor)), (value) =>
        clamp(Math.round(value / scale), -128, 127),
      );
      const { shape } = tensor;
      return [inputs.indexOf(tensor), { dtype: 'int8', shape, data, quant: output.quant }] as const;
    });
    return { integer: {}, constants: Object.fromEntries([...others, ...constants]) };
  },
  evalInteger: (inputs, attrs, _integer, out, context) => {
    const parts = partsOf(inputs, attrs);
    forRows(inputs[0]!, attrs, out, context, (row, to) => {
      for (let column = 0; column < attrs.rank; column++) out.data[to + column] = 0;
      forEntries(parts, row, (column, value) => {
        out.data[to + column] = clamp(out.data[to + column]! + value, -128, 127);
      });
    });
  },
  table: {
    rows: ([, tierOf]) => tierOf!.shape[0] as number,
    scale: (inputs, attrs) => tableQuant(largestSum(inputs, attrs)).scale,
    take: (inputs, rows, attrs) => {
      const [ids, tierOf, firstColumns] = inputs as readonly [Tensor, Tensor, Tensor];
      const { codes, books } = partsOf(inputs, attrs);
      const taken = takeGroupedRows(tierOf, codes, rows);
      return [ids, taken.groupOf, firstColumns, ...taken.tables, ...books];
    },
  },
  macsPerRow: () => 0,
  kernel: 'codebook_rows',
};

interface Parts<T> {
  readonly tierOf: T;
  readonly firstColumns: T;
  readonly codes: readonly T[];
  readonly books: readonly T[];
}

export function partsOf<T>(
  inputs: readonly T[],
  { tiers }: Pick<CodebookAttrs, 'tiers'>,
): Parts<T> {
  return {
    tierOf: inputs[1]!,
    firstColumns: inputs[2]!,
    codes: inputs.slice(3, 3 + tiers),
    books: inputs.slice(3 + tiers),
  };
}

/** Calls `add` with the column and the value of every element of the entries of a row, in order. */
function forEntries(
  { tierOf, firstColumns, codes, books }: Parts<Matrix>,
  row: number,
  add: (column: number, value: number) => void,
): void {
  const { group, member } = placeInGroup(tierOf, row);
  const own = codes[group]!;
  for (let stage = 0; stage < own.columns; stage++) {
    const book = books[stage]!;
    const entry = own.data[own.offset + member * own.stride + stage]! * book.stride;
    const first = firstColumns.data[stage]!;
    for (let column = 0; column < book.columns; column++) {
      add(first + column, book.data[book.offset + entry + column]!);
    }
  }
}

function addEntries(
  parts: Parts<Matrix>,
  row: number,
  rank: number,
  put: (column: number, value: number) => void,
): void {
  const sums = new Float64Array(rank);
  forEntries(parts, row, (column, value) => {
    sums[column]! += value;
  });
  for (const [column, sum] of sums.entries()) put(column, sum);
}

/** In magnitude, of what any row adds up to after any of its stages. */
function largestSum(inputs: readonly Tensor[], attrs: CodebookAttrs): number {
  const matrices = inputs.map((tensor) =>
    tensor.role === 'constant'
      ? denseMatrix(realValues(constantOf(tensor)), tensor.shape[0] as number, tensor.shape[1])
      : denseMatrix(new Float32Array(0), 0, 1),
  );
  const parts = partsOf(matrices, attrs);
  const sums = new Float64Array(attrs.rank);
  let largest = 0;
  for (let row = 0; row < parts.tierOf.rows; row++) {
    sums.fill(0);
    forEntries(parts, row, (column, value) => {
      sums[column]! += value;
      largest = Math.max(largest, Math.abs(sums[column]!));
    });
  }
  return largest;
}
