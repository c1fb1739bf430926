/** Attention as TFLite composes it: int8 scores, int8 softmax, int8 mean of the values. */
import { z } from 'zod';
import type { Affine, Matrix } from '../ir/graph.ts';
import {
  addWeightedRows,
  attentionFloat,
  fitsAttention,
  largestScores,
  scoreScales,
  setDots,
} from './attention.ts';
import { clamp, type Requant, requantize, toRequant } from './fixed-point.ts';
import { arrayOf, int, int32, requantForm, shiftsOf } from './form.ts';
import type { OpDef } from './op.ts';
import { exponentials, softmax, softmaxScale, weightScale } from './softmax.ts';

export interface NormalizedAttentionAttrs {
  readonly heads: number;
  /** Factor on q·k before the softmax, 1/√headWidth. */
  readonly scale: number;
}

/**
 * For one query row and head, over all keys:
 *
 *   s_j = clamp8(requantize(Σ_c q_c·k_jc, score))        int8, zero point 0
 *   p_j = softmax(s)_j                                   0 … 255, worth 1/256 (softmax.ts)
 *   y_c = clamp8(requantize(Σ_j p_j·v_jc, mix) + zeroPoint)
 */
export interface NormalizedAttentionInteger {
  /** By head, as all that follows. */
  readonly scoreMultipliers: Int32Array;
  readonly scoreShifts: Int8Array;
  /** `SoftmaxScale`. */
  readonly softmaxMultipliers: Int32Array;
  readonly softmaxShifts: Int8Array;
  readonly smallestDifferences: Int32Array;
  /** scale(v) / 256 / scale(y). */
  readonly mix: Requant;
  readonly zeroPoint: number;
}

export const normalizedAttention: OpDef<NormalizedAttentionAttrs, NormalizedAttentionInteger> = {
  doc: 'y = softmax(scale·q·kᵀ)·v for each head, with the softmax stored as int8',
  operands: [
    { name: 'q', reads: 'row', symmetric: true },
    { name: 'k', reads: 'all', symmetric: true },
    { name: 'v', reads: 'all', symmetric: true },
  ],
  form: {
    attrs: z.strictObject({ heads: int.positive(), scale: z.number().positive() }),
    integer: (_shapes, { heads }) =>
      z.strictObject({
        scoreMultipliers: arrayOf(Int32Array, heads),
        scoreShifts: shiftsOf(heads),
        softmaxMultipliers: arrayOf(Int32Array, heads),
        softmaxShifts: arrayOf(Int8Array, heads, (s) => s >= 0 && s <= 30),
        smallestDifferences: arrayOf(Int32Array, heads, (d) => d <= 0),
        mix: requantForm,
        zeroPoint: int32,
      }),
    fits: fitsAttention,
  },
  infer: ([q, , v]) => [q![0], v![1]],
  evalFloat: ([q, k, v], attrs, out, context) =>
    attentionFloat(q!, k!, v!, { ...attrs, causal: false }, out, context),
  observe: ([q, k], attrs, context) => largestScores(q!, k!, { ...attrs, causal: false }, context),
  quantize: ({ attrs, quants, output, observed }) => {
    const [q, k, v] = quants as readonly [Affine, Affine, Affine];
    const factor = q.scale * k.scale * attrs.scale;
    const scales = Array.from(scoreScales(attrs.heads, factor, observed));
    const scores = scales.map((scale) => toRequant(factor / scale));
    const softmaxes = scales.map(softmaxScale);
    return {
      integer: {
        scoreMultipliers: Int32Array.from(scores, ({ multiplier }) => multiplier),
        scoreShifts: Int8Array.from(scores, ({ shift }) => shift),
        softmaxMultipliers: Int32Array.from(softmaxes, ({ multiplier }) => multiplier),
        softmaxShifts: Int8Array.from(softmaxes, ({ shift }) => shift),
        smallestDifferences: Int32Array.from(softmaxes, (one) => one.smallestDifference),
        mix: toRequant((v.scale * weightScale) / output.quant.scale),
        zeroPoint: output.quant.zeroPoint,
      },
      constants: {},
    };
  },
  evalInteger: ([q, k, v], attrs, integer, out) => attendInteger(q!, k!, v!, attrs, integer, out),
  macsPerRow: ([q, , v], _attrs, tokens) => tokens * (q![1] + v![1]),
  work: ([, k, v], { attrs, tokens }) => ({
    scores: attrs.heads * tokens,
    whole: tokens * (k![1] + v![1]),
  }),
  kernel: 'normalized_attention',
};

function attendInteger(
  q: Matrix,
  k: Matrix,
  v: Matrix,
  { heads }: NormalizedAttentionAttrs,
  integer: NormalizedAttentionInteger,
  out: Matrix,
): void {
  const keys = k.rows;
  const width = q.columns / heads;
  const valueWidth = v.columns / heads;
  const queries = q.data as Int8Array;
  const keyData = k.data as Int8Array;
  const values = v.data as Int8Array;
  const dots = new Int32Array(keys);
  const scores = new Int8Array(keys);
  const weights = new Uint8Array(keys + 3); // up to three keys that do not count
  const sums = new Int32Array(valueWidth);
  const { mix, zeroPoint } = integer;
  for (let head = 0; head < heads; head++) {
    const multiplier = integer.scoreMultipliers[head]!;
    const shift = integer.scoreShifts[head]!;
    const exponentialOf = exponentials({
      multiplier: integer.softmaxMultipliers[head]!,
      shift: integer.softmaxShifts[head]!,
      smallestDifference: integer.smallestDifferences[head]!,
    });
    for (let row = 0; row < q.rows; row++) {
      const qStart = q.offset + row * q.stride + head * width;
      setDots(queries, qStart, keyData, k.offset + head * width, k.stride, width, dots, keys);
      for (let key = 0; key < keys; key++) {
        scores[key] = clamp(requantize(dots[key]!, multiplier, shift), -128, 127);
      }
      softmax(scores, exponentialOf, weights);
      sums.fill(0);
      for (let key = 0; key < keys; key += 4) {
        addWeightedRows(weights, key, values, v.offset + head * valueWidth, v.stride, sums, keys);
      }
      const to = out.offset + row * out.stride + head * valueWidth;
      for (let c = 0; c < valueWidth; c++) {
        const value = requantize(sums[c]!, mix.multiplier, mix.shift) + zeroPoint;
        out.data[to + c] = clamp(value, -128, 127);
      }
    }
  }
}
