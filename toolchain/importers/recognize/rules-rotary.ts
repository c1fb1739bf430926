/**
 * Rotary positions: x·cos + (−x₂, x₁)·sin, where x₁ and x₂ are the halves of a head, and the angle of
 * column i of a half is position·theta^(−2i/width).
 */

import { axisOf } from '../primitive/movement.ts';
import { broadcastStrides, sizeOf, type Value } from '../primitive/value.ts';
import { frequencyOf, sideBySideOrder } from '../rotary.ts';
import { binaryRule, type Rule, rule, uniformTerm, viewTerm } from './rule.ts';
import { keepsShape } from './rules-linear.ts';
import { depthOf, type Source, selectOutputs } from './source.ts';
import type { Rotated } from './term.ts';
import { layoutOf, sameWindow, type View } from './view.ts';

export const rotaryRules: readonly Rule[] = [
  rule('(−x₂, x₁) of the halves of x', ['concat'], (node, operands, context) => {
    const [negated, first] = operands.map((term) => viewTerm(term, context));
    if (operands.length !== 2 || !negated || !first || negated.factor !== -first.factor)
      return null;
    const last = first.shape.length - 1;
    if (axisOf(node.attrs.axis, first.shape.length) !== last) return null;
    const width = first.shape[last]!;
    const second = { ...first, column: first.column + width };
    if (!isByColumn(first) || !sameWindow(negated, second)) return null;
    const of = { ...first, shape: [...first.shape.slice(0, -1), 2 * width] };
    return { kind: 'swappedHalves', of, shape: of.shape };
  }),

  binaryRule('x·cos and (−x₂, x₁)·sin', ['multiply'], (a, b) => {
    if (b.kind !== 'known' || (a.kind !== 'view' && a.kind !== 'swappedHalves')) return null;
    const of = a.kind === 'view' ? a : a.of;
    if (!isByPosition(of, b.value)) return null;
    const part = a.kind === 'view' ? 'cosine' : 'sine';
    return { kind: 'turning', part, of, table: b.value, shape: a.shape };
  }),

  binaryRule('x·cos + (−x₂, x₁)·sin = rotary(x)', ['add'], (a, b) => {
    if (a.kind !== 'turning' || b.kind !== 'turning') return null;
    if (a.part !== 'cosine' || b.part !== 'sine') return null;
    const { of, shape } = a;
    if (!sameWindow(of, b.of) || of.factor !== b.of.factor) return null;
    const width = of.shape.at(-1)!;
    const theta = thetaOf(a.table.read(), b.table.read(), width);
    const starts = layoutOf(of)?.columns.filter((_, index) => index % width === 0);
    if (theta === null || starts === undefined) return null;
    return { kind: 'rotated', of, theta, width, starts, shape };
  }),

  binaryRule('c·rotary(x) = rotary(c·x)', ['multiply', 'divide'], (a, b, _context, node) => {
    const factor = uniformTerm(b);
    if (a.kind !== 'rotated' || !factor || !keepsShape(a.shape, b.shape)) return null;
    if (b.shape.length > a.shape.length) return null;
    const by = node.attrs.function === 'divide' ? 1 / factor : factor;
    return { ...a, of: { ...a.of, factor: a.of.factor * by } };
  }),
];

function isByColumn({ shape, strides }: View): boolean {
  const { row, column } = strides[shape.length - 1]!;
  return row === 0 && column === 1;
}

/** A constant with a row for each row of the view's matrix, and a column for each of the last axis. */
function isByPosition(view: View, { type, shape }: Value): boolean {
  const rowAxis = layoutOf(view)?.rowAxis;
  const last = view.shape.length - 1;
  const width = view.shape[last]!;
  if (type !== 'float' || rowAxis == null || width % 2 !== 0 || !isByColumn(view)) return false;
  if (shape.length > view.shape.length || !keepsShape(view.shape, shape)) return false;
  if (sizeOf(shape) !== view.shape[rowAxis]! * width) return false;
  const strides = broadcastStrides(shape, view.shape);
  return strides[rowAxis] === width && strides[last] === 1;
}

/** Of sines and cosines of angles up to some thousand, computed in float32. */
const tolerance = 1e-3;

/** The base of which the tables' angles are; null: of none. */
function thetaOf(
  cosines: ArrayLike<number>,
  sines: ArrayLike<number>,
  width: number,
): number | null {
  const half = width / 2;
  const slowest = Math.atan2(sines[width + half - 1]!, cosines[width + half - 1]!);
  // With two columns a head there is but the angle 1, whatever the base.
  const theta = half === 1 ? 1 : shortest(slowest ** (-half / (half - 1)));
  if (!(theta > 0 && Number.isFinite(theta))) return null;
  for (let column = 0; column < width; column++) {
    const frequency = frequencyOf(theta, column % half, width);
    for (let at = column, row = 0; at < cosines.length; at += width, row++) {
      const angle = Math.fround(row * frequency);
      const isClose =
        Math.abs(cosines[at]! - Math.cos(angle)) < tolerance &&
        Math.abs(sines[at]! - Math.sin(angle)) < tolerance;
      if (!isClose) return null;
    }
  }
  return theta;
}

/** What was meant by a base that is known to seven digits or so. */
function shortest(theta: number): number {
  for (let digits = 1; digits < 7; digits++) {
    const short = Number(theta.toPrecision(digits));
    if (Math.abs(short / theta - 1) < 1e-5) return short;
  }
  return theta;
}

/**
 * Turned heads, the columns that are turned together side by side; `columns`: of the product that the
 * matrix is a part of. Null: they are not the heads that were turned.
 */
export function rotarySource(
  matrix: Source,
  columns: readonly number[],
  { starts, theta, width }: Rotated,
): Source | null {
  if (matrix.kind !== 'linear' || columns.length % width !== 0) return null;
  const areHeads = columns.every((column, index) => {
    const start = columns[index - (index % width)]!;
    return starts.includes(start) && column === start + (index % width);
  });
  if (!areHeads) return null;
  const x = selectOutputs(matrix, sideBySideOrder(columns.length, width), 1);
  const { rows, name } = matrix;
  const depth = depthOf(x);
  return {
    kind: 'rotary',
    x,
    theta,
    width,
    rows,
    columns: x.columns,
    name: `${name}.rotary`,
    depth,
  };
}
