/** Tensors whose elements are known: constants of a file, and what is computed of them. */
import { userError } from '../../errors.ts';

export type ElementType = 'float' | 'int' | 'bool';

/** Floats are Float32Array, integers mostly Float64Array (exact to 2^53), booleans Uint8Array. */
export type NumberArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array;

/** Integers that a float tensor was dequantized from: scale · (code − zero point). */
export interface Codes {
  readonly codes: Value;
  /** One, or one for each element of `axis`. */
  readonly scales: Float64Array;
  readonly zeroPoints: Float64Array;
  readonly axis: number;
}

/** Consecutive rows of a table, as position embeddings are. */
export interface RowsOfTable {
  readonly table: Value;
  readonly firstRow: number;
}

export interface Value {
  readonly type: ElementType;
  readonly shape: readonly number[];
  /** Row-major; read when asked for, once. */
  read(): NumberArray;
  /** What the user calls it, where the file names it. */
  readonly name?: string | undefined;
  readonly codes?: Codes | undefined;
  readonly rowsOf?: RowsOfTable | undefined;
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** As in messages: `[1, 7, 16]`. */
export function shapeText(shape: readonly number[]): string {
  return `[${shape.slice(0, maxShown).join(', ')}${shape.length > maxShown ? ', …' : ''}]`;
}

const maxShown = 8;

/** Elements of one computed tensor: above all that masks of 4096 tokens have. */
const maxElements = 2 ** 24;

export function checkSize(shape: readonly number[], where: string): void {
  const size = sizeOf(shape);
  if (size <= maxElements) return;
  throw userError({
    code: 'bad-model',
    message: `a constant of ${shapeText(shape)} would have ${size} elements`,
    where,
    hint: `The graph computes something far larger than a tiny model has: at most ${maxElements} elements are computed.`,
  });
}

export function lazyValue(
  type: ElementType,
  shape: readonly number[],
  read: () => NumberArray,
  more: Pick<Value, 'name' | 'codes' | 'rowsOf'> = {},
): Value {
  let data: NumberArray | undefined;
  return {
    type,
    shape,
    read: () => {
      data ??= read();
      return data;
    },
    ...more,
  };
}

export function knownValue(type: ElementType, shape: readonly number[], data: NumberArray): Value {
  return { type, shape, read: () => data };
}

/** A one-dimensional tensor of integers. */
export function integers(elements: readonly number[]): Value {
  return knownValue('int', [elements.length], Float64Array.from(elements));
}

export function scalar(type: ElementType, element: number): Value {
  return knownValue(type, [], arrayFor(type, [element]));
}

export function arrayFor(type: ElementType, elements: ArrayLike<number>): NumberArray {
  switch (type) {
    case 'float':
      return Float32Array.from(elements);
    case 'int':
      return Float64Array.from(elements);
    case 'bool':
      return Uint8Array.from(elements);
  }
}

export function emptyArray(type: ElementType, length: number): NumberArray {
  return type === 'float'
    ? new Float32Array(length)
    : type === 'int'
      ? new Float64Array(length)
      : new Uint8Array(length);
}

export function listOf(value: Value): number[] {
  return Array.from(value.read());
}

/** The one value of all elements, or undefined. */
export function uniformOf(value: Value): number | undefined {
  const data = value.read();
  const [first] = data;
  if (first === undefined) return undefined;
  return (data as Float64Array).every((element) => Object.is(element, first) || element === first)
    ? first
    : undefined;
}

/** Elements from one index to the next along each axis. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis--) {
    strides[axis] = strides[axis + 1]! * shape[axis + 1]!;
  }
  return strides;
}

/**
 * The elements of a strided view: `offsets[i]` of output element i. Strides of 0 repeat an element.
 */
export function stridedOffsets(
  shape: readonly number[],
  strides: readonly number[],
  start = 0,
): Int32Array {
  const offsets = new Int32Array(sizeOf(shape));
  const index = new Int32Array(shape.length);
  let offset = start;
  for (let i = 0; i < offsets.length; i++) {
    offsets[i] = offset;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      offset += strides[axis]!;
      index[axis]!++;
      if (index[axis]! < shape[axis]!) break;
      offset -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return offsets;
}

export function broadcastShapes(...shapes: readonly (readonly number[])[]): number[] | null {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  const result: number[] = [];
  for (let axis = 0; axis < rank; axis++) {
    let size = 1;
    for (const shape of shapes) {
      const own = shape[shape.length - rank + axis] ?? 1;
      if (own === 1) continue;
      if (size !== 1 && size !== own) return null;
      size = own;
    }
    result.push(size);
  }
  return result;
}

/** Strides with which a tensor of `shape` is read as one of `target`. */
export function broadcastStrides(shape: readonly number[], target: readonly number[]): number[] {
  const own = stridesOf(shape);
  return target.map((_, axis) => {
    const from = axis - (target.length - shape.length);
    return from < 0 || shape[from] === 1 ? 0 : own[from]!;
  });
}
