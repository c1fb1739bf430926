/**
 * What an activation is, in the terms of our op table, before it is built: a tree of plain data whose
 * branches are matrices of rows × columns. Only what the output needs is ever built of it.
 */
import type { ActivationKind } from '../../ops/linear.ts';
import type { RowsOfTable, Value } from '../primitive/value.ts';

/** A constant matrix or row of reals, read when it is built. */
export interface Reals {
  readonly length: number;
  /** What the user calls it. */
  readonly name: string | undefined;
  read(): Float32Array;
}

/** (outputs, inputs) */
export interface WeightMatrix extends Reals {
  readonly outputs: number;
  readonly inputs: number;
  /** Of a quantized model: int8 codes, and what a step of each output's is worth. */
  readonly codes?: WeightCodes | undefined;
}

export interface WeightCodes {
  readonly scales: Float64Array;
  read(): Int8Array;
}

/** What the rows of an embedding are the sum of. */
export interface EmbeddingParts {
  /** (vocabulary, columns) */
  readonly word: Value | null;
  /** From its first row on the table of the positions. */
  readonly position: RowsOfTable | null;
  /** (segments, columns) */
  readonly segment: Value | null;
  /** Added to every row. */
  readonly constants: readonly Value[];
}

interface SourceBase {
  readonly rows: 'tokens' | 1;
  readonly columns: number;
  /** The user's layer. */
  readonly name: string;
  /** Ops on the longest way from the inputs. */
  readonly depth: number;
}

export type Source = SourceBase &
  (
    | { readonly kind: 'embed'; readonly parts: EmbeddingParts }
    | {
        readonly kind: 'linear';
        readonly x: Source;
        readonly weight: WeightMatrix;
        /** Null: zeros. */
        readonly bias: Reals | null;
      }
    | {
        readonly kind: 'layerNorm';
        readonly x: Source;
        readonly epsilon: number;
        /** Null: ones and zeros. */
        readonly gamma: Reals | null;
        readonly beta: Reals | null;
      }
    | { readonly kind: 'activation'; readonly x: Source; readonly activation: ActivationKind }
    | {
        readonly kind: 'attention';
        readonly q: Source;
        readonly k: Source;
        readonly v: Source;
        readonly heads: number;
        readonly scale: number;
        readonly causal: boolean;
        readonly reach: number | null;
      }
    /** Each two columns of x turned by their angle; heads of `width` columns. */
    | {
        readonly kind: 'rotary';
        readonly x: Source;
        readonly theta: number;
        readonly width: number;
      }
    | {
        readonly kind: 'gatedProduct';
        readonly gate: Source;
        readonly up: Source;
        readonly activation: ActivationKind;
      }
    | { readonly kind: 'add'; readonly a: Source; readonly b: Source }
    /** a + b·gamma, a number for each column. */
    | {
        readonly kind: 'scaledAdd';
        readonly a: SourceOf<'linear'>;
        readonly b: Source;
        readonly gamma: Reals;
      }
    /** The rows after, of and before each token, side by side. */
    | { readonly kind: 'trigrams'; readonly x: Source }
    /** x and rows of tables; among the parts are no words and no constants. */
    | { readonly kind: 'embedSum'; readonly x: SourceOf<'linear'>; readonly parts: EmbeddingParts }
    | { readonly kind: 'selectRow'; readonly x: Source; readonly which: 'first' | 'last' }
    | { readonly kind: 'meanRows'; readonly x: Source }
    | { readonly kind: 'concat'; readonly parts: readonly Source[] }
  );

export type SourceOf<K extends Source['kind']> = Extract<Source, { readonly kind: K }>;

export function depthOf(...inputs: readonly Source[]): number {
  return 1 + Math.max(0, ...inputs.map(({ depth }) => depth));
}

/** The one that is made later comes first: sums are the same however the user wrote them. */
export function addSource(a: Source, b: Source, name: string): Source {
  const [first, second] = a.depth >= b.depth ? [a, b] : [b, a];
  const { rows, columns } = first;
  return { kind: 'add', a: first, b: second, rows, columns, name, depth: depthOf(a, b) };
}

export function linearSource(
  x: Source,
  weight: WeightMatrix,
  bias: Reals | null,
  name: string,
): SourceOf<'linear'> {
  const columns = weight.outputs;
  return { kind: 'linear', x, weight, bias, rows: x.rows, columns, name, depth: depthOf(x) };
}

export function layerNormSource(
  x: Source,
  epsilon: number,
  gamma: Reals | null,
  beta: Reals | null,
  name: string,
): SourceOf<'layerNorm'> {
  const { rows, columns } = x;
  return { kind: 'layerNorm', x, epsilon, gamma, beta, rows, columns, name, depth: depthOf(x) };
}

export function realsOf(value: Value, length: number): Reals {
  return { length, name: value.name, read: () => floatsOf(value) };
}

export function computedReals(length: number, read: () => Float32Array): Reals {
  return { length, name: undefined, read };
}

export function floatsOf(value: Value): Float32Array {
  const data = value.read();
  return data instanceof Float32Array ? data : Float32Array.from(data);
}

/** Rows of a linear's weight and bias: `outputs` in that order, times `factor`. */
export function selectOutputs(
  { x, weight, bias, name }: SourceOf<'linear'>,
  outputs: readonly number[],
  factor: number,
): SourceOf<'linear'> {
  const { inputs } = weight;
  const chosen = (values: Float32Array, width: number): Float32Array => {
    const result = new Float32Array(outputs.length * width);
    for (const [to, from] of outputs.entries()) {
      const row = values.subarray(from * width, (from + 1) * width);
      result.set(factor === 1 ? row : row.map((value) => value * factor), to * width);
    }
    return result;
  };
  const { codes } = weight;
  const selected: WeightMatrix = {
    ...(codes === undefined || !(factor > 0)
      ? {}
      : { codes: selectCodes(codes, outputs, inputs, factor) }),
    outputs: outputs.length,
    inputs,
    length: outputs.length * inputs,
    name: weight.name,
    read: () => chosen(weight.read(), inputs),
  };
  const selectedBias =
    bias === null ? null : computedReals(outputs.length, () => chosen(bias.read(), 1));
  return linearSource(x, selected, selectedBias, name);
}

function selectCodes(
  { scales, read }: WeightCodes,
  outputs: readonly number[],
  inputs: number,
  factor: number,
): WeightCodes {
  return {
    scales: Float64Array.from(outputs, (output) => scales[output]! * factor),
    read: () => {
      const all = read();
      const result = new Int8Array(outputs.length * inputs);
      for (const [to, from] of outputs.entries()) {
        result.set(all.subarray(from * inputs, (from + 1) * inputs), to * inputs);
      }
      return result;
    },
  };
}
