/** Products with constant matrices, and what is added to them or scales them. */
import {
  broadcastShapes,
  broadcastStrides,
  type NumberArray,
  sizeOf,
  type Value,
} from '../primitive/value.ts';
import { binaryRule, made, matrixTerm, type Rule, rule, uniformTerm } from './rule.ts';
import {
  addSource,
  computedReals,
  floatsOf,
  layerNormSource,
  linearSource,
  type Reals,
  realsOf,
  type WeightCodes,
  type WeightMatrix,
} from './source.ts';
import { layoutOf, type View, withFactorInside } from './view.ts';

export const linearRules: readonly Rule[] = [
  rule('x·W with constant W = linear(x, Wᵀ, 0)', ['matmul'], (_node, [a, b], context) => {
    if (b?.kind !== 'known') return null;
    const x = matrixTerm(a, context);
    const [inputs, outputs] = [b.shape.at(-2), b.shape.at(-1)];
    if (x === null || inputs !== x.columns || outputs === undefined) return null;
    if (sizeOf(b.shape) !== inputs * outputs || a!.shape.at(-1) !== inputs) return null;
    const weight = transposedWeight(b.value, inputs, outputs);
    const shape = [...a!.shape.slice(0, -1), outputs];
    return made(linearSource(x, weight, null, context.layer), shape);
  }),

  binaryRule(
    'linear(x, W, b) + c = linear(x, W, b + c)',
    ['add', 'subtract'],
    (a, b, context, node) => {
      const sign = node.attrs.function === 'add' ? 1 : -1;
      if (a.kind !== 'view' || b.kind !== 'known') return null;
      const view = withFactorInside(a);
      const vector = columnVector(view, b.value);
      if (vector === null || view.factor !== 1) return null;
      const { source } = view;
      const added = (own: Reals | null): Reals =>
        own === null && sign === 1
          ? vector
          : computedReals(source.columns, () => {
              const base = own?.read();
              return vector.read().map((value, i) => (base?.[i] ?? 0) + sign * value);
            });
      if (source.kind === 'linear') {
        const biased = linearSource(source.x, source.weight, added(source.bias), context.layer);
        return { ...view, source: biased };
      }
      if (source.kind !== 'layerNorm') return null;
      const { x, epsilon, gamma, beta, name } = source;
      return { ...view, source: layerNormSource(x, epsilon, gamma, added(beta), name) };
    },
  ),

  binaryRule('layerNorm(x, γ, β)·c = layerNorm(x, γ·c, β·c)', ['multiply'], (a, b) => {
    if (a.kind !== 'view' || b.kind !== 'known' || a.source.kind !== 'layerNorm') return null;
    if (uniformTerm(b) !== undefined && sizeOf(b.shape) === 1) return null;
    const vector = columnVector(a, b.value);
    if (vector === null) return null;
    const { x, epsilon, gamma, beta, name } = a.source;
    const times = (own: Reals | null): Reals =>
      own === null
        ? vector
        : computedReals(own.length, () => vector.read().map((value, i) => value * own.read()[i]!));
    const source = layerNormSource(x, epsilon, times(gamma), beta && times(beta), name);
    return { ...a, source };
  }),

  binaryRule(
    'x·c and x/c with one number c: a factor, for what reads x',
    ['multiply', 'divide'],
    (a, b, _context, node) => {
      const factor = uniformTerm(b);
      if (a.kind !== 'view' || factor === undefined || factor === 0) return null;
      if (!keepsShape(a.shape, b.shape)) return null;
      const by = node.attrs.function === 'divide' ? 1 / factor : factor;
      return {
        ...a,
        shape: padded(a, b.shape),
        strides: paddedStrides(a, b.shape),
        factor: a.factor * by,
      };
    },
  ),

  binaryRule(
    'x + 0 = x·1 = x',
    ['add', 'subtract', 'multiply', 'divide'],
    (a, b, _context, node) => {
      const neutral = ['add', 'subtract'].includes(node.attrs.function) ? 0 : 1;
      const isKept = a.kind !== 'known' && a.kind !== 'unsupported' && keepsShape(a.shape, b.shape);
      return isKept && a.shape.length >= b.shape.length && uniformTerm(b) === neutral ? a : null;
    },
  ),

  binaryRule('x + y = add(x, y)', ['add'], (a, b, context) => {
    const x = matrixTerm(a, context);
    const y = matrixTerm(b, context);
    if (x === null || y === null || x.rows !== y.rows || x.columns !== y.columns) return null;
    const shape = broadcastShapes(a.shape, b.shape);
    if (shape === null || sizeOf(shape) !== sizeOf(a.shape)) return null;
    return made(addSource(x, y, context.layer), shape);
  }),

  rule('a cast of an activation to another float = x', ['cast'], (node, [x]) =>
    node.attrs.to !== 'float' || x === undefined || notActivations.has(x.kind) ? null : x,
  ),
];

const notActivations = new Set(['known', 'ids', 'oneHotIds', 'shiftedIds', 'unsupported']);

/** A constant as our linear stores it, from (inputs, outputs). */
function transposedWeight(value: Value, inputs: number, outputs: number): WeightMatrix {
  const transposed = <T extends NumberArray>(data: ArrayLike<number>, result: T): T => {
    for (let row = 0; row < inputs; row++) {
      for (let column = 0; column < outputs; column++) {
        result[column * inputs + row] = data[row * outputs + column]!;
      }
    }
    return result;
  };
  return {
    ...{ outputs, inputs, length: inputs * outputs, name: value.name },
    read: () => transposed(value.read(), new Float32Array(inputs * outputs)),
    codes: codesOf(value, outputs, (data) => transposed(data, new Int8Array(inputs * outputs))),
  };
}

/** Where they are int8 around 0, with one scale or one an output. */
function codesOf(
  { codes, shape }: Value,
  outputs: number,
  transposed: (data: ArrayLike<number>) => Int8Array,
): WeightCodes | undefined {
  if (codes === undefined) return undefined;
  const { scales, zeroPoints, axis } = codes;
  const data = codes.codes.read();
  const middle = data instanceof Int8Array ? 0 : data instanceof Uint8Array ? 128 : null;
  const isByOutput =
    scales.length === 1 || (scales.length === outputs && axis === shape.length - 1);
  if (middle === null || !isByOutput || !zeroPoints.every((zero) => zero === middle))
    return undefined;
  if (!scales.every((scale) => scale > 0)) return undefined;
  // Ours end at −127; a matrix with −128 is read as reals.
  if (data.some((code: number) => code - middle === -128)) return undefined;
  return {
    scales: Float64Array.from({ length: outputs }, (_, i) => scales[scales.length === 1 ? 0 : i]!),
    read: () => transposed(middle === 0 ? data : Int8Array.from(data, (code) => code - middle)),
  };
}

export function keepsShape(shape: readonly number[], other: readonly number[]): boolean {
  const both = broadcastShapes(shape, other);
  return both !== null && sizeOf(both) === sizeOf(shape);
}

function padded({ shape }: View, other: readonly number[]): readonly number[] {
  const missing = Math.max(0, other.length - shape.length);
  return [...new Array<number>(missing).fill(1), ...shape];
}

function paddedStrides({ shape, strides }: View, other: readonly number[]): View['strides'] {
  const missing = Math.max(0, other.length - shape.length);
  return [...new Array(missing).fill({ row: 0, column: 0 }), ...strides];
}

/**
 * A constant that is the same in every row, as one number a column of the view's matrix. Null: it is
 * not, or the view does not show each column once.
 */
export function columnVector(view: View, value: Value): Reals | null {
  const { source, shape } = view;
  if (value.type !== 'float' || !keepsShape(shape, value.shape)) return null;
  if (value.shape.length > shape.length) return null;
  const layout = layoutOf(view);
  if (layout === null || layout.columns.length !== source.columns) return null;
  if (new Set(layout.columns).size !== source.columns) return null;
  const strides = broadcastStrides(value.shape, shape);
  const { rowAxis } = layout;
  if (rowAxis !== null && strides[rowAxis] !== 0) return null;
  const isInOrder = layout.columns.every((column, index) => column === index);
  if (isInOrder && sizeOf(value.shape) === source.columns) return realsOf(value, source.columns);
  return computedReals(source.columns, () => {
    const data = floatsOf(value);
    const result = new Float32Array(source.columns);
    const axes = shape.map((_, axis) => axis).filter((axis) => axis !== rowAxis);
    let offsets = [0];
    for (const axis of axes) {
      const size = shape[axis]!;
      offsets = offsets.flatMap((offset) =>
        Array.from({ length: size }, (_, i) => offset + i * strides[axis]!),
      );
    }
    for (const [index, column] of layout.columns.entries()) result[column] = data[offsets[index]!]!;
    return result;
  });
}
