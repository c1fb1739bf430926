/** Matrix product with a constant weight, and the element-wise functions that follow it. */
import { z } from 'zod';
import { internalError } from '../errors.ts';
import { allocate, dtypes } from '../ir/dtypes.ts';
import { type Matrix, realValues, type Tensor } from '../ir/graph.ts';
import { clamp, requantize, toRequant } from './fixed-point.ts';
import { arrayOf, empty, int32, isRowVector, shiftsOf, table256 } from './form.ts';
import type { OpDef, QuantizeArgs, Quantized, WorkArgs } from './op.ts';

/** |Σ x·w| of int16 x stays below 2^30. */
export const mostWideInputs = 256;

export interface LinearAttrs {
  /** On a graph for planning, which has no integer meaning yet: a table follows. */
  readonly hasTable?: true;
}

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
  form: {
    attrs: empty,
    integer: ([, weight]) => {
      const outputs = Number(weight![0]);
      return z.strictObject({
        multipliers: arrayOf(Int32Array, outputs),
        shifts: shiftsOf(outputs),
        zeroPoint: int32,
        min: int32,
        max: int32,
        table: table256.nullable(),
      });
    },
    fits: ([x, weight, bias]) =>
      x![1] === weight![1] && x![1] <= mostInputs && isRowVector(bias, Number(weight![0])),
  },
  infer: ([x, weight]) => [x![0], weight![0] as number],
  evalFloat: ([x, weight, bias], _attrs, out) => linearFloat(x!, weight!, bias!, out),
  quantize: quantizeLinear,
  evalInteger: ([x, weight, bias], _attrs, integer, out) =>
    linearInteger(x!, weight!, bias!, integer, out),
  macsPerRow: ([, weight]) => (weight![0] as number) * weight![1],
  work: ([, weight], { attrs, integer, columns }) => ({
    lookups: endsInTable({ attrs, integer }) ? columns : 0,
    whole: (weight![0] as number) * weight![1],
  }),
  kernel: 'linear',
};

/** Before quantization an attribute says so. */
export function endsInTable({
  attrs,
  integer,
}: Pick<WorkArgs<LinearAttrs, LinearInteger>, 'attrs' | 'integer'>): boolean {
  return integer === null ? attrs.hasTable === true : integer.table !== null;
}

/**
 * Two rows by four columns at a time, so that six loads serve eight products. Blocks that stick out
 * compute their last row or column again.
 */
function linearFloat(x: Matrix, weight: Matrix, bias: Matrix, out: Matrix): void {
  const source = x.data as Float32Array;
  const w = weight.data as Float32Array;
  const sums = new Float64Array(8);
  for (let column = 0; column < out.columns; column += 4) {
    for (let row = 0; row < out.rows; row += 2) {
      for (let i = 0; i < 8; i++) {
        sums[i] = bias.data[bias.offset + Math.min(column + (i & 3), out.columns - 1)]!;
      }
      addProductsFloat(source, rowStarts(x, row), w, rowStarts(weight, column), x.columns, sums);
      for (let i = 0; i < 8; i++) {
        const r = Math.min(row + (i >> 2), out.rows - 1);
        const c = Math.min(column + (i & 3), out.columns - 1);
        out.data[out.offset + r * out.stride + c] = sums[i]!;
      }
    }
  }
}

type Starts = readonly [number, number, number, number];

/** Where rows `first` … `first + 3` begin; behind the last row, the last one again. */
function rowStarts({ offset, stride, rows }: Matrix, first: number): Starts {
  const start = (row: number) => offset + Math.min(row, rows - 1) * stride;
  return [start(first), start(first + 1), start(first + 2), start(first + 3)];
}

/** `sums[4r + c] += Σ_k x_r[k]·w_c[k]`, in ascending k. */
function addProductsFloat(
  x: Float32Array,
  [x0, x1]: Starts,
  w: Float32Array,
  [w0, w1, w2, w3]: Starts,
  depth: number,
  sums: Float64Array,
): void {
  let a0 = sums[0]!;
  let a1 = sums[1]!;
  let a2 = sums[2]!;
  let a3 = sums[3]!;
  let b0 = sums[4]!;
  let b1 = sums[5]!;
  let b2 = sums[6]!;
  let b3 = sums[7]!;
  for (let k = 0; k < depth; k++) {
    const a = x[x0 + k]!;
    const b = x[x1 + k]!;
    const c0 = w[w0 + k]!;
    const c1 = w[w1 + k]!;
    const c2 = w[w2 + k]!;
    const c3 = w[w3 + k]!;
    a0 += a * c0;
    a1 += a * c1;
    a2 += a * c2;
    a3 += a * c3;
    b0 += b * c0;
    b1 += b * c1;
    b2 += b * c2;
    b3 += b * c3;
  }
  sums[0] = a0;
  sums[1] = a1;
  sums[2] = a2;
  sums[3] = a3;
  sums[4] = b0;
  sums[5] = b1;
  sums[6] = b2;
  sums[7] = b3;
}

/** Weights that are stored as integers keep their codes and scales. */
function quantizeLinear({
  inputs,
  quants,
  inputDtype,
  output,
}: QuantizeArgs<LinearAttrs>): Quantized<LinearInteger> {
  const [, weight, bias] = inputs as readonly [Tensor, Tensor, Tensor];
  const input = quants[0]!;
  const [rows, columns] = weight.shape as readonly [number, number];
  const dtype = weight.dtype === 'int4' ? 'int4' : 'int8';
  if (inputDtype === 'int16' && columns > mostWideInputs) {
    throw internalError(`${columns} int16 inputs may overflow`, weight.name);
  }
  const reals = realValues(weight);
  const realBiases = realValues(bias);
  const weights = allocate(dtype, rows * columns);
  const scales = new Float64Array(rows);
  const biases = new Int32Array(rows);
  const multipliers = new Int32Array(rows);
  const shifts = new Int8Array(rows);
  for (let row = 0; row < rows; row++) {
    // Wide enough that the bias, in units of input.scale·scale, keeps well below its limit.
    const leastScale = Math.abs(realBiases[row]!) / (input.scale * (biasLimit / 2));
    const scale = Math.max(weightScale(weight, reals, row), leastScale) || 1;
    let magnitude = 0;
    let weightSum = 0;
    for (let k = 0; k < columns; k++) {
      const value = Math.round(reals[row * columns + k]! / scale);
      weights[row * columns + k] = value;
      weightSum += value;
      magnitude += Math.abs(value);
    }
    scales[row] = scale;
    const realBias = Math.round(realBiases[row]! / (input.scale * scale));
    biases[row] = clamp(realBias - input.zeroPoint * weightSum, -biasLimit, biasLimit);
    const requant = toRequant((input.scale * scale) / output.quant.scale);
    const largestSum = Math.abs(biases[row]!) + magnitude * (dtypes[inputDtype].max + 1);
    const mostShift = Math.floor(Math.log2(largestScaled / (largestSum + 1)));
    // Sums that would leave int32 are far outside the output's range: they are clamped as they are.
    multipliers[row] = requant.shift > mostShift ? 0x7fffffff : requant.multiplier;
    shifts[row] = Math.min(requant.shift, mostShift);
  }
  const { min, max } = dtypes[output.dtype];
  return {
    integer: { multipliers, shifts, zeroPoint: output.quant.zeroPoint, min, max, table: null },
    constants: {
      1: { dtype, shape: weight.shape, data: weights, quant: { kind: 'per-row', scales } },
      2: { dtype: 'int32', shape: bias.shape, data: biases },
    },
  };
}

/** The stored one, or the least with which a row of reals fits int8. */
function weightScale({ quant, shape }: Tensor, reals: Float32Array, row: number): number {
  if (quant?.kind === 'per-row') return quant.scales[row]!;
  if (quant?.kind === 'affine') return quant.scale;
  let largest = 0;
  for (let k = row * shape[1]; k < (row + 1) * shape[1]; k++) {
    largest = Math.max(largest, Math.abs(reals[k]!));
  }
  return largest / dtypes.int8.max;
}

/** Leaves room for a zero point: libraries add it in int32. */
const largestScaled = 2 ** 31 - 256;

/** Columns of x whose products fit int32 beside the bias: 2^30 + 2^15·2^14 < 2^31. */
export const mostInputs = 32_768;
const biasLimit = 2 ** 30;

function linearInteger(
  x: Matrix,
  weight: Matrix,
  bias: Matrix,
  integer: LinearInteger,
  out: Matrix,
): void {
  const { multipliers, shifts, zeroPoint, min, max, table } = integer;
  const source = x.data as Int8Array;
  const w = weight.data as Int8Array;
  const sums = new Int32Array(8);
  for (let column = 0; column < out.columns; column += 4) {
    for (let row = 0; row < out.rows; row += 2) {
      setProducts(source, rowStarts(x, row), w, rowStarts(weight, column), x.columns, sums);
      for (let i = 0; i < 8; i++) {
        const r = Math.min(row + (i >> 2), out.rows - 1);
        const c = Math.min(column + (i & 3), out.columns - 1);
        const sum = (bias.data[bias.offset + c]! + sums[i]!) | 0;
        const value = clamp(requantize(sum, multipliers[c]!, shifts[c]!) + zeroPoint, min, max);
        out.data[out.offset + r * out.stride + c] = table === null ? value : table[value + 128]!;
      }
    }
  }
}

/** `sums[4r + c] = Σ_k x_r[k]·w_c[k]` in int32. */
function setProducts(
  x: Int8Array,
  [x0, x1]: Starts,
  w: Int8Array,
  [w0, w1, w2, w3]: Starts,
  depth: number,
  sums: Int32Array,
): void {
  let a0 = 0;
  let a1 = 0;
  let a2 = 0;
  let a3 = 0;
  let b0 = 0;
  let b1 = 0;
  let b2 = 0;
  let b3 = 0;
  for (let k = 0; k < depth; k++) {
    const a = x[x0 + k]!;
    const b = x[x1 + k]!;
    const c0 = w[w0 + k]!;
    const c1 = w[w1 + k]!;
    const c2 = w[w2 + k]!;
    const c3 = w[w3 + k]!;
    a0 = (a0 + a * c0) | 0;
    a1 = (a1 + a * c1) | 0;
    a2 = (a2 + a * c2) | 0;
    a3 = (a3 + a * c3) | 0;
    b0 = (b0 + b * c0) | 0;
    b1 = (b1 + b * c1) | 0;
    b2 = (b2 + b * c2) | 0;
    b3 = (b3 + b * c3) | 0;
  }
  sums[0] = a0;
  sums[1] = a1;
  sums[2] = a2;
  sums[3] = a3;
  sums[4] = b0;
  sums[5] = b1;
  sums[6] = b2;
  sums[7] = b3;
}

export const activationKinds = z.enum(['gelu', 'geluTanh', 'relu', 'silu', 'tanh']);

export type ActivationKind = z.infer<typeof activationKinds>;

export interface ActivationAttrs {
  readonly kind: ActivationKind;
}

/** `table[x + 128]`, int8 → int8. */
export interface ActivationInteger {
  readonly table: Int8Array;
}

/** An element-wise function; as integers a 256-entry table, fused into the linear before it. */
export const activation: OpDef<ActivationAttrs, ActivationInteger> = {
  doc: 'y = f(x) for each element; f is gelu (erf), geluTanh, relu, silu or tanh',
  operands: [{ name: 'x', reads: 'row' }],
  usefulRange: ({ kind }) => usefulRanges[kind],
  form: {
    attrs: z.strictObject({ kind: activationKinds }),
    integer: () => z.strictObject({ table: table256 }),
    fits: () => true,
  },
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

export const activationFunctions = {
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  geluTanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  relu: (x) => Math.max(0, x),
  silu: (x) => x / (1 + Math.exp(-x)),
  tanh: (x) => Math.tanh(x),
} as const satisfies Record<ActivationKind, (x: number) => number>;

/** |gelu(−4)| < 2e-4, |silu(−12)| < 1e-4, tanh(4) > 0.999. */
const usefulRanges = {
  gelu: [-4, Number.POSITIVE_INFINITY],
  geluTanh: [-4, Number.POSITIVE_INFINITY],
  relu: [0, Number.POSITIVE_INFINITY],
  silu: [-12, Number.POSITIVE_INFINITY],
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
