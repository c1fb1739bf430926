/** Ops that choose, join or sum rows and columns. */
import { z } from 'zod';
import { dtypes } from '../ir/dtypes.ts';
import { denseMatrix, type Matrix } from '../ir/graph.ts';
import { clamp, divideRequant, type Requant, requantize, toRequant } from './fixed-point.ts';
import { empty, int32, type NoAttrs, requantForm } from './form.ts';
import type { OpDef, StreamBlock } from './op.ts';

export interface SelectRowAttrs {
  readonly which: 'first' | 'last';
}

/** One row of all: [CLS], or a decoder's newest token. */
export const selectRow: OpDef<SelectRowAttrs, NoAttrs> = {
  doc: 'y = the first or last row of x',
  operands: [{ name: 'x', reads: 'all' }],
  isView: true,
  sameQuantAsInputs: true,
  form: {
    attrs: z.strictObject({ which: z.enum(['first', 'last']) }),
    integer: () => empty,
    fits: () => true,
  },
  infer: ([x]) => [1, x![1]],
  evalFloat: ([x], attrs, out) => copySelectedRow(x!, attrs, out),
  quantize: () => ({ integer: {}, constants: {} }),
  evalInteger: ([x], attrs, _integer, out) => copySelectedRow(x!, attrs, out),
  macsPerRow: () => 0,
  kernel: null,
};

function copySelectedRow(x: Matrix, { which }: SelectRowAttrs, out: Matrix): void {
  const row = which === 'first' ? 0 : x.rows - 1;
  for (let column = 0; column < out.columns; column++) {
    out.data[out.offset + column] = x.data[x.offset + row * x.stride + column]!;
  }
}

/** Columns side by side: the outputs of head groups. */
export const concat: OpDef<NoAttrs, NoAttrs> = {
  doc: 'y = the columns of all operands, side by side',
  operands: [{ name: 'x', reads: 'row' }],
  variadic: true,
  isView: true,
  sameQuantAsInputs: true,
  form: {
    attrs: empty,
    integer: () => empty,
    fits: (shapes) => shapes.every(([rows]) => rows === shapes[0]![0]),
  },
  infer: (inputs) => [inputs[0]![0], inputs.reduce((sum, shape) => sum + shape[1], 0)],
  evalFloat: (inputs, _attrs, out) => copyColumns(inputs, out),
  quantize: () => ({ integer: {}, constants: {} }),
  evalInteger: (inputs, _attrs, _integer, out) => copyColumns(inputs, out),
  macsPerRow: () => 0,
  kernel: null,
};

function copyColumns(inputs: readonly Matrix[], out: Matrix): void {
  let first = 0;
  for (const x of inputs) {
    for (let row = 0; row < out.rows; row++) {
      for (let column = 0; column < x.columns; column++) {
        out.data[out.offset + row * out.stride + first + column] =
          x.data[x.offset + row * x.stride + column]!;
      }
    }
    first += x.columns;
  }
}

/** `y = clamp16(requantize(Σ_rows (x − zeroPoint), mean ÷ rows))`. */
export interface MeanInteger {
  readonly zeroPoint: number;
  /** scale(x) / scale(y). */
  readonly mean: Requant;
  readonly min: number;
  readonly max: number;
}

/** The mean over all tokens. */
export const meanRows: OpDef<NoAttrs, MeanInteger> = {
  doc: 'y = the mean of all rows of x',
  operands: [{ name: 'x', reads: 'all' }],
  symmetricOutput: true,
  form: {
    attrs: empty,
    integer: () => z.strictObject({ zeroPoint: int32, mean: requantForm, min: int32, max: int32 }),
    fits: () => true,
  },
  infer: ([x]) => [1, x![1]],
  evalFloat: ([x], _attrs, out) => {
    for (let column = 0; column < out.columns; column++) {
      out.data[out.offset + column] = columnSum(x!, column) / x!.rows;
    }
  },
  quantize: ({ quants, output }) => {
    const { min, max } = dtypes[output.dtype];
    if (output.quant.zeroPoint !== 0) throw new Error('meanRows needs an output with zero point 0');
    const input = quants[0]!;
    return {
      integer: {
        zeroPoint: input.zeroPoint,
        mean: toRequant(input.scale / output.quant.scale),
        min,
        max,
      },
      constants: {},
    };
  },
  evalInteger: ([x], _attrs, integer, out) => {
    const carry = denseMatrix(new Int32Array(out.columns), 1, out.columns);
    meanBlock(x!, integer, carry, out, { firstRow: 0, tokens: x!.rows });
  },
  streaming: {
    blockRows: 1,
    carryColumns: ([x]) => x![1],
    evalBlock: ([x], _attrs, integer, carry, out, block) =>
      meanBlock(x!, integer, carry, out, block),
  },
  macsPerRow: () => 0,
  work: (_inputs, { columns, tokens }) => ({ elements: columns * tokens }),
  kernel: 'mean_rows',
};

function meanBlock(
  x: Matrix,
  { zeroPoint, mean, min, max }: MeanInteger,
  carry: Matrix,
  out: Matrix,
  { firstRow, tokens }: StreamBlock,
): void {
  const { multiplier, shift } = divideRequant(mean, tokens);
  for (let column = 0; column < out.columns; column++) {
    const before = firstRow === 0 ? 0 : carry.data[carry.offset + column]!;
    const sum = before + columnSum(x, column);
    carry.data[carry.offset + column] = sum;
    if (firstRow + x.rows < tokens) continue;
    const mixed = requantize(sum - tokens * zeroPoint, multiplier, shift);
    out.data[out.offset + column] = clamp(mixed, min, max);
  }
}

function columnSum(x: Matrix, column: number): number {
  let sum = 0;
  for (let row = 0; row < x.rows; row++) sum += x.data[x.offset + row * x.stride + column]!;
  return sum;
}
