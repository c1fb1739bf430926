/**
 * Ops that only move elements, whichever tensor they move: reshapes, transpositions, windows and
 * repetitions. Each is resolved against the shape of its operand to a few `Movement`s, which both
 * known values and views of activations can follow.
 */
import type { PrimitiveNode } from './graph.ts';
import {
  lazyValue,
  listOf,
  shapeText,
  sizeOf,
  stridedOffsets,
  stridesOf,
  type Value,
} from './value.ts';

export type Movement =
  | { readonly kind: 'reshape'; readonly shape: readonly number[] }
  | { readonly kind: 'transpose'; readonly order: readonly number[] }
  /** Element i of the result along an axis is element start + step · i. */
  | {
      readonly kind: 'window';
      readonly starts: readonly number[];
      readonly steps: readonly number[];
      readonly shape: readonly number[];
    }
  /** Axes of size 1 are repeated. */
  | { readonly kind: 'expand'; readonly shape: readonly number[] };

/** A node that cannot be resolved: what is wrong with it. */
export class BadNode extends Error {}

export function axisOf(axis: number, rank: number): number {
  const positive = axis < 0 ? axis + rank : axis;
  if (Number.isInteger(positive) && positive >= 0 && positive < Math.max(1, rank)) return positive;
  throw new BadNode(`has axis ${axis} of a tensor of ${rank} axes`);
}

/** Null: the node moves no elements. `operands`: the known ones, from the second on. */
export function movementsOf(
  node: PrimitiveNode,
  shape: readonly number[],
  operands: readonly (Value | undefined)[],
): readonly Movement[] | null {
  const list = (index: number): number[] | undefined => {
    const value = operands[index];
    return value === undefined ? undefined : listOf(value);
  };
  switch (node.op) {
    case 'identity':
      return [];
    case 'transpose': {
      const order = node.attrs.order ?? list(0) ?? shape.map((_, axis) => shape.length - 1 - axis);
      const axes = order.map((axis) => axisOf(axis, shape.length));
      if (new Set(axes).size !== shape.length || axes.length !== shape.length) {
        throw new BadNode(`orders the axes of ${shapeText(shape)} as ${shapeText(order)}`);
      }
      return [{ kind: 'transpose', order: axes }];
    }
    case 'swapLastAxes': {
      const order = shape.map((_, axis) => axis);
      if (order.length < 2) throw new BadNode('swaps the last axes of a vector');
      return [{ kind: 'transpose', order: [...order.slice(0, -2), order.at(-1)!, order.at(-2)!] }];
    }
    case 'reshape':
      return [
        { kind: 'reshape', shape: resolveReshape(shape, list(0) ?? [], node.attrs.zeroCopies) },
      ];
    case 'flatten': {
      const rank = shape.length;
      const axis = node.attrs.axis === rank ? rank : axisOf(node.attrs.axis, rank);
      const parts = [sizeOf(shape.slice(0, axis)), sizeOf(shape.slice(axis))];
      return [{ kind: 'reshape', shape: parts }];
    }
    case 'squeeze': {
      const axes = list(0)?.map((axis) => axisOf(axis, shape.length));
      const isGone = (axis: number) =>
        axes === undefined ? shape[axis] === 1 : axes.includes(axis);
      if (axes?.some((axis) => shape[axis] !== 1))
        throw new BadNode('squeezes an axis not of size 1');
      return [{ kind: 'reshape', shape: shape.filter((_, axis) => !isGone(axis)) }];
    }
    case 'unsqueeze': {
      const axes = list(0) ?? [];
      const rank = shape.length + axes.length;
      const added = new Set(axes.map((axis) => axisOf(axis, rank)));
      if (added.size !== axes.length) throw new BadNode('adds an axis twice');
      const kept = [...shape];
      const wide = Array.from({ length: rank }, (_, axis) => (added.has(axis) ? 1 : kept.shift()!));
      return [{ kind: 'reshape', shape: wide }];
    }
    case 'expand':
      return expansion(shape, list(0) ?? []);
    case 'tile': {
      const repeats = list(0) ?? [];
      const isExpansion = repeats.every((count, axis) => count === 1 || shape[axis] === 1);
      if (repeats.length !== shape.length || !isExpansion) return null;
      return [{ kind: 'expand', shape: shape.map((size, axis) => size * repeats[axis]!) }];
    }
    case 'split':
      return [splitWindow(node.attrs, shape, list(0))];
    case 'slice':
      return [sliceWindow(shape, list(0) ?? [], list(1) ?? [], list(2), list(3))];
    case 'stridedSlice':
      return stridedSlice(node.attrs, shape, list(0) ?? [], list(1) ?? [], list(2));
    case 'gather': {
      const indices = operands[0];
      return indices === undefined ? null : gatherWindow(shape, node.attrs.axis, indices);
    }
    default:
      return null;
  }
}

function resolveReshape(
  shape: readonly number[],
  wanted: readonly number[],
  zeroCopies: boolean,
): number[] {
  const target = wanted.map((size, axis) => (size === 0 && zeroCopies ? (shape[axis] ?? 0) : size));
  const rest = target.indexOf(-1);
  const size = sizeOf(shape);
  if (rest >= 0) {
    const others = sizeOf(target.toSpliced(rest, 1));
    target[rest] = others === 0 ? 0 : size / others;
  }
  if (sizeOf(target) !== size || !target.every((one) => Number.isInteger(one) && one >= 0)) {
    throw new BadNode(`makes ${shapeText(wanted)} of ${shapeText(shape)}`);
  }
  return target;
}

function expansion(shape: readonly number[], wanted: readonly number[]): Movement[] {
  const rank = Math.max(shape.length, wanted.length);
  const padded = [...new Array<number>(rank - shape.length).fill(1), ...shape];
  const target = padded.map((size, axis) => {
    const other = wanted[axis - (rank - wanted.length)] ?? 1;
    if (size !== 1 && other !== 1 && other !== -1 && other !== size) {
      throw new BadNode(`expands ${shapeText(shape)} to ${shapeText(wanted)}`);
    }
    return size === 1 && other !== -1 ? other : size;
  });
  return [
    { kind: 'reshape', shape: padded },
    { kind: 'expand', shape: target },
  ];
}

function wholeWindow(shape: readonly number[]) {
  return { starts: shape.map(() => 0), steps: shape.map(() => 1), shape: [...shape] };
}

function splitWindow(
  attrs: { readonly axis: number; readonly index: number; readonly count: number },
  shape: readonly number[],
  sizes: readonly number[] | undefined,
): Movement {
  const axis = axisOf(attrs.axis, shape.length);
  const equal = Math.ceil(shape[axis]! / attrs.count);
  const start =
    sizes === undefined
      ? equal * attrs.index
      : sizes.slice(0, attrs.index).reduce((sum, size) => sum + size, 0);
  const size =
    sizes === undefined ? Math.min(equal, shape[axis]! - start) : (sizes[attrs.index] ?? -1);
  if (!(size >= 0 && start + size <= shape[axis]!)) {
    throw new BadNode(`splits ${shape[axis]} elements into more than there are`);
  }
  const window = wholeWindow(shape);
  window.starts[axis] = start;
  window.shape[axis] = size;
  return { kind: 'window', ...window };
}

/** Start, step and number of `x[start:end:step]` along an axis of `size`, as Python counts. */
function pythonSlice(start: number, end: number, step: number, size: number) {
  if (!Number.isInteger(step) || step === 0) throw new BadNode(`has the step ${step}`);
  const clip = (position: number) => {
    const from = position < 0 ? position + size : position;
    return step > 0 ? Math.min(Math.max(from, 0), size) : Math.min(Math.max(from, -1), size - 1);
  };
  const first = clip(start);
  const count = Math.max(0, Math.ceil((clip(end) - first) / step));
  return { first, count };
}

function sliceWindow(
  shape: readonly number[],
  starts: readonly number[],
  ends: readonly number[],
  axes: readonly number[] | undefined,
  steps: readonly number[] | undefined,
): Movement {
  const window = wholeWindow(shape);
  for (const [index, start] of starts.entries()) {
    const axis = axisOf(axes?.[index] ?? index, shape.length);
    const step = steps?.[index] ?? 1;
    const { first, count } = pythonSlice(start, ends[index] ?? 0, step, shape[axis]!);
    window.starts[axis] = first;
    window.steps[axis] = step;
    window.shape[axis] = count;
  }
  return { kind: 'window', ...window };
}

function stridedSlice(
  attrs: Extract<PrimitiveNode, { op: 'stridedSlice' }>['attrs'],
  shape: readonly number[],
  begin: readonly number[],
  end: readonly number[],
  strides: readonly number[] | undefined,
): Movement[] {
  const has = (mask: number, position: number) => ((mask >> position) & 1) === 1;
  const window = wholeWindow(shape);
  const result: number[] = [];
  let axis = 0;
  const positions = begin.length;
  const isNew = (position: number) => has(attrs.newAxisMask, position);
  for (let position = 0; position < positions; position++) {
    if (has(attrs.ellipsisMask, position)) {
      let later = 0;
      for (let i = position + 1; i < positions; i++) if (!isNew(i)) later++;
      while (axis < shape.length - later) result.push(shape[axis++]!);
    } else if (isNew(position)) {
      result.push(1);
    } else {
      if (axis >= shape.length) throw new BadNode(`slices more axes than ${shapeText(shape)} has`);
      const size = shape[axis]!;
      const step = strides?.[position] ?? 1;
      if (has(attrs.shrinkAxisMask, position)) {
        const index = begin[position]! < 0 ? begin[position]! + size : begin[position]!;
        if (!(index >= 0 && index < size)) throw new BadNode(`takes element ${index} of ${size}`);
        window.starts[axis] = index;
        window.shape[axis] = 1;
      } else {
        const from = has(attrs.beginMask, position) ? (step > 0 ? 0 : size - 1) : begin[position]!;
        const to = has(attrs.endMask, position) ? (step > 0 ? size : -size - 1) : end[position]!;
        const { first, count } = pythonSlice(from, to, step, size);
        window.starts[axis] = first;
        window.steps[axis] = step;
        window.shape[axis] = count;
        result.push(count);
      }
      axis++;
    }
  }
  while (axis < shape.length) result.push(shape[axis++]!);
  return [
    { kind: 'window', ...window },
    { kind: 'reshape', shape: result },
  ];
}

/** Evenly spaced indices are a window. */
function gatherWindow(
  shape: readonly number[],
  attrAxis: number,
  indices: Value,
): readonly Movement[] | null {
  const axis = axisOf(attrAxis, shape.length);
  const size = shape[axis]!;
  const list = listOf(indices).map((index) => (index < 0 ? index + size : index));
  const outside = list.find((index) => !(index >= 0 && index < size));
  if (outside !== undefined) throw new BadNode(`takes element ${outside} of ${size}`);
  const step = list.length > 1 ? list[1]! - list[0]! : 1;
  if (list.length === 0 || !list.every((index, i) => index === list[0]! + i * step)) return null;
  const window = wholeWindow(shape);
  window.starts[axis] = list[0]!;
  window.steps[axis] = step;
  window.shape[axis] = list.length;
  return [
    { kind: 'window', ...window },
    { kind: 'reshape', shape: shape.toSpliced(axis, 1, ...indices.shape) },
  ];
}

/** A known value moved; nothing is read before the result is. */
export function moveValue(value: Value, movements: readonly Movement[]): Value {
  return movements.reduce(moveOnce, value);
}

function moveOnce(value: Value, movement: Movement): Value {
  const { type, shape, rowsOf, name } = value;
  switch (movement.kind) {
    case 'reshape':
      // Not more than another look: what is known of the elements stays.
      return lazyValue(type, movement.shape, () => value.read(), {
        name,
        rowsOf,
        codes: sameMatrix(shape, movement.shape) ? value.codes : undefined,
      });
    case 'transpose': {
      const strides = stridesOf(shape);
      const moved = movement.order.map((axis) => strides[axis]!);
      const size = movement.order.map((axis) => shape[axis]!);
      const { codes } = value;
      return lazyValue(type, size, () => pick(value, size, moved, 0), {
        name,
        ...(codes === undefined
          ? {}
          : {
              codes: {
                ...codes,
                codes: moveOnce(codes.codes, movement),
                axis: movement.order.indexOf(codes.axis),
              },
            }),
      });
    }
    case 'window': {
      if (movement.shape.every((size, axis) => size === shape[axis])) {
        if (movement.steps.every((step) => step === 1)) return value;
      }
      const strides = stridesOf(shape);
      const start = movement.starts.reduce((sum, first, axis) => sum + first * strides[axis]!, 0);
      const moved = movement.steps.map((step, axis) => step * strides[axis]!);
      const read = () => pick(value, movement.shape, moved, start);
      return lazyValue(type, movement.shape, read, { name, rowsOf: rowsOfWindow(value, movement) });
    }
    case 'expand': {
      const strides = stridesOf(shape).map((stride, axis) => (shape[axis] === 1 ? 0 : stride));
      const isSame = sizeOf(movement.shape) === sizeOf(shape);
      return lazyValue(type, movement.shape, () => pick(value, movement.shape, strides, 0), {
        name,
        rowsOf: isSame ? rowsOf : undefined,
      });
    }
  }
}

function sameMatrix(a: readonly number[], b: readonly number[]): boolean {
  return a.join() === b.join();
}

/** Consecutive rows of a matrix (of leading axes of size 1). */
function rowsOfWindow(
  value: Value,
  { starts, steps, shape }: Extract<Movement, { kind: 'window' }>,
): Value['rowsOf'] {
  const rank = value.shape.length;
  const axis = rank - 2;
  if (axis < 0 || value.type === 'bool') return undefined;
  const isRows = shape.every((size, i) => i === axis || size === value.shape[i]);
  const isMatrix = sizeOf(value.shape.slice(0, axis)) === 1;
  if (!isRows || !isMatrix || steps[axis] !== 1) return undefined;
  const origin = value.rowsOf ?? { table: value, firstRow: 0 };
  return { table: origin.table, firstRow: origin.firstRow + starts[axis]! };
}

function pick(value: Value, shape: readonly number[], strides: readonly number[], start: number) {
  const source = value.read();
  const offsets = stridedOffsets(shape, strides, start);
  const Type = source.constructor as new (length: number) => typeof source;
  const result = new Type(offsets.length);
  for (let i = 0; i < offsets.length; i++) result[i] = source[offsets[i]!]!;
  return result;
}
