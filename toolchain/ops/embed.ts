/**
 * The sum of a token's embeddings. Before a layer normalization it is never stored (`layer-norm.ts`);
 * without one it is a sum of three rows.
 */
import { z } from 'zod';
import { dtypes } from '../ir/dtypes.ts';
import { type Affine, at, type Matrix, realValues, type Shape, type Tensor } from '../ir/graph.ts';
import { alignedFactor, alignedOffset, alignedShift, alignFactors } from './aligned-factors.ts';
import { clamp } from './fixed-point.ts';
import { empty, type NoAttrs } from './form.ts';
import type { EvalContext, OpDef, Operand, QuantizedConstant } from './op.ts';
import { tableQuant } from './table-rows.ts';

export const embeddingOperands = [
  { name: 'word', reads: 'row', symmetric: true },
  { name: 'position', reads: 'row', symmetric: true },
  { name: 'segmentStart', reads: 'scalar' },
  { name: 'segment', reads: 'constant' },
] as const satisfies readonly Operand[];

/** `y = clamp8((Σ addend·multiplier + offset) >> shift)`; the offset holds half a step and the zero point. */
export interface EmbedInteger {
  /** At most 2^21. */
  readonly multiplierWord: number;
  readonly multiplierPosition: number;
  readonly multiplierSegment: number;
  readonly offset: number;
  readonly shift: number;
}

export const embed: OpDef<NoAttrs, EmbedInteger> = {
  doc: 'y = word + position + segment[row ≥ segmentStart]',
  operands: embeddingOperands,
  overwritesRows: true,
  readsIndex: true,
  form: {
    attrs: empty,
    integer: () =>
      z.strictObject({
        multiplierWord: alignedFactor,
        multiplierPosition: alignedFactor,
        multiplierSegment: alignedFactor,
        offset: alignedOffset,
        shift: alignedShift,
      }),
    fits: fitsEmbedding,
  },
  infer: ([word]) => word!,
  evalFloat: ([word, position, start, segment], _attrs, out, context) => {
    const sumAt = embeddingSum(word!, position!, start!, segment!, context, 1, 1, 1);
    mapElements(out, sumAt);
  },
  quantize: ({ inputs, quants, output }) => {
    const { scales, constants } = quantizeAddends(inputs, quants);
    const { multipliers, shift } = alignFactors(scales.map((scale) => scale / output.quant.scale));
    const [multiplierWord, multiplierPosition, multiplierSegment] = multipliers as AddendScales;
    const offset = output.quant.zeroPoint * 2 ** shift + 2 ** (shift - 1);
    return {
      integer: { multiplierWord, multiplierPosition, multiplierSegment, offset, shift },
      constants,
    };
  },
  evalInteger: ([word, position, start, segment], _attrs, integer, out, context) => {
    const { min, max } = dtypes.int8;
    const { multiplierWord, multiplierPosition, multiplierSegment, offset, shift } = integer;
    const sumAt = embeddingSum(
      ...([word!, position!, start!, segment!, context] as const),
      ...([multiplierWord, multiplierPosition, multiplierSegment] as const),
    );
    mapElements(out, (row, column) => clamp((sumAt(row, column) + offset) >> shift, min, max));
  },
  macsPerRow: () => 0,
  kernel: 'embed',
};

function mapElements(out: Matrix, valueAt: (row: number, column: number) => number): void {
  for (let row = 0; row < out.rows; row++) {
    for (let column = 0; column < out.columns; column++) {
      out.data[out.offset + row * out.stride + column] = valueAt(row, column);
    }
  }
}

export function fitsEmbedding([word, position, , segment]: readonly Shape[]): boolean {
  return word![1] === position![1] && word![1] === segment![1];
}

export function embeddingSum(
  word: Matrix,
  position: Matrix,
  start: Matrix,
  segment: Matrix,
  { rowStart }: EvalContext,
  wordFactor: number,
  positionFactor: number,
  segmentFactor: number,
): (row: number, column: number) => number {
  const segmentStart = start.data[start.offset]!;
  return (row, column) =>
    wordFactor * at(word, row, column) +
    positionFactor * at(position, row, column) +
    segmentFactor * at(segment, rowStart + row >= segmentStart ? segment.rows - 1 : 0, column);
}

type AddendScales = readonly [word: number, position: number, segment: number];

/** Tables that are constants become int8, with one scale each. */
export function quantizeAddends(
  inputs: readonly Tensor[],
  quants: readonly (Affine | null)[],
): {
  readonly scales: AddendScales;
  readonly constants: Readonly<Record<number, QuantizedConstant>>;
} {
  const segment = quantizeTable(inputs[3]!);
  const position = quants[1] == null ? quantizeTable(inputs[1]!) : null;
  return {
    scales: [quants[0]!.scale, position?.scale ?? quants[1]!.scale, segment.scale],
    constants: { ...(position === null ? {} : { 1: position.tensor }), 3: segment.tensor },
  };
}

function quantizeTable(table: Tensor): {
  readonly scale: number;
  readonly tensor: QuantizedConstant;
} {
  const reals = realValues(table);
  let largest = 0;
  for (const value of reals) largest = Math.max(largest, Math.abs(value));
  const quant = tableQuant(largest);
  const data = Int8Array.from(reals, (value) => Math.round(value / quant.scale));
  return { scale: quant.scale, tensor: { dtype: 'int8', shape: table.shape, data, quant } };
}
