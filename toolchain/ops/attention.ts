/** Multi-head scaled dot-product attention over all tokens or those around, in its unnormalised integer form. */
import { z } from 'zod';
import type { Affine, Matrix, Shape } from '../ir/graph.ts';
import { clamp, divideRequant, type Requant, requantize, toRequant } from './fixed-point.ts';
import { arrayOf, expTablesOf, int, int32, requantForm, shiftsOf } from './form.ts';
import type { EvalContext, OpDef, QuantizeArgs, Quantized } from './op.ts';

export interface AttentionAttrs {
  readonly heads: number;
  /** Factor on q·k before the softmax, 1/√headWidth. */
  readonly scale: number;
  /**
   * Row r sees keys 0 … r only: a mask in a model that answers once. A decoder's attention is
   * `causalAttention`, another op: what it reads of earlier rows is kept from run to run, heads share it,
   * and its integers are rounded once, not twice.
   */
  readonly causal: boolean;
  /** Row r sees keys r − reach … r + reach only; without it all. */
  readonly reach?: number | undefined;
}

/**
 * For one query row and head, over the keys it sees:
 *
 *   s_j = clamp8(requantize(Σ_c q_c·k_jc, score))        int8, zero point 0
 *   e_j = expTable[max(s) − s_j]                         0 … 127, round(127·exp(−difference))
 *   L   = Σ_j e_j                                        127 … 127·keys
 *   y_c = clamp8(requantize(Σ_j e_j·v_jc, mix ÷ L) + zeroPoint)
 *
 * `score` and `expTable` belong to a head (256 entries each), for heads differ in temperature.
 */
export interface AttentionInteger {
  readonly scoreMultipliers: Int32Array;
  readonly scoreShifts: Int8Array;
  /** (heads, 256) */
  readonly expTables: Uint8Array;
  /** scale(v) / scale(y). */
  readonly mix: Requant;
  readonly zeroPoint: number;
}

/** Kernels add a token's index to it in int32. */
const mostReach = 0xff_ffff;

export const attention: OpDef<AttentionAttrs, AttentionInteger> = {
  doc: 'y = softmax(scale·q·kᵀ)·v for each head; heads are column ranges',
  operands: [
    { name: 'q', reads: 'row', symmetric: true },
    { name: 'k', reads: 'all', symmetric: true },
    { name: 'v', reads: 'all', symmetric: true },
  ],
  overwritesRows: true,
  form: {
    attrs: z.strictObject({
      heads: int.positive(),
      scale: z.number().positive(),
      causal: z.boolean(),
      reach: int.min(0).max(mostReach).optional(),
    }),
    integer: (_shapes, { heads }) =>
      z.strictObject({
        scoreMultipliers: arrayOf(Int32Array, heads),
        scoreShifts: shiftsOf(heads),
        expTables: expTablesOf(heads),
        mix: requantForm,
        zeroPoint: int32,
      }),
    fits: fitsAttention,
  },
  infer: ([q, , v]) => [q![0], v![1]],
  evalFloat: ([q, k, v], attrs, out, context) => attentionFloat(q!, k!, v!, attrs, out, context),
  observe: ([q, k], attrs, context) => largestScores(q!, k!, attrs, context),
  quantize: quantizeAttention,
  evalInteger: ([q, k, v], attrs, integer, out, context) =>
    attentionInteger(q!, k!, v!, attrs, integer, out, context),
  macsPerRow: ([q, , v], attrs, tokens) => keysOfRow(attrs, tokens) * (q![1] + v![1]),
  work: (_inputs, { attrs, tokens }) => ({ scores: attrs.heads * keysOfRow(attrs, tokens) }),
  kernel: 'attention',
};

/** Whether some row does not see all keys. */
export function hidesKeys({ causal, reach }: AttentionAttrs): boolean {
  return causal || reach !== undefined;
}

/** The most keys that a row sees. */
function keysOfRow({ reach }: AttentionAttrs, tokens: number): number {
  return reach === undefined ? tokens : Math.min(tokens, 2 * reach + 1);
}

/** The keys that the row of this index sees: from the first to before the end. */
function keysSeen(
  { causal, reach = mostReach }: Pick<AttentionAttrs, 'causal' | 'reach'>,
  index: number,
  tokens: number,
): readonly [first: number, end: number] {
  const last = causal ? index : index + reach;
  return [Math.max(0, index - reach), Math.min(tokens, last + 1)];
}

export function fitsAttention(
  [q, k, v]: readonly Shape[],
  { heads }: { readonly heads: number },
): boolean {
  return q![1] === k![1] && k![0] === v![0] && q![1] % heads === 0 && v![1] % heads === 0;
}

export function attentionFloat(
  q: Matrix,
  k: Matrix,
  v: Matrix,
  attrs: AttentionAttrs,
  out: Matrix,
  { rowStart }: EvalContext,
): void {
  const { heads, scale } = attrs;
  const width = q.columns / heads;
  const valueWidth = v.columns / heads;
  const queries = q.data as Float32Array;
  const keyData = k.data as Float32Array;
  const values = v.data as Float32Array;
  const weights = new Float64Array(k.rows);
  const sums = new Float64Array(valueWidth);
  for (let head = 0; head < heads; head++) {
    for (let row = 0; row < q.rows; row++) {
      const [first, end] = keysSeen(attrs, rowStart + row, k.rows);
      const qStart = q.offset + row * q.stride + head * width;
      let largest = Number.NEGATIVE_INFINITY;
      for (let key = first; key < end; key++) {
        const kStart = k.offset + key * k.stride + head * width;
        let sum = 0;
        for (let c = 0; c < width; c++) sum += queries[qStart + c]! * keyData[kStart + c]!;
        weights[key] = sum * scale;
        largest = Math.max(largest, sum * scale);
      }
      let total = 0;
      for (let key = first; key < end; key++) {
        const weight = Math.exp(weights[key]! - largest);
        weights[key] = weight;
        total += weight;
      }
      sums.fill(0);
      for (let key = first; key < end; key++) {
        const weight = weights[key]!;
        const vStart = v.offset + key * v.stride + head * valueWidth;
        for (let c = 0; c < valueWidth; c++) sums[c]! += weight * values[vStart + c]!;
      }
      const to = out.offset + row * out.stride + head * valueWidth;
      for (let c = 0; c < valueWidth; c++) out.data[to + c] = sums[c]! / total;
    }
  }
}

/** The largest |scale·q·k| of each head. */
export function largestScores(
  q: Matrix,
  k: Matrix,
  attrs: AttentionAttrs,
  { rowStart }: EvalContext,
): number[] {
  const { heads, scale } = attrs;
  const width = q.columns / heads;
  const largest = new Array<number>(heads).fill(0);
  for (let head = 0; head < heads; head++) {
    for (let row = 0; row < q.rows; row++) {
      const [first, end] = keysSeen(attrs, rowStart + row, k.rows);
      const qStart = q.offset + row * q.stride + head * width;
      for (let key = first; key < end; key++) {
        const kStart = k.offset + key * k.stride + head * width;
        let sum = 0;
        for (let c = 0; c < width; c++) sum += q.data[qStart + c]! * k.data[kStart + c]!;
        largest[head] = Math.max(largest[head]!, Math.abs(sum * scale));
      }
    }
  }
  return largest;
}

function quantizeAttention({
  attrs,
  quants,
  output,
  observed,
}: QuantizeArgs<AttentionAttrs>): Quantized<AttentionInteger> {
  const [q, k, v] = quants as readonly [Affine, Affine, Affine];
  return {
    integer: {
      ...scoreParameters(
        q.scale * k.scale * attrs.scale,
        scoreScales(attrs.heads, q.scale * k.scale * attrs.scale, observed),
      ),
      mix: toRequant(v.scale / output.quant.scale),
      zeroPoint: output.quant.zeroPoint,
    },
    constants: {},
  };
}

/** Real value of one step of each head's int8 scores; `factor` is that of the int32 sums. */
export function scoreScales(
  heads: number,
  factor: number,
  observed: readonly number[] | null,
): readonly number[] {
  return Array.from({ length: heads }, (_, head) => {
    const range = observed?.[head] ?? 127 * 127 * factor;
    return Math.max(range, smallestScoreRange) / 127;
  });
}

/** Scores that differ less than this weigh the same. */
const smallestScoreRange = 1e-6;

/** Requantization of int32 scores, worth `factor` a unit, to int8, and their exponentials. */
export function scoreParameters(
  factor: number,
  scales: readonly number[],
): Pick<AttentionInteger, 'scoreMultipliers' | 'scoreShifts' | 'expTables'> {
  const requants = scales.map((scale) => toRequant(factor / scale));
  return {
    scoreMultipliers: Int32Array.from(requants, ({ multiplier }) => multiplier),
    scoreShifts: Int8Array.from(requants, ({ shift }) => shift),
    expTables: Uint8Array.from({ length: scales.length * 256 }, (_, index) =>
      Math.round(127 * Math.exp(-(index & 255) * scales[index >> 8]!)),
    ),
  };
}

function attentionInteger(
  q: Matrix,
  k: Matrix,
  v: Matrix,
  attrs: AttentionAttrs,
  integer: AttentionInteger,
  out: Matrix,
  { rowStart }: EvalContext,
): void {
  const { heads } = attrs;
  const width = q.columns / heads;
  const valueWidth = v.columns / heads;
  const queries = q.data as Int8Array;
  const keyData = k.data as Int8Array;
  const values = v.data as Int8Array;
  const dots = new Int32Array(k.rows);
  const scores = new Int8Array(k.rows);
  const weights = new Uint8Array(k.rows + 3); // up to three keys that do not count
  const sums = new Int32Array(valueWidth);
  for (let head = 0; head < heads; head++) {
    const multiplier = integer.scoreMultipliers[head]!;
    const shift = integer.scoreShifts[head]!;
    for (let row = 0; row < q.rows; row++) {
      const [first, end] = keysSeen(attrs, rowStart + row, k.rows);
      const keys = end - first;
      const qStart = q.offset + row * q.stride + head * width;
      const kStart = k.offset + first * k.stride + head * width;
      const vStart = v.offset + first * v.stride + head * valueWidth;
      let largest = -128;
      setDots(queries, qStart, keyData, kStart, k.stride, width, dots, keys);
      for (let key = 0; key < keys; key++) {
        const score = clamp(requantize(dots[key]!, multiplier, shift), -128, 127);
        scores[key] = score;
        if (score > largest) largest = score;
      }
      let total = 0;
      for (let key = 0; key < keys; key++) {
        const weight = integer.expTables[head * 256 + largest - scores[key]!]!;
        weights[key] = weight;
        total += weight;
      }
      sums.fill(0);
      weights.fill(0, keys, keys + 3);
      for (let key = 0; key < keys; key += 4) {
        addWeightedRows(weights, key, values, vStart, v.stride, sums, keys);
      }
      const mix = divideRequant(integer.mix, total);
      const to = out.offset + row * out.stride + head * valueWidth;
      for (let c = 0; c < valueWidth; c++) {
        const value = requantize(sums[c]!, mix.multiplier, mix.shift) + integer.zeroPoint;
        out.data[to + c] = clamp(value, -128, 127);
      }
    }
  }
}

/** `dots[key] = Σ_c q_c·k_key,c` for all keys, four at a time; q begins at `q0`, key 0 at `k0`. */
export function setDots(
  q: Int8Array,
  q0: number,
  k: Int8Array,
  k0: number,
  stride: number,
  width: number,
  dots: Int32Array,
  keys: number,
): void {
  for (let key = 0; key < keys; key += 4) {
    const start0 = k0 + key * stride;
    const start1 = k0 + Math.min(key + 1, keys - 1) * stride;
    const start2 = k0 + Math.min(key + 2, keys - 1) * stride;
    const start3 = k0 + Math.min(key + 3, keys - 1) * stride;
    let sum0 = 0;
    let sum1 = 0;
    let sum2 = 0;
    let sum3 = 0;
    for (let c = 0; c < width; c++) {
      const x = q[q0 + c]!;
      sum0 = (sum0 + x * k[start0 + c]!) | 0;
      sum1 = (sum1 + x * k[start1 + c]!) | 0;
      sum2 = (sum2 + x * k[start2 + c]!) | 0;
      sum3 = (sum3 + x * k[start3 + c]!) | 0;
    }
    dots[key] = sum0;
    if (key + 1 < keys) dots[key + 1] = sum1;
    if (key + 2 < keys) dots[key + 2] = sum2;
    if (key + 3 < keys) dots[key + 3] = sum3;
  }
}

/** `sums[c] += Σ weights[key + i]·v_{key + i},c` for i = 0 … 3; weights behind the keys are 0. */
export function addWeightedRows(
  weights: Uint8Array,
  key: number,
  v: Int8Array,
  v0: number,
  stride: number,
  sums: Int32Array,
  keys: number,
): void {
  const weight0 = weights[key]!;
  const weight1 = weights[key + 1]!;
  const weight2 = weights[key + 2]!;
  const weight3 = weights[key + 3]!;
  if ((weight0 | weight1 | weight2 | weight3) === 0) return;
  const start0 = v0 + key * stride;
  const start1 = v0 + Math.min(key + 1, keys - 1) * stride;
  const start2 = v0 + Math.min(key + 2, keys - 1) * stride;
  const start3 = v0 + Math.min(key + 3, keys - 1) * stride;
  for (let c = 0; c < sums.length; c++) {
    sums[c]! +=
      weight0 * v[start0 + c]! +
      weight1 * v[start1 + c]! +
      weight2 * v[start2 + c]! +
      weight3 * v[start3 + c]!;
  }
}
