/**
 * Layer normalization of a sum of rows: the residual join of a transformer and its embeddings.
 *
 * The sum is never stored: int8 addends are aligned to a common unit in int32, mean and variance are
 * exact integers (`d²·var = d·Σv² − (Σv)²` in int64), and one fixed-point reciprocal square root
 * serves a row. Zero variance yields beta.
 */
import { z } from 'zod';
import { dtypes } from '../ir/dtypes.ts';
import { type Affine, at, isConstant, type Matrix, realValues, type Tensor } from '../ir/graph.ts';
import { embeddingOperands, embeddingSum, fitsEmbedding, quantizeAddends } from './embed.ts';
import { clamp, reciprocalSqrt, roundingHighMul, roundingShiftRight } from './fixed-point.ts';
import { int, int32, isRowVector, sameShape } from './form.ts';
import type { OpDef, Quantized } from './op.ts';

export interface NormAttrs {
  readonly epsilon: number;
}

/**
 * For one row of width d, with v_i the aligned int32 sum, |v_i| ≤ 2^min(20, 29 − ⌈log2 d⌉):
 *
 *   c_i = d·v_i − Σv                                      |c_i| ≤ 2^30
 *   V   = d·Σv² − (Σv)² + epsilon                         int64; V = 0: n_i = 0
 *   n_i = clamp16(c_i / √V · 2^fraction)                  by `normalizer`
 *   y_i = clamp((n_i·gamma_i + beta_i) >> outShift)       beta_i holds the rounding half and the zero point
 *
 * |c_i| ≤ √(d·V) makes n_i fit int16 with fraction = 15 − ⌈log2(d)/2⌉.
 */
export interface NormInteger {
  /** epsilon·d²/unit², as an integer below 2^53. */
  readonly epsilon: number;
  readonly fraction: number;
  readonly outShift: number;
  readonly min: number;
  readonly max: number;
}

export interface AddNormInteger extends NormInteger {
  /** Units an integer step of a, and of b, is worth. */
  readonly multiplierA: number;
  readonly multiplierB: number;
  readonly zeroPointA: number;
  readonly zeroPointB: number;
}

export const normForm = z.strictObject({ epsilon: z.number().nonnegative() });

export const normInteger = z.strictObject({
  epsilon: z
    .number()
    .min(0)
    .max(2 ** 53)
    .refine(Number.isInteger, 'must be an integer'),
  fraction: int.min(0).max(30),
  outShift: int.min(1).max(30),
  min: int32,
  max: int32,
});

/** y = LayerNorm(a + b). Integer operands gamma: int16 (1, d), beta: int32 (1, d). */
export const addLayerNorm: OpDef<NormAttrs, AddNormInteger> = {
  doc: 'y = (a + b − mean)/√(variance + epsilon)·gamma + beta for each row',
  operands: [
    { name: 'a', reads: 'row' },
    { name: 'b', reads: 'row' },
    { name: 'gamma', reads: 'constant' },
    { name: 'beta', reads: 'constant' },
  ],
  overwritesRows: true,
  form: {
    attrs: normForm,
    integer: () =>
      normInteger.extend({
        multiplierA: int32,
        multiplierB: int32,
        zeroPointA: int32,
        zeroPointB: int32,
      }),
    fits: ([a, b, gamma, beta]) =>
      sameShape(a!, b!) && isRowVector(gamma, a![1]) && isRowVector(beta, a![1]),
  },
  infer: ([a]) => a!,
  evalFloat: ([a, b, gamma, beta], attrs, out) =>
    normalizeFloat(
      out,
      gamma!,
      beta!,
      attrs,
      (row, column) => at(a!, row, column) + at(b!, row, column),
    ),
  quantize: ({ attrs, inputs, quants, output }) => {
    const [a, b] = quants as readonly [Affine, Affine];
    const width = output.shape[1];
    const span = 255; // |stored − zeroPoint| of an int8
    const unit = (span * (a.scale + b.scale)) / (alignedLimit(width) - span);
    return withNorm(inputs, attrs, width, unit, output, 2, {
      multiplierA: Math.round(a.scale / unit),
      multiplierB: Math.round(b.scale / unit),
      zeroPointA: a.zeroPoint,
      zeroPointB: b.zeroPoint,
    });
  },
  evalInteger: ([a, b, gamma, beta], _attrs, integer, out) => {
    const { multiplierA, multiplierB, zeroPointA, zeroPointB } = integer;
    normalizeInteger(
      out,
      gamma!,
      beta!,
      integer,
      (row, column) =>
        (at(a!, row, column) - zeroPointA) * multiplierA +
        (at(b!, row, column) - zeroPointB) * multiplierB,
    );
  },
  macsPerRow: () => 0,
  kernel: 'add_layernorm',
};

export interface EmbedNormInteger extends NormInteger {
  readonly multiplierWord: number;
  readonly multiplierPosition: number;
  readonly multiplierSegment: number;
}

/** The first layer's input, made again from the tokens whenever that is cheaper than keeping it. */
export const embedLayerNorm: OpDef<NormAttrs, EmbedNormInteger> = {
  doc: 'y = LayerNorm(word + position + segment[row ≥ segmentStart])',
  operands: [
    ...embeddingOperands,
    { name: 'gamma', reads: 'constant' },
    { name: 'beta', reads: 'constant' },
  ],
  overwritesRows: true,
  readsIndex: true,
  form: {
    attrs: normForm,
    integer: () =>
      normInteger.extend({
        multiplierWord: int32,
        multiplierPosition: int32,
        multiplierSegment: int32,
      }),
    fits: (shapes) =>
      fitsEmbedding(shapes) &&
      isRowVector(shapes[4], shapes[0]![1]) &&
      isRowVector(shapes[5], shapes[0]![1]),
  },
  infer: ([word]) => word!,
  evalFloat: ([word, position, start, segment, gamma, beta], attrs, out, context) =>
    normalizeFloat(
      out,
      gamma!,
      beta!,
      attrs,
      embeddingSum(word!, position!, start!, segment!, context, 1, 1, 1),
    ),
  quantize: ({ attrs, inputs, quants, output }) => {
    const { scales, constants } = quantizeAddends(inputs, quants);
    const [word, position, segment] = scales;
    const width = output.shape[1];
    const unit = (128 * (word + position + segment)) / (alignedLimit(width) - 3 * 128);
    const quantized = withNorm(inputs, attrs, width, unit, output, 4, {
      multiplierWord: Math.round(word / unit),
      multiplierPosition: Math.round(position / unit),
      multiplierSegment: Math.round(segment / unit),
    });
    return {
      integer: quantized.integer,
      constants: { ...quantized.constants, ...constants },
    };
  },
  evalInteger: ([word, position, start, segment, gamma, beta], _attrs, integer, out, context) =>
    normalizeInteger(
      out,
      gamma!,
      beta!,
      integer,
      embeddingSum(
        word!,
        position!,
        start!,
        segment!,
        context,
        integer.multiplierWord,
        integer.multiplierPosition,
        integer.multiplierSegment,
      ),
    ),
  macsPerRow: () => 0,
  kernel: 'embed_layernorm',
};

function normalizeFloat(
  out: Matrix,
  gamma: Matrix,
  beta: Matrix,
  { epsilon }: NormAttrs,
  sumAt: (row: number, column: number) => number,
): void {
  const width = out.columns;
  const sums = new Float64Array(width);
  for (let row = 0; row < out.rows; row++) {
    let mean = 0;
    for (let column = 0; column < width; column++) {
      sums[column] = sumAt(row, column);
      mean += sums[column]! / width;
    }
    let variance = 0;
    for (let column = 0; column < width; column++) variance += (sums[column]! - mean) ** 2 / width;
    const factor = 1 / Math.sqrt(variance + epsilon);
    for (let column = 0; column < width; column++) {
      const normalized = variance + epsilon === 0 ? 0 : (sums[column]! - mean) * factor;
      out.data[out.offset + row * out.stride + column] =
        normalized * at(gamma, 0, column) + at(beta, 0, column);
    }
  }
}

/** The bound on |v_i|: sums over a row and c_i stay in int32. */
function alignedLimit(width: number): number {
  return 2 ** Math.min(20, 29 - Math.ceil(Math.log2(width)));
}

/** The parameters all normalizations share; gamma is operand `gammaIndex`, beta the next. */
function withNorm<T>(
  inputs: readonly Tensor[],
  { epsilon }: NormAttrs,
  width: number,
  unit: number,
  output: {
    readonly dtype: keyof typeof dtypes;
    readonly quant: { scale: number; zeroPoint: number };
  },
  gammaIndex: number,
  own: T,
): Quantized<NormInteger & T> {
  const gamma = inputs[gammaIndex]!;
  const beta = inputs[gammaIndex + 1]!;
  if (!isConstant(gamma) || !isConstant(beta))
    throw new Error('layer norm needs constant operands');
  const fraction = 15 - Math.ceil(Math.log2(width) / 2);
  const { scale, zeroPoint } = output.quant;
  const gammas = Array.from(realValues(gamma), (value) => value / scale);
  const betas = Array.from(realValues(beta), (value) => value / scale + zeroPoint);
  const largestGamma = Math.max(...gammas.map(Math.abs), 1e-9);
  const largestBeta = Math.max(...betas.map(Math.abs), 1);
  // gamma_i·2^(outShift − fraction) in int16, beta_i·2^outShift below 2^30.
  const outShift = clamp(
    Math.min(
      fraction + Math.floor(Math.log2(32767 / largestGamma)),
      Math.floor(Math.log2(2 ** 30 / (largestBeta + 1))),
    ),
    1,
    30,
  );
  const gammaData = Int16Array.from(gammas, (value) =>
    clamp(Math.round(value * 2 ** (outShift - fraction)), -32768, 32767),
  );
  const half = 2 ** (outShift - 1);
  const betaData = Int32Array.from(betas, (value) =>
    clamp(Math.round(value * 2 ** outShift) + half, -(2 ** 30), 2 ** 30),
  );
  const { min, max } = dtypes[output.dtype];
  return {
    integer: {
      epsilon: Math.min(Math.round((epsilon * width * width) / (unit * unit)), 2 ** 53),
      fraction,
      outShift,
      min,
      max,
      ...own,
    },
    constants: {
      [gammaIndex]: { dtype: 'int16', shape: gamma.shape, data: gammaData },
      [gammaIndex + 1]: { dtype: 'int32', shape: beta.shape, data: betaData },
    },
  };
}

function normalizeInteger(
  out: Matrix,
  gamma: Matrix,
  beta: Matrix,
  { epsilon, fraction, outShift, min, max }: NormInteger,
  sumAt: (row: number, column: number) => number,
): void {
  const width = out.columns;
  const sums = new Int32Array(width);
  for (let row = 0; row < out.rows; row++) {
    let sum = 0;
    let squaresHigh = 0; // Σ of the squares' parts above and below 2^20: both stay exact doubles
    let squaresLow = 0;
    for (let column = 0; column < width; column++) {
      const value = sumAt(row, column);
      sums[column] = value;
      sum += value;
      const square = value * value;
      const high = Math.floor(square / 0x100000);
      squaresHigh += high;
      squaresLow += square - high * 0x100000;
    }
    const squares = BigInt(squaresHigh) * 0x100000n + BigInt(squaresLow);
    const variance = BigInt(width) * squares - BigInt(sum) * BigInt(sum) + BigInt(epsilon);
    const normalizer = normalizerOf(variance, fraction);
    for (let column = 0; column < width; column++) {
      const centered = width * sums[column]! - sum;
      const normalized = normalize(centered, normalizer);
      const scaled = normalized * at(gamma, 0, column) + at(beta, 0, column);
      out.data[out.offset + row * out.stride + column] = clamp(scaled >> outShift, min, max);
    }
  }
}

/** Row constants of `n = c·2^fraction/√V`: n = round(smmulr(c << left, factor) >> right). */
export interface Normalizer {
  readonly factor: number;
  readonly left: number;
  readonly right: number;
}

/**
 * V = x·2^(64 − lz) with x in [1/4, 1) and lz even, so 1/√V = y·2^(lz/2 − 62), y = 2^30/√x from
 * `reciprocalSqrt` of the upper 32 bits, and n = c·y >> (62 − fraction − lz/2).
 */
export function normalizerOf(variance: bigint, fraction: number): Normalizer {
  if (variance <= 0n) return { factor: 0, left: 0, right: 0 };
  let leadingZeros = 64 - variance.toString(2).length;
  leadingZeros -= leadingZeros % 2;
  const upper = Number((variance << BigInt(leadingZeros)) >> 32n);
  const shift = 62 - fraction - leadingZeros / 2;
  return {
    factor: reciprocalSqrt(upper),
    left: Math.max(0, 32 - shift),
    right: Math.max(0, shift - 32),
  };
}

/** `c << left` wraps as uint32 in C; |c| ≤ √V keeps it in range whenever left > 0. */
export function normalize(centered: number, { factor, left, right }: Normalizer): number {
  const product = roundingHighMul(centered << left, factor);
  return clamp(roundingShiftRight(product, right), -32768, 32767);
}

/** y = LayerNorm(x), of a sum that was stored as int8. The mean takes x's zero point with it. */
export const layerNorm: OpDef<NormAttrs, NormInteger> = {
  doc: 'y = (x − mean)/√(variance + epsilon)·gamma + beta for each row',
  operands: [
    { name: 'x', reads: 'row' },
    { name: 'gamma', reads: 'constant' },
    { name: 'beta', reads: 'constant' },
  ],
  overwritesRows: true,
  form: {
    attrs: normForm,
    integer: () => normInteger,
    fits: ([x, gamma, beta]) => isRowVector(gamma, x![1]) && isRowVector(beta, x![1]),
  },
  infer: ([x]) => x!,
  evalFloat: ([x, gamma, beta], attrs, out) =>
    normalizeFloat(out, gamma!, beta!, attrs, (row, column) => at(x!, row, column)),
  quantize: ({ attrs, inputs, quants, output }) =>
    withNorm(inputs, attrs, output.shape[1], quants[0]!.scale, output, 1, {}),
  evalInteger: ([x, gamma, beta], _attrs, integer, out) =>
    normalizeInteger(out, gamma!, beta!, integer, (row, column) => at(x!, row, column)),
  macsPerRow: () => 0,
  kernel: 'layer_norm',
};
