/**
 * Attention in the space of its own input: for a few query rows neither keys nor values are needed,
 * for q·(x·Wkᵀ)ᵀ = (q·Wk)·xᵀ and P·(x·Wvᵀ) = (P·x)·Wvᵀ. All heads share x as keys and as values.
 */
import type { Affine, Matrix } from '../ir/graph.ts';
import {
  clamp,
  divideRequant,
  type Requant,
  requantize,
  toRequant,
} from '../quantize/fixed-point.ts';
import { scoreParameters } from './attention.ts';
import type { OpDef } from './op.ts';

export interface AttendInputsAttrs {
  readonly heads: number;
  /** Factor on u·x before the softmax. */
  readonly scale: number;
}

/**
 * For one query row and head, over all tokens, with x'_jc = x_jc − inputZeroPoint:
 *
 *   s_j = clamp8(requantize(Σ_c u_c·x'_jc, score))       u int16; the sum needs width ≤ 256
 *   e_j = expTable[max(s) − s_j],  L = Σ_j e_j           as in `attention`
 *   y_c = clamp16(requantize(Σ_j e_j·x'_jc, mix ÷ L))    int16, zero point 0
 */
export interface AttendInputsInteger {
  readonly scoreMultipliers: Int32Array;
  readonly scoreShifts: Int8Array;
  /** (heads, 256) */
  readonly expTables: Uint8Array;
  readonly inputZeroPoint: number;
  /** scale(x) / scale(y). */
  readonly mix: Requant;
}

/** |u|·|x'|·width stays below 2^31. */
export const widestInput = 256;

export const attendInputs: OpDef<AttendInputsAttrs, AttendInputsInteger> = {
  doc: 'y = softmax(scale·u·xᵀ)·x for each head; a head has as many columns of u and y as x has',
  operands: [
    { name: 'u', reads: 'row', symmetric: true, dtype: 'int16' },
    { name: 'x', reads: 'all' },
  ],
  outputDtype: 'int16',
  infer: ([u]) => u!,
  evalFloat: ([u, x], attrs, out) => attendFloat(u!, x!, attrs, out),
  observe: ([u, x], attrs) => largestScores(u!, x!, attrs),
  quantize: ({ attrs, quants, output, observed }) => {
    const [u, x] = quants as readonly [Affine, Affine];
    const factor = u.scale * x.scale * attrs.scale;
    return {
      integer: {
        ...scoreParameters(attrs.heads, factor, observed),
        inputZeroPoint: x.zeroPoint,
        mix: toRequant(x.scale / output.quant.scale),
      },
      constants: {},
    };
  },
  evalInteger: ([u, x], attrs, integer, out) => attendInteger(u!, x!, attrs, integer, out),
  macsPerRow: ([u], _attrs, tokens) => 2 * tokens * u![1],
  kernel: 'attend_inputs',
};

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

function attendInteger(
  u: Matrix,
  x: Matrix,
  { heads }: AttendInputsAttrs,
  integer: AttendInputsInteger,
  out: Matrix,
): void {
  const zeroPoint = integer.inputZeroPoint;
  const weights = new Uint8Array(x.rows);
  for (let row = 0; row < u.rows; row++) {
    for (let head = 0; head < heads; head++) {
      const multiplier = integer.scoreMultipliers[head]!;
      const shift = integer.scoreShifts[head]!;
      const uStart = u.offset + row * u.stride + head * x.columns;
      let largest = 0;
      for (let token = 0; token < x.rows; token++) {
        const sum = dot(u, uStart, x, token, zeroPoint);
        weights[token] = clamp(requantize(sum, multiplier, shift), -128, 127) + 128;
        largest = Math.max(largest, weights[token]!);
      }
      let total = 0;
      for (let token = 0; token < x.rows; token++) {
        weights[token] = integer.expTables[head * 256 + largest - weights[token]!]!;
        total += weights[token]!;
      }
      const mix = divideRequant(integer.mix, total);
      const to = out.offset + row * out.stride + head * x.columns;
      for (let c = 0; c < x.columns; c++) {
        let sum = 0;
        for (let token = 0; token < x.rows; token++) {
          sum += weights[token]! * (x.data[x.offset + token * x.stride + c]! - zeroPoint);
        }
        out.data[to + c] = clamp(requantize(sum, mix.multiplier, mix.shift), -32768, 32767);
      }
    }
  }
}
