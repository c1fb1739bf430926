/** The meaning of every primitive op on known operands: constant folding, and masks made of ones. */
import { internalError } from '../../errors.ts';
import { binaryFunctions, unaryFunctions } from './elementwise.ts';
import type { PrimitiveNode, ReduceKind } from './graph.ts';
import { axisOf, BadNode, movementsOf, moveValue } from './movement.ts';
import {
  arrayFor,
  broadcastShapes,
  broadcastStrides,
  checkSize,
  type ElementType,
  emptyArray,
  knownValue,
  lazyValue,
  listOf,
  shapeText,
  sizeOf,
  stridedOffsets,
  stridesOf,
  type Value,
} from './value.ts';

/** The node's output; absent operands are undefined. What a node cannot mean throws `BadNode`. */
export function evaluate(node: PrimitiveNode, operands: readonly (Value | undefined)[]): Value {
  const value = evaluateElements(node, operands);
  const [first, ...others] = operands;
  const isByElement =
    elementwise.has(node.op) && others.every((one) => one === undefined || sizeOf(one.shape) === 1);
  if (first?.rowsOf === undefined || !isByElement) return value;
  // Rows of a table, element by element, are rows of the table so changed.
  const { table, firstRow } = first.rowsOf;
  return { ...value, rowsOf: { table: evaluateElements(node, [table, ...others]), firstRow } };
}

const elementwise = new Set(['unary', 'binary', 'cast', 'quantize', 'dequantize']);

function evaluateElements(node: PrimitiveNode, operands: readonly (Value | undefined)[]): Value {
  const x = (index: number): Value => {
    const value = operands[index];
    if (value === undefined) throw new BadNode(`lacks its operand ${index + 1}`);
    return value;
  };
  const movements = movementsOf(node, x(0).shape, operands.slice(1));
  if (movements !== null) {
    for (const movement of movements) {
      if (movement.kind !== 'transpose') checkSize(movement.shape, node.name);
    }
    return moveValue(x(0), movements);
  }
  switch (node.op) {
    case 'unary': {
      const { apply, type } = unaryFunctions[node.attrs.function];
      return mapped(node, type ?? x(0).type, [x(0)], ([a]) => apply(a!));
    }
    case 'binary': {
      const { apply, type } = binaryFunctions[node.attrs.function];
      const [a, b] = [x(0), x(1)];
      // The formats know integers that divide to integers.
      const isWhole = node.attrs.function === 'divide' && a.type === 'int' && b.type === 'int';
      const result = type ?? (a.type === 'float' || b.type === 'float' ? 'float' : a.type);
      return mapped(node, result, [a, b], ([left, right]) =>
        isWhole ? Math.trunc(left! / right!) : apply(left!, right!),
      );
    }
    case 'cast': {
      const { to } = node.attrs;
      if (to === x(0).type) return x(0);
      return mapped(node, to, [x(0)], ([a]) =>
        to === 'bool' ? Number(a !== 0) : to === 'int' ? Math.trunc(a!) : a!,
      );
    }
    case 'where':
      return mapped(node, x(1).type, [x(0), x(1), x(2)], ([holds, yes, no]) =>
        holds === 0 ? no! : yes!,
      );
    case 'gelu':
    case 'softmax':
    case 'layerNorm':
    case 'attentionMask':
    case 'pad':
    case 'einsum':
      throw new BadNode('is computed of constants only');
    case 'matmul':
      return multiplied(node, x(0), x(1));
    case 'tile':
      return tiled(node, x(0), listOf(x(1)));
    case 'concat':
      return joined(
        node,
        operands.map((_, index) => x(index)),
        node.attrs.axis,
      );
    case 'gather':
      return gathered(node, x(0), x(1), node.attrs.axis);
    case 'gatherElements':
      return gatheredElements(node, x(0), x(1), node.attrs.axis);
    case 'gatherNd':
      return gatheredNd(node, x(0), x(1));
    case 'reduce':
      return reduced(node.attrs.kind, node.attrs.keepAxes, x(0), operands[1]);
    case 'cumsum':
      return cumulated(x(0), axisOf(listOf(x(1))[0] ?? 0, x(0).shape.length));
    case 'range':
      return ranged(node, x(0), x(1), x(2));
    case 'shape':
      throw internalError('shapes are known without evaluation', node.name);
    case 'fill': {
      const shape = listOf(x(0));
      checkSize(shape, node.name);
      const data = emptyArray(x(1).type, sizeOf(shape)).fill(x(1).read()[0] ?? 0);
      return knownValue(x(1).type, shape, data);
    }
    case 'oneHot':
      return oneHot(node, x(0), listOf(x(1))[0] ?? 0, x(2));
    case 'triangle':
      return triangle(x(0), operands[1] === undefined ? 0 : listOf(x(1))[0]!, node.attrs.upper);
    case 'dequantize':
      return dequantized(x(0), x(1), operands[2], node.attrs.axis);
    case 'quantize':
      return quantized(node, x(0), x(1), operands[2], node.attrs.axis);
    case 'opaque':
      throw new BadNode('is not known');
    default:
      throw internalError(`${node.op} moves elements and is not evaluated`, node.name);
  }
}

function mapped(
  node: PrimitiveNode,
  type: ElementType,
  operands: readonly Value[],
  apply: (elements: readonly number[]) => number,
): Value {
  const shape = broadcastShapes(...operands.map((operand) => operand.shape));
  if (shape === null)
    throw new BadNode(`has operands that do not go together: ${shapesOf(operands)}`);
  checkSize(shape, node.name);
  return lazyValue(type, shape, () => {
    const offsets = operands.map((operand) =>
      stridedOffsets(shape, broadcastStrides(operand.shape, shape)),
    );
    const data = operands.map((operand) => operand.read());
    const result = emptyArray(type, sizeOf(shape));
    const elements = new Array<number>(operands.length).fill(0);
    for (let i = 0; i < result.length; i++) {
      for (let k = 0; k < data.length; k++) elements[k] = data[k]![offsets[k]![i]!]!;
      result[i] = apply(elements);
    }
    return result;
  });
}

export function shapesOf(operands: readonly { readonly shape: readonly number[] }[]): string {
  return operands.map(({ shape }) => `${shapeText(shape)}`).join(' ');
}

/** Products of constants: small ones only, such as the frequencies of rotary embeddings. */
const maxFoldedProducts = 2 ** 24;

function multiplied(node: PrimitiveNode, a: Value, b: Value): Value {
  const [m, k] = [a.shape.at(-2) ?? 1, a.shape.at(-1) ?? 1];
  const [k2, n] = [b.shape.at(-2) ?? 1, b.shape.at(-1) ?? 1];
  const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
  if (a.shape.length < 2 || b.shape.length < 2 || k !== k2 || batch === null) {
    throw new BadNode(`multiplies matrices that do not go together: ${shapesOf([a, b])}`);
  }
  const shape = [...batch, m, n];
  checkSize(shape, node.name);
  if (sizeOf(shape) * k > maxFoldedProducts) throw new BadNode('multiplies large constants');
  return lazyValue('float', shape, () => {
    const left = a.read();
    const right = b.read();
    const starts = (value: Value, size: number) =>
      stridedOffsets(
        batch,
        broadcastStrides(value.shape.slice(0, -2), batch).map((stride) => stride * size),
      );
    const lefts = starts(a, m * k);
    const rights = starts(b, k * n);
    const result = new Float32Array(sizeOf(shape));
    for (const [index, start] of lefts.entries()) {
      for (let row = 0; row < m; row++) {
        for (let column = 0; column < n; column++) {
          let sum = 0;
          for (let i = 0; i < k; i++) {
            sum += left[start + row * k + i]! * right[rights[index]! + i * n + column]!;
          }
          result[(index * m + row) * n + column] = sum;
        }
      }
    }
    return result;
  });
}

function tiled(node: PrimitiveNode, x: Value, repeats: readonly number[]): Value {
  if (repeats.length !== x.shape.length) throw new BadNode(`repeats ${shapeText(repeats)} times`);
  const shape = x.shape.map((size, axis) => size * repeats[axis]!);
  checkSize(shape, node.name);
  const strides = stridesOf(x.shape);
  return lazyValue(x.type, shape, () => {
    const data = x.read();
    return byIndex(x.type, shape, (index) => {
      let offset = 0;
      for (const [axis, i] of index.entries()) offset += (i % x.shape[axis]!) * strides[axis]!;
      return data[offset]!;
    });
  });
}

/** Every element from its index along each axis. */
function byIndex(
  type: ElementType,
  shape: readonly number[],
  at: (index: readonly number[]) => number,
) {
  const result = emptyArray(type, sizeOf(shape));
  const index = new Array<number>(shape.length).fill(0);
  for (let i = 0; i < result.length; i++) {
    result[i] = at(index);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis]!++;
      if (index[axis]! < shape[axis]!) break;
      index[axis] = 0;
    }
  }
  return result;
}

function joined(node: PrimitiveNode, parts: readonly Value[], attrAxis: number): Value {
  const [first] = parts;
  if (first === undefined) throw new BadNode('joins nothing');
  const axis = axisOf(attrAxis, first.shape.length);
  const fits = parts.every(({ shape }) =>
    shape.every((size, i) => i === axis || size === first.shape[i]),
  );
  if (!fits) throw new BadNode(`joins parts that do not go together: ${shapesOf(parts)}`);
  const total = parts.reduce((sum, { shape }) => sum + (shape[axis] ?? 0), 0);
  const shape = first.shape.with(axis, total);
  checkSize(shape, node.name);
  const type = parts.some((part) => part.type === 'float') ? 'float' : first.type;
  return lazyValue(type, shape, () => {
    const outer = sizeOf(shape.slice(0, axis));
    const inner = sizeOf(shape.slice(axis + 1));
    const result = emptyArray(type, sizeOf(shape));
    let start = 0;
    for (const part of parts) {
      const data = part.read();
      const run = part.shape[axis]! * inner;
      for (let i = 0; i < outer; i++) {
        result.set(data.subarray(i * run, (i + 1) * run), i * total * inner + start);
      }
      start += run;
    }
    return result;
  });
}

function gathered(node: PrimitiveNode, x: Value, indices: Value, attrAxis: number): Value {
  const axis = axisOf(attrAxis, x.shape.length);
  const size = x.shape[axis]!;
  const shape = x.shape.toSpliced(axis, 1, ...indices.shape);
  checkSize(shape, node.name);
  const list = listOf(indices).map((index) => (index < 0 ? index + size : index));
  if (!list.every((index) => index >= 0 && index < size))
    throw new BadNode('takes what is not there');
  return lazyValue(x.type, shape, () => {
    const data = x.read();
    const outer = sizeOf(x.shape.slice(0, axis));
    const inner = sizeOf(x.shape.slice(axis + 1));
    const result = emptyArray(x.type, sizeOf(shape));
    for (let i = 0; i < outer; i++) {
      for (const [to, index] of list.entries()) {
        const from = (i * size + index) * inner;
        result.set(data.subarray(from, from + inner), (i * list.length + to) * inner);
      }
    }
    return result;
  });
}

function gatheredElements(node: PrimitiveNode, x: Value, indices: Value, attrAxis: number): Value {
  const axis = axisOf(attrAxis, x.shape.length);
  const { shape } = indices;
  checkSize(shape, node.name);
  if (shape.length !== x.shape.length) throw new BadNode(`has operands ${shapesOf([x, indices])}`);
  return lazyValue(x.type, shape, () => {
    const data = x.read();
    const strides = stridesOf(x.shape);
    const own = stridesOf(shape);
    const list = indices.read();
    return byIndex(x.type, shape, (index) => {
      let offset = 0;
      let position = 0;
      for (const [i, value] of index.entries()) {
        position += value * own[i]!;
        offset += i === axis ? 0 : value * strides[i]!;
      }
      const chosen = list[position]!;
      const element =
        data[offset + (chosen < 0 ? chosen + x.shape[axis]! : chosen) * strides[axis]!];
      if (element === undefined) throw new BadNode('takes what is not there');
      return element;
    });
  });
}

function gatheredNd(node: PrimitiveNode, x: Value, indices: Value): Value {
  const depth = indices.shape.at(-1) ?? 0;
  const tail = x.shape.slice(depth);
  const shape = [...indices.shape.slice(0, -1), ...tail];
  if (depth < 1 || depth > x.shape.length)
    throw new BadNode(`has operands ${shapesOf([x, indices])}`);
  checkSize(shape, node.name);
  return lazyValue(x.type, shape, () => {
    const data = x.read();
    const list = indices.read();
    const strides = stridesOf(x.shape);
    const run = sizeOf(tail);
    const result = emptyArray(x.type, sizeOf(shape));
    for (let i = 0; i * depth < list.length; i++) {
      let offset = 0;
      for (let axis = 0; axis < depth; axis++) {
        const index = list[i * depth + axis]!;
        const positive = index < 0 ? index + x.shape[axis]! : index;
        if (!(positive >= 0 && positive < x.shape[axis]!))
          throw new BadNode('takes what is not there');
        offset += positive * strides[axis]!;
      }
      result.set(data.subarray(offset, offset + run), i * run);
    }
    return result;
  });
}

export function reducedAxes(rank: number, axes: Value | undefined): number[] {
  const list = axes === undefined ? [] : listOf(axes);
  if (list.length === 0) return Array.from({ length: rank }, (_, axis) => axis);
  return list.map((axis) => axisOf(axis, rank));
}

export function reducedShape(
  shape: readonly number[],
  axes: readonly number[],
  keepAxes: boolean,
): number[] {
  return keepAxes
    ? shape.map((size, axis) => (axes.includes(axis) ? 1 : size))
    : shape.filter((_, axis) => !axes.includes(axis));
}

function reduced(
  kind: ReduceKind,
  keepAxes: boolean,
  x: Value,
  axesValue: Value | undefined,
): Value {
  const axes = reducedAxes(x.shape.length, axesValue);
  const kept = reducedShape(x.shape, axes, true);
  return lazyValue(x.type, reducedShape(x.shape, axes, keepAxes), () => {
    const data = x.read();
    const strides = stridesOf(kept).map((stride, axis) => (axes.includes(axis) ? 0 : stride));
    const targets = stridedOffsets(x.shape, strides);
    const begin = { sum: 0, mean: 0, product: 1, max: -Infinity, min: Infinity }[kind];
    const result = new Float64Array(sizeOf(kept)).fill(begin);
    const count = sizeOf(x.shape) / Math.max(1, result.length);
    for (let i = 0; i < data.length; i++) {
      const target = targets[i]!;
      result[target] = combine[kind](result[target]!, data[i]!);
    }
    return arrayFor(x.type, kind === 'mean' ? result.map((sum) => sum / count) : result);
  });
}

const combine: Readonly<Record<ReduceKind, (a: number, b: number) => number>> = {
  sum: (a, b) => a + b,
  mean: (a, b) => a + b,
  product: (a, b) => a * b,
  max: Math.max,
  min: Math.min,
};

function cumulated(x: Value, axis: number): Value {
  return lazyValue(x.type, x.shape, () => {
    const result = x.read().slice();
    const inner = sizeOf(x.shape.slice(axis + 1));
    const size = x.shape[axis] ?? 1;
    for (let i = 0; i < result.length; i++) {
      if (Math.floor(i / inner) % size !== 0) result[i] = result[i]! + result[i - inner]!;
    }
    return result;
  });
}

function ranged(node: PrimitiveNode, start: Value, limit: Value, step: Value): Value {
  const [first, end, delta] = [start, limit, step].map(
    (value) => value.read()[0] ?? Number.NaN,
  ) as [number, number, number];
  const count = Math.max(0, Math.ceil((end - first) / delta));
  if (!Number.isSafeInteger(count)) throw new BadNode(`counts from ${first} to ${end} by ${delta}`);
  checkSize([count], node.name);
  const elements = Array.from({ length: count }, (_, i) => first + i * delta);
  return knownValue(start.type, [count], arrayFor(start.type, elements));
}

function oneHot(node: PrimitiveNode, indices: Value, depth: number, values: Value): Value {
  const [off, on] = listOf(values) as [number, number];
  const shape = [...indices.shape, depth];
  checkSize(shape, node.name);
  const list = listOf(indices);
  return lazyValue(values.type, shape, () => {
    const result = emptyArray(values.type, sizeOf(shape)).fill(off);
    for (const [i, index] of list.entries()) {
      if (index >= 0 && index < depth) result[i * depth + index] = on;
    }
    return result;
  });
}

function triangle(x: Value, k: number, upper: boolean): Value {
  const [rows, columns] = [x.shape.at(-2) ?? 1, x.shape.at(-1) ?? 1];
  return lazyValue(x.type, x.shape, () => {
    const result = x.read().slice();
    for (let i = 0; i < result.length; i++) {
      const column = i % columns;
      const row = Math.floor(i / columns) % rows;
      if (upper ? column - row < k : column - row > k) result[i] = 0;
    }
    return result;
  });
}

/** Codes of the integer type that the zero point has; uint8 without one. */
function quantized(
  node: PrimitiveNode,
  x: Value,
  scale: Value,
  zeroPoint: Value | undefined,
  attrAxis: number,
): Value {
  const zeros = zeroPoint?.read() ?? new Uint8Array(1);
  const limits = [Int8Array, Uint8Array, Int16Array, Uint16Array, Int32Array].find(
    (Type) => zeros instanceof Type,
  );
  if (limits === undefined)
    throw new BadNode('has a zero point that is no integer of 8 to 32 bits');
  const bits = limits.BYTES_PER_ELEMENT * 8;
  const isSigned = limits.name.startsWith('Int');
  const [low, high] = isSigned ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1];
  const along = (value: Value): Value =>
    value.shape.length !== 1 || value.shape[0] === 1
      ? value
      : {
          ...value,
          shape: x.shape.map((_, axis) =>
            axis === axisOf(attrAxis, x.shape.length) ? value.shape[0]! : 1,
          ),
        };
  const zero = zeroPoint === undefined ? knownValue('int', [], zeros) : zeroPoint;
  const codes = mapped(node, 'int', [x, along(scale), along(zero)], ([value, step, offset]) =>
    Math.min(high, Math.max(low, roundHalfEven(value! / step!) + offset!)),
  );
  return lazyValue('int', codes.shape, () => limits.from(codes.read()), { name: x.name });
}

function roundHalfEven(x: number): number {
  const rounded = Math.round(x);
  return rounded - x === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

function dequantized(
  codes: Value,
  scale: Value,
  zeroPoint: Value | undefined,
  attrAxis: number,
): Value {
  const scales = Float64Array.from(scale.read());
  const zeros = zeroPoint?.read();
  const zeroPoints = Float64Array.from(scales, (_, i) => zeros?.[i] ?? 0);
  const axis = scales.length === 1 ? 0 : axisOf(attrAxis, codes.shape.length);
  if (scales.length !== 1 && codes.shape[axis] !== scales.length) {
    throw new BadNode(`has ${scales.length} scales for ${codes.shape[axis]} rows`);
  }
  const read = () => {
    const data = codes.read();
    const inner = sizeOf(codes.shape.slice(axis + 1));
    const result = new Float32Array(data.length);
    for (let i = 0; i < data.length; i++) {
      const row = scales.length === 1 ? 0 : Math.floor(i / inner) % scales.length;
      result[i] = (data[i]! - zeroPoints[row]!) * scales[row]!;
    }
    return result;
  };
  return lazyValue('float', codes.shape, read, {
    name: codes.name,
    codes: { codes, scales, zeroPoints, axis },
  });
}
