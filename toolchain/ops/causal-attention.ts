/**
 * Attention of a decoder: a row sees the keys and values up to its own, and several heads may share
 * them. What it reads of the rows before is the cache that outlives a run.
 */
import { z } from 'zod';
import type { Affine, Matrix, Shape } from '../ir/graph.ts';
import {
  type AttentionInteger,
  addWeightedRows,
  attentionFloat,
  largestScores,
  scoreScales,
  setDots,
} from './attention.ts';
import {
  clamp,
  divideRequant,
  type Requant,
  requantize,
  roundingHighMul,
  toRequant,
} from './fixed-point.ts';
import { arrayOf, expTablesOf, int, int32, requantForm } from './form.ts';
import type { EvalContext, OpDef, QuantizeArgs, Quantized } from './op.ts';

export interface CausalAttentionAttrs {
  readonly heads: number;
  /** Heads of keys and values: each serves as many heads, side by side. */
  readonly keyValueHeads: number;
  /** Factor on q·k before the softmax. */
  readonly scale: number;
}

/**
 * For one query row and head, over the keys up to its own:
 *
 *   s_j = clamp8(roundingHighMul(Σ_c q_c·k_jc, scoreMultiplier))       int8, zero point 0
 *   e_j = expTable[max(s) − s_j]                                       0 … 127
 *   y_c = clamp8(requantize(Σ_j e_j·v_jc, mix ÷ Σ_j e_j) + zeroPoint)
 *
 * as in attention, but for one rounding of the scores instead of two.
 */
export interface CausalAttentionInteger
  extends Pick<AttentionInteger, 'scoreMultipliers' | 'expTables' | 'zeroPoint'> {
  /** scale(v) / scale(y). */
  readonly mix: Requant;
}

/** Attributes of an attention whose heads share keys and values. */
export const headAttrs = {
  heads: int.positive(),
  keyValueHeads: int.positive(),
  scale: z.number().positive(),
};

export function causalIntegerForm(
  _shapes: readonly Shape[],
  { heads }: CausalAttentionAttrs,
): z.ZodType<CausalAttentionInteger> {
  return z.strictObject({
    scoreMultipliers: arrayOf(Int32Array, heads, (m) => m >= 0),
    expTables: expTablesOf(heads),
    mix: requantForm,
    zeroPoint: int32,
  });
}

/** Of every attention of a decoder. */
export const causalOperands = [
  { name: 'q', reads: 'row', symmetric: true },
  { name: 'k', reads: 'past', symmetric: true },
  { name: 'v', reads: 'past', symmetric: true, turned: true },
] as const satisfies OpDef<CausalAttentionAttrs, CausalAttentionInteger>['operands'];

export function causalShape(
  [q, , v]: readonly Shape[],
  { heads, keyValueHeads }: CausalAttentionAttrs,
): Shape {
  return [q![0], (v![1] * heads) / keyValueHeads];
}

export function headsFit(
  [q, k, v]: readonly Shape[],
  { heads, keyValueHeads }: CausalAttentionAttrs,
): boolean {
  return (
    heads % keyValueHeads === 0 &&
    q![1] % heads === 0 &&
    q![1] / heads === k![1] / keyValueHeads &&
    v![1] % keyValueHeads === 0 &&
    [k!, v!].every(([rows]) => rows === q![0])
  );
}

export const causalAttention: OpDef<CausalAttentionAttrs, CausalAttentionInteger> = {
  doc: 'y = softmax(scale·q·kᵀ)·v for each head, over the rows up to its own',
  operands: causalOperands,
  readsIndex: true,
  form: { attrs: z.strictObject(headAttrs), integer: causalIntegerForm, fits: headsFit },
  infer: causalShape,
  evalFloat: ([q, k, v], attrs, out, { rowStart }) =>
    causalFloat(operandsOf(q!, k!, v!, out, attrs), attrs, rowStart),
  observe: largestCausalScores,
  quantize: quantizeCausal,
  evalInteger: ([q, k, v], attrs, integer, out, { rowStart }) =>
    causalInteger(operandsOf(q!, k!, v!, out, attrs), integer, rowStart),
  macsPerRow: ([q, , v], { heads, keyValueHeads }, tokens) =>
    tokens * (q![1] + (v![1] * heads) / keyValueHeads),
  work: (_inputs, { attrs, tokens }) => ({ scores: attrs.heads * tokens }),
  kernel: 'causal_attention',
};

export interface HeadOperands {
  readonly q: Matrix;
  readonly k: Matrix;
  readonly v: Matrix;
  readonly out: Matrix;
}

/** By head: its columns of q and out, and those of the keys and values that it shares. */
export function operandsOf(
  q: Matrix,
  k: Matrix,
  v: Matrix,
  out: Matrix,
  { heads, keyValueHeads }: CausalAttentionAttrs,
): readonly HeadOperands[] {
  const part = (matrix: Matrix, parts: number, index: number): Matrix => {
    const columns = matrix.columns / parts;
    return { ...matrix, columns, offset: matrix.offset + index * columns };
  };
  return Array.from({ length: heads }, (_, head) => {
    const shared = Math.floor((head * keyValueHeads) / heads);
    return {
      q: part(q, heads, head),
      k: part(k, keyValueHeads, shared),
      v: part(v, keyValueHeads, shared),
      out: part(out, heads, head),
    };
  });
}

function oneHead({ scale }: CausalAttentionAttrs) {
  return { heads: 1, scale, causal: true };
}

/** Query r of `heads` stands at row `rowStart` + r of the keys. */
export function causalFloat(
  heads: readonly HeadOperands[],
  attrs: CausalAttentionAttrs,
  rowStart: number,
): void {
  for (const { q, k, v, out } of heads) {
    attentionFloat(q, k, v, oneHead(attrs), out, { tokens: k.rows, rowStart });
  }
}

/** `see` is given the e_j of each head and query, and their sum. */
export type SeeWeights = (head: number, weights: Uint8Array, total: number) => void;

export function causalInteger(
  heads: readonly HeadOperands[],
  integer: CausalAttentionInteger,
  rowStart: number,
  see?: SeeWeights,
): void {
  for (const [head, operands] of heads.entries()) {
    attendHead(operands, head, integer, rowStart, see);
  }
}

export function largestCausalScores(
  [q, k, v]: readonly Matrix[],
  attrs: CausalAttentionAttrs,
  context: EvalContext,
): readonly number[] {
  return operandsOf(q!, k!, v!, q!, attrs).flatMap((head) =>
    largestScores(head.q, head.k, oneHead(attrs), context),
  );
}

export function quantizeCausal({
  attrs,
  quants,
  output,
  observed,
}: QuantizeArgs<CausalAttentionAttrs>): Quantized<CausalAttentionInteger> {
  const [q, k, v] = quants as readonly [Affine, Affine, Affine];
  const factor = q.scale * k.scale * attrs.scale;
  // A step of at least two units of the sums: the multiplier is below 2^31.
  const scales = scoreScales(attrs.heads, factor, observed).map((scale) =>
    Math.max(scale, 2.01 * factor),
  );
  return {
    integer: {
      scoreMultipliers: Int32Array.from(scales, (scale) => Math.round((factor / scale) * 2 ** 32)),
      expTables: Uint8Array.from({ length: scales.length * 256 }, (_, index) =>
        Math.round(127 * Math.exp(-(index & 255) * scales[index >> 8]!)),
      ),
      mix: toRequant(v.scale / output.quant.scale),
      zeroPoint: output.quant.zeroPoint,
    },
    constants: {},
  };
}

function attendHead(
  { q, k, v, out }: HeadOperands,
  head: number,
  integer: CausalAttentionInteger,
  rowStart: number,
  see?: SeeWeights,
): void {
  const last = rowStart + q.rows;
  const dots = new Int32Array(last);
  const scores = new Int8Array(last);
  const weights = new Uint8Array(last + 3); // up to three keys that do not count
  const sums = new Int32Array(v.columns);
  const multiplier = integer.scoreMultipliers[head]!;
  const table = integer.expTables.subarray(head * 256, (head + 1) * 256);
  const [queries, keyData, values] = [q.data, k.data, v.data] as readonly Int8Array[];
  for (let row = 0; row < q.rows; row++) {
    const keys = rowStart + row + 1;
    const from = q.offset + row * q.stride;
    setDots(queries!, from, keyData!, k.offset, k.stride, q.columns, dots, keys);
    let largest = -128;
    for (let key = 0; key < keys; key++) {
      const score = clamp(roundingHighMul(dots[key]!, multiplier), -128, 127);
      scores[key] = score;
      if (score > largest) largest = score;
    }
    let total = 0;
    for (let key = 0; key < keys; key++) {
      const weight = table[largest - scores[key]!]!;
      weights[key] = weight;
      total += weight;
    }
    see?.(head, weights.subarray(0, keys), total);
    sums.fill(0);
    weights.fill(0, keys, keys + 3);
    for (let key = 0; key < keys; key += 4) {
      addWeightedRows(weights, key, values!, v.offset, v.stride, sums, keys);
    }
    const mix = divideRequant(integer.mix, total);
    const to = out.offset + row * out.stride;
    for (let column = 0; column < v.columns; column++) {
      const value = requantize(sums[column]!, mix.multiplier, mix.shift) + integer.zeroPoint;
      out.data[to + column] = clamp(value, -128, 127);
    }
  }
}
