/**
 * Attention in the space of its own input: neither keys nor values are needed, for
 * q·(x·Wkᵀ)ᵀ = (q·Wk)·xᵀ and P·(x·Wvᵀ) = (P·x)·Wvᵀ. All heads share x as keys and as values, and x
 * may come block by block: the softmax is the online one (Milakov and Gimelshein, arXiv:1805.02867).
 */
import { z } from 'zod';
import { type Affine, denseMatrix, type Matrix } from '../ir/graph.ts';
import { scoreParameters, scoreScales } from './attention.ts';
import { clamp, divideRequant, type Requant, requantize, toRequant } from './fixed-point.ts';
import { arrayOf, expTablesOf, int, int32, requantForm, shiftsOf } from './form.ts';
import type { OpDef, StreamBlock } from './op.ts';

export interface AttendInputsAttrs {
  readonly heads: number;
  /** Factor on u·x before the softmax. */
  readonly scale: number;
}

/**
 * For one query row and head, over blocks of 16 tokens, with x'_jc = x_jc − inputZeroPoint:
 *
 *   s_j = clamp8(requantize(Σ_c u_c·x'_jc, score))       u int16; the sum needs width ≤ 256
 *   m'  = max(m, s_j of the block)
 *   L, a_c = (· f[m' − m] + 2^14) >> 15                  only where m' > m; f: rescaleTables, Q15
 *   e_j = expTable[m' − s_j],  L += Σ_j e_j,  a_c += Σ_j e_j·x_jc
 *
 * and after the last block y_c = clamp16(requantize(a_c − inputZeroPoint·L, mix ÷ L)), zero point 0.
 */
export interface AttendInputsInteger {
  readonly scoreMultipliers: Int32Array;
  readonly scoreShifts: Int8Array;
  /** (heads, 256) */
  readonly expTables: Uint8Array;
  /** (heads, 256), exp(−difference) in Q15, at most 2^15 − 1. */
  readonly rescaleTables: Int16Array;
  readonly inputZeroPoint: number;
  /** scale(x) / scale(y). */
  readonly mix: Requant;
}

/** |u|·|x'|·width stays below 2^31. */
export const widestInput = 256;

/** Tokens between two looks for a larger score. */
const blockTokens = 16;

/** Of a head: the largest score, the sum L, and a sum a column. */
const carriedScalars = 2;

export const attendInputs: OpDef<AttendInputsAttrs, AttendInputsInteger> = {
  doc: 'y = softmax(scale·u·xᵀ)·x for each head; a head has as many columns of u and y as x has',
  operands: [
    { name: 'u', reads: 'row', symmetric: true, dtype: 'int16' },
    { name: 'x', reads: 'all' },
  ],
  outputDtype: 'int16',
  overwritesRows: true,
  form: {
    attrs: z.strictObject({ heads: int.positive(), scale: z.number().positive() }),
    integer: (_shapes, { heads }) =>
      z.strictObject({
        scoreMultipliers: arrayOf(Int32Array, heads),
        scoreShifts: shiftsOf(heads),
        expTables: expTablesOf(heads),
        rescaleTables: arrayOf(Int16Array, heads * 256, (factor) => factor >= 0),
        inputZeroPoint: int32,
        mix: requantForm,
      }),
    fits: ([u, x], { heads }) => u![1] === heads * x![1] && x![1] <= widestInput,
  },
  infer: ([u]) => u!,
  evalFloat: ([u, x], attrs, out) => attendFloat(u!, x!, attrs, out),
  observe: ([u, x], attrs) => largestScores(u!, x!, attrs),
  quantize: ({ attrs, quants, output, observed }) => {
    const [u, x] = quants as readonly [Affine, Affine];
    const factor = u.scale * x.scale * attrs.scale;
    const scales = scoreScales(attrs.heads, factor, observed);
    return {
      integer: {
        ...scoreParameters(factor, scales),
        rescaleTables: rescaleTables(scales),
        inputZeroPoint: x.zeroPoint,
        mix: toRequant(x.scale / output.quant.scale),
      },
      constants: {},
    };
  },
  evalInteger: ([u, x], attrs, integer, out) => {
    const columns = attrs.heads * (x!.columns + carriedScalars);
    const carry = denseMatrix(new Int32Array(u!.rows * columns), u!.rows, columns);
    attendBlock(u!, x!, attrs, integer, carry, out, { firstRow: 0, tokens: x!.rows });
  },
  streaming: {
    blockRows: blockTokens,
    carryColumns: ([, x], { heads }) => heads * (x![1] + carriedScalars),
    evalBlock: ([u, x], attrs, integer, carry, out, block) =>
      attendBlock(u!, x!, attrs, integer, carry, out, block),
  },
  macsPerRow: ([u], _attrs, tokens) => 2 * tokens * u![1],
  kernelRows: ({ heads }) => heads,
  work: ([, x], { tokens }) => ({
    elements: x![1],
    macs: 2 * tokens * x![1],
    scores: tokens,
    shared: tokens * x![1],
  }),
  kernel: 'attend_inputs',
};

function rescaleTables(scales: readonly number[]): Int16Array {
  return Int16Array.from({ length: scales.length * 256 }, (_, index) =>
    Math.min(32767, Math.round(32768 * Math.exp(-(index & 255) * scales[index >> 8]!))),
  );
}

/** Σ_c u_c·(x_jc − zeroPoint) of one head and token. */
function dot(u: Matrix, uStart: number, x: Matrix, token: number, zeroPoint: number): number {
  const xStart = x.offset + token * x.stride;
  let sum = 0;
  for (let c = 0; c < x.columns; c++)
    sum += u.data[uStart + c]! * (x.data[xStart + c]! - zeroPoint);
  return sum;
}

function attendFloat(u: Matrix, x: Matrix, { heads, scale }: AttendInputsAttrs, out: Matrix): void {
  const weights = new Float64Array(x.rows);
  for (let row = 0; row < u.rows; row++) {
    for (let head = 0; head < heads; head++) {
      const uStart = u.offset + row * u.stride + head * x.columns;
      let largest = Number.NEGATIVE_INFINITY;
      for (let token = 0; token < x.rows; token++) {
        weights[token] = scale * dot(u, uStart, x, token, 0);
        largest = Math.max(largest, weights[token]!);
      }
      let total = 0;
      for (let token = 0; token < x.rows; token++) {
        weights[token] = Math.exp(weights[token]! - largest);
        total += weights[token]!;
      }
      const to = out.offset + row * out.stride + head * x.columns;
      for (let c = 0; c < x.columns; c++) {
        let sum = 0;
        for (let token = 0; token < x.rows; token++) {
          sum += weights[token]! * x.data[x.offset + token * x.stride + c]!;
        }
        out.data[to + c] = sum / total;
      }
    }
  }
}

function largestScores(u: Matrix, x: Matrix, { heads, scale }: AttendInputsAttrs): number[] {
  const largest = new Array<number>(heads).fill(0);
  for (let row = 0; row < u.rows; row++) {
    for (let head = 0; head < heads; head++) {
      const uStart = u.offset + row * u.stride + head * x.columns;
      for (let token = 0; token < x.rows; token++) {
        const score = Math.abs(scale * dot(u, uStart, x, token, 0));
        largest[head] = Math.max(largest[head]!, score);
      }
    }
  }
  return largest;
}

/** `x` are the tokens from `firstRow` on; y may be u. */
function attendBlock(
  u: Matrix,
  x: Matrix,
  { heads }: AttendInputsAttrs,
  integer: AttendInputsInteger,
  carry: Matrix,
  out: Matrix,
  { firstRow, tokens }: StreamBlock,
): void {
  for (let row = 0; row < u.rows; row++) {
    for (let head = 0; head < heads; head++) {
      const uStart = u.offset + row * u.stride + head * x.columns;
      const start = carry.offset + row * carry.stride + head * (x.columns + carriedScalars);
      const carried = (carry.data as Int32Array).subarray(
        start,
        start + x.columns + carriedScalars,
      );
      for (let token = 0; token < x.rows; token += blockTokens) {
        const end = Math.min(token + blockTokens, x.rows);
        addTokens(u, uStart, x, token, end, integer, head, carried, firstRow + token === 0);
      }
      if (firstRow + x.rows < tokens) continue;
      const total = carried[1]!;
      const mix = divideRequant(integer.mix, total);
      const to = out.offset + row * out.stride + head * x.columns;
      for (let c = 0; c < x.columns; c++) {
        const sum = carried[carriedScalars + c]! - integer.inputZeroPoint * total;
        out.data[to + c] = clamp(requantize(sum, mix.multiplier, mix.shift), -32768, 32767);
      }
    }
  }
}

/** Adds at most `blockTokens` tokens to what one row and head has carried so far. */
function addTokens(
  u: Matrix,
  uStart: number,
  x: Matrix,
  first: number,
  end: number,
  integer: AttendInputsInteger,
  head: number,
  carried: Int32Array,
  isFirst: boolean,
): void {
  const multiplier = integer.scoreMultipliers[head]!;
  const shift = integer.scoreShifts[head]!;
  const scores: number[] = [];
  for (let token = first; token < end; token++) {
    const sum = dot(u, uStart, x, token, integer.inputZeroPoint);
    scores.push(clamp(requantize(sum, multiplier, shift), -128, 127));
  }
  const largest = Math.max(...scores);
  if (isFirst) {
    carried.fill(0);
    carried[0] = largest;
  } else if (largest > carried[0]!) {
    const factor = integer.rescaleTables[head * 256 + largest - carried[0]!]!;
    // At most 2^31 · 2^15: exact in doubles.
    for (let i = 1; i < carried.length; i++) {
      carried[i] = Math.floor((carried[i]! * factor + 2 ** 14) / 2 ** 15);
    }
    carried[0] = largest;
  }
  for (const [index, score] of scores.entries()) {
    const weight = integer.expTables[head * 256 + carried[0]! - score]!;
    if (weight === 0) continue;
    carried[1]! += weight;
    const xStart = x.offset + (first + index) * x.stride;
    for (let c = 0; c < x.columns; c++)
      carried[carriedScalars + c]! += weight * x.data[xStart + c]!;
  }
}
