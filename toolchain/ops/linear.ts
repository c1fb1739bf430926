/** Matrix product with a constant weight, and the element-wise functions that follow it. */
import { dtypes } from '../ir/dtypes.ts';
import { isConstant, type Matrix, type Tensor } from '../ir/graph.ts';
import { clamp, requantize, toRequant } from '../quantize/fixed-point.ts';
import type { OpDef, QuantizeArgs, Quantized } from './op.ts';

export type LinearAttrs = Readonly<Record<string, never>>;

/**
 * `acc = bias + Σ x·w` in int32 (the bias holds −zeroPoint(x)·Σw), then per output column
 * requantization, zero point, clamp, and the table (index: value + 128) if there is one.
 */
export interface LinearInteger {
  readonly multipliers: Int32Array;
  readonly shifts: Int8Array;
  readonly zeroPoint: number;
  readonly min: number;
  readonly max: number;
  readonly table: Int8Array | null;
}

/** `y = x·wᵀ + b`; w: (out, in), b: (1, out). */
export const linear: OpDef<LinearAttrs, LinearInteger> = {
  doc: 'y = x·wᵀ + b with constant w (out, in) and b (1, out)',
  operands: [
    { name: 'x', reads: 'row' },
    { name: 'weight', reads: 'constant' },
    { name: 'bias', reads: 'constant' },
  ],
  infer: ([x, weight]) => [x![0], weight![0] as number],
  evalFloat: ([x, weight, bias], _attrs, out) => linearFloat(x!, weight!, bias!, out),
  quantize: quantizeLinear,
  evalInteger: ([x, weight, bias], _attrs, integer, out) =>
    linearInteger(x!, weight!, bias!, integer, out),
  macsPerRow: ([, weight]) => (weight![0] as number) * weight![1],
  kernel: 'linear',
};

function linearFloat(x: Matrix, weight: Matrix, bias: Matrix, out: Matrix): void {
  const depth = weight.columns;
  const w = weight.data;
  for (let column = 0; column < out.columns; column++) {
    const wStart = weight.offset + column * weight.stride;
    for (let row = 0; row < out.rows; row++) {
      const xStart = x.offset + row * x.stride;
      let sum = bias.data[bias.offset + column]!;
      for (let k = 0; k < depth; k++) sum += x.data[xStart + k]! * w[wStart + k]!;
      out.data[out.offset + row * out.stride + column] = sum;
    }
  }
}

function quantizeLinear({
  inputs,
  quants,
  output,
}: QuantizeArgs<LinearAttrs>): Quantized<LinearInteger> {
  const [, weight, bias] = inputs as readonly [Tensor, Tensor, Tensor];
  const input = quants[0]!;
  if (!isConstant(weight) || !isConstant(bias)) throw new Error('linear needs constant operands');
  const [rows, columns] = weight.shape as readonly [number, number];
  const weights = new Int8Array(rows * columns);
  const scales = new Float64Array(rows);
  const biases = new Int32Array(rows);
  const multipliers = new Int32Array(rows);
  const shifts = new Int8Array(rows);
  for (let row = 0; row < rows; row++) {
    let largest = 0;
    for (let k = 0; k < columns; k++) {
      largest = Math.max(largest, Math.abs(weight.data[row * columns + k]!));
    }
    const scale = largest === 0 ? 1 : largest / 127;
    let weightSum = 0;
    for (let k = 0; k < columns; k++) {
      const value = Math.round(weight.data[row * columns + k]! / scale);
      weights[row * columns + k] = value;
      weightSum += value;
    }
    scales[row] = scale;
    const realBias = Math.round(bias.data[row]! / (input.scale * scale));
    biases[row] = clamp(realBias - input.zeroPoint * weightSum, -biasLimit, biasLimit);
    const requant = toRequant((input.scale * scale) / output.quant.scale);
    multipliers[row] = requant.multiplier;
    shifts[row] = requant.shift;
  }
  const { min, max } = dtypes[output.dtype];
  return {
    integer: { multipliers, shifts, zeroPoint: output.quant.zeroPoint, min, max, table: null },
    constants: {
      1: { dtype: 'int8', shape: weight.shape, data: weights, quant: { kind: 'per-row', scales } },
      2: { dtype: 'int32', shape: bias.shape, data: biases },
    },
  };
}

/** Leaves room for the products of 32,768 columns: 2^30 + 2^15·2^14 < 2^31. */
const biasLimit = 2 ** 30;

function linearInteger(
  x: Matrix,
  weight: Matrix,
  bias: Matrix,
  integer: LinearInteger,
  out: Matrix,
): void {
  const { multipliers, shifts, zeroPoint, min, max, table } = integer;
  const depth = weight.columns;
  const w = weight.data as Int8Array;
  const source = x.data as Int8Array;
  for (let column = 0; column < out.columns; column++) {
    const wStart = weight.offset + column * weight.stride;
    const start = bias.data[bias.offset + column]!;
    const multiplier = multipliers[column]!;
    const shift = shifts[column]!;
    for (let row = 0; row < out.rows; row++) {
      const xStart = x.offset + row * x.stride;
      let sum = start | 0;
      for (let k = 0; k < depth; k++) sum = (sum + source[xStart + k]! * w[wStart + k]!) | 0;
      const value = clamp(requantize(sum, multiplier, shift) + zeroPoint, min, max);
      out.data[out.offset + row * out.stride + column] =
        table === null ? value : table[value + 128]!;
    }
  }
}

export type ActivationKind = 'gelu' | 'geluTanh' | 'relu' | 'tanh';

export interface ActivationAttrs {
  readonly kind: ActivationKind;
}

/** `table[x + 128]`, int8 → int8. */
export interface ActivationInteger {
  readonly table: Int8Array;
}

/** An element-wise function; as integers a 256-entry table, fused into the linear before it. */
export const activation: OpDef<ActivationAttrs, ActivationInteger> = {
  doc: 'y = f(x) for each element; f is gelu (erf), geluTanh, relu or tanh',
  operands: [{ name: 'x', reads: 'row' }],
  usefulRange: ({ kind }) => usefulRanges[kind],
  infer: ([x]) => x!,
  evalFloat: ([x], { kind }, out) => {
    const f = activationFunctions[kind];
    mapElements(x!, out, f);
  },
  quantize: ({ attrs, quants, output }) => {
    const input = quants[0]!;
    const f = activationFunctions[attrs.kind];
    const table = new Int8Array(256);
    for (let index = 0; index < 256; index++) {
      const real = f(input.scale * (index - 128 - input.zeroPoint));
      table[index] = clamp(
        Math.round(real / output.quant.scale) + output.quant.zeroPoint,
        dtypes.int8.min,
        dtypes.int8.max,
      );
    }
    return { integer: { table }, constants: {} };
  },
  evalInteger: ([x], _attrs, { table }, out) => mapElements(x!, out, (v) => table[v + 128]!),
  macsPerRow: () => 0,
  kernel: null,
};

function mapElements(x: Matrix, out: Matrix, f: (value: number) => number): void {
  for (let row = 0; row < out.rows; row++) {
    const from = x.offset + row * x.stride;
    const to = out.offset + row * out.stride;
    for (let column = 0; column < out.columns; column++) {
      out.data[to + column] = f(x.data[from + column]!);
    }
  }
}

const activationFunctions = {
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  geluTanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  relu: (x) => Math.max(0, x),
  tanh: (x) => Math.tanh(x),
} as const satisfies Record<ActivationKind, (x: number) => number>;

/** |gelu(−4)| < 2e-4, tanh(4) > 0.999. */
const usefulRanges = {
  gelu: [-4, Number.POSITIVE_INFINITY],
  geluTanh: [-4, Number.POSITIVE_INFINITY],
  relu: [0, Number.POSITIVE_INFINITY],
  tanh: [-4, 4],
} as const satisfies Record<ActivationKind, readonly [number, number]>;

/**
 * The error function to double precision: Maclaurin series below 3, continued fraction for erfc
 * above (Abramowitz and Stegun 7.1.6 and 7.1.14).
 */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 3) {
    let term = a;
    let sum = a;
    for (let n = 1; Math.abs(term) > 1e-17 * sum; n++) {
      term *= (2 * a * a) / (2 * n + 1);
      sum += term;
    }
    return Math.sign(x) * (2 / Math.sqrt(Math.PI)) * Math.exp(-a * a) * sum;
  }
  let fraction = 0;
  for (let n = 60; n >= 1; n--) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / (Math.sqrt(Math.PI) * (a + fraction)));
}
