/**
 * A tensor of any rank as a strided window on a matrix of activations: what reshapes and
 * transpositions of heads leave of it. Element i of the tensor is
 *
 *   factor · source[row + Σ i_k·strides_k.row][column + Σ i_k·strides_k.column]
 */
import type { Movement } from '../primitive/movement.ts';
import { sizeOf } from '../primitive/value.ts';
import { depthOf, type Source, selectOutputs } from './source.ts';

export interface Stride {
  readonly row: number;
  readonly column: number;
}

export interface View {
  readonly kind: 'view';
  readonly shape: readonly number[];
  readonly source: Source;
  readonly strides: readonly Stride[];
  readonly row: number;
  readonly column: number;
  readonly factor: number;
}

const still: Stride = { row: 0, column: 0 };

/** The matrix as (…, rows, columns), or (…, columns) of one row; further axes have size 1. */
export function wholeView(source: Source, shape: readonly number[]): View {
  const last = shape.length - 1;
  const rowAxis = source.rows === 1 ? -1 : shape.slice(0, last).findLastIndex((size) => size > 1);
  const strides = shape.map((_, axis) =>
    axis === last ? { row: 0, column: 1 } : axis === rowAxis ? { row: 1, column: 0 } : still,
  );
  return { kind: 'view', shape, source, strides, row: 0, column: 0, factor: 1 };
}

export function sameWindow(a: View, b: View): boolean {
  return (
    a.source === b.source &&
    a.row === b.row &&
    a.column === b.column &&
    significantAxes(a).join(';') === significantAxes(b).join(';')
  );
}

function significantAxes({ shape, strides }: View): string[] {
  return shape.flatMap((size, axis) =>
    size === 1 ? [] : [`${size},${strides[axis]!.row},${strides[axis]!.column}`],
  );
}

/** Null: the moved elements are no window of the matrix any more. */
export function moveView(view: View, movements: readonly Movement[]): View | null {
  let current: View | null = view;
  for (const movement of movements) {
    if (current === null) return null;
    current = moveOnce(current, movement);
  }
  return current;
}

function moveOnce(view: View, movement: Movement): View | null {
  const { shape, strides } = view;
  switch (movement.kind) {
    case 'reshape':
      return reshapeView(view, movement.shape);
    case 'transpose':
      return {
        ...view,
        shape: movement.order.map((axis) => shape[axis]!),
        strides: movement.order.map((axis) => strides[axis]!),
      };
    case 'window': {
      let { row, column } = view;
      for (const [axis, start] of movement.starts.entries()) {
        row += start * strides[axis]!.row;
        column += start * strides[axis]!.column;
      }
      const steps = strides.map((stride, axis) => scaled(stride, movement.steps[axis]!));
      return { ...view, shape: movement.shape, strides: steps, row, column };
    }
    case 'expand':
      return {
        ...view,
        shape: movement.shape,
        strides: strides.map((stride, axis) => (shape[axis] === 1 ? still : stride)),
      };
  }
}

function scaled({ row, column }: Stride, by: number): Stride {
  return { row: row * by, column: column * by };
}

interface Axis {
  readonly size: number;
  readonly stride: Stride;
}

/** Axes are joined where their strides allow it, and split at will. */
function reshapeView(view: View, target: readonly number[]): View | null {
  const axes: Axis[] = [];
  for (const [axis, size] of view.shape.entries()) {
    if (size !== 1) axes.push({ size, stride: view.strides[axis]! });
  }
  const strides: Stride[] = new Array<Stride>(target.length).fill(still);
  let next = 0;
  let available: Axis = { size: 1, stride: still };
  // From the last axis on: `available` is what is left of the axes joined so far.
  axes.reverse();
  for (let axis = target.length - 1; axis >= 0; axis--) {
    const wanted = target[axis]!;
    if (wanted === 1) continue;
    let joined: Axis = available.size === 1 ? (axes[next++] ?? available) : available;
    while (joined.size < wanted || joined.size % wanted !== 0) {
      const outer = axes[next++];
      if (outer === undefined || !continues(outer, joined)) return null;
      joined = { size: joined.size * outer.size, stride: joined.stride };
    }
    strides[axis] = joined.stride;
    available = { size: joined.size / wanted, stride: scaled(joined.stride, wanted) };
  }
  if (available.size !== 1 || next < axes.length) return null;
  return { ...view, shape: target, strides };
}

function continues(outer: Axis, inner: Axis): boolean {
  const next = scaled(inner.stride, inner.size);
  return outer.stride.row === next.row && outer.stride.column === next.column;
}

/** Which axis goes over the rows, and the columns in the order of the other axes. */
export interface Layout {
  /** Null: one row. */
  readonly rowAxis: number | null;
  readonly columns: readonly number[];
}

export function layoutOf(view: View): Layout | null {
  const { shape, strides, source } = view;
  let rowAxis: number | null = null;
  let columns = [view.column];
  for (const [axis, size] of shape.entries()) {
    const { row, column } = strides[axis]!;
    if (size === 1) continue;
    if (row === 0 && column !== 0) {
      const list: number[] = [];
      if (columns.length * size > source.columns) return null;
      for (const start of columns) for (let i = 0; i < size; i++) list.push(start + i * column);
      columns = list;
    } else if (row === 1 && column === 0 && rowAxis === null && view.row === 0) rowAxis = axis;
    else return null;
  }
  const isInside = columns.every((column) => column >= 0 && column < source.columns);
  return isInside ? { rowAxis, columns } : null;
}

/** A factor of a product is one of its weights. */
export function withFactorInside(view: View): View {
  const { source, factor } = view;
  if (factor === 1 || source.kind !== 'linear') return view;
  const all = Array.from({ length: source.columns }, (_, column) => column);
  const scaled = cached(source, `times ${factor}`, () => selectOutputs(source, all, factor));
  return { ...view, source: scaled, factor: 1 };
}

const knownMatrices = new WeakMap<Source, Map<string, Source>>();

/**
 * The matrix that the view is, for an op that reads matrices: rows before columns. Other columns than
 * all in their order are made by another linear; one row is selected. Null: our ops cannot make it.
 */
export function matrixOf(view: View, tokens: number): Source | null {
  const layout = layoutOf(view);
  if (layout === null) return null;
  const { rowAxis, columns } = layout;
  if (rowAxis !== null) {
    if (view.shape[rowAxis] !== tokens || sizeOf(view.shape.slice(0, rowAxis)) !== 1) return null;
  }
  const chosen = selectColumns(view, columns);
  if (chosen === null || rowAxis !== null || view.source.rows === 1) return chosen;
  const which = view.row === 0 ? 'first' : view.row === tokens - 1 ? 'last' : null;
  if (which === null) return null;
  return cached(chosen, `row ${which}`, () => ({
    kind: 'selectRow',
    x: chosen,
    which,
    rows: 1,
    columns: chosen.columns,
    name: `${chosen.name}.${which}`,
    depth: depthOf(chosen),
  }));
}

function selectColumns({ source, factor }: View, columns: readonly number[]): Source | null {
  const isWhole =
    columns.length === source.columns && columns.every((column, index) => column === index);
  if (isWhole && factor === 1) return source;
  const key = `${factor}: ${isWhole ? 'all' : columns.join()}`;
  if (source.kind === 'linear') {
    return cached(source, key, () => selectOutputs(source, columns, factor));
  }
  return null;
}

/** The same part of the same matrix is one matrix. */
function cached(source: Source, key: string, make: () => Source): Source {
  const known = knownMatrices.get(source) ?? new Map<string, Source>();
  knownMatrices.set(source, known);
  const result = known.get(key) ?? make();
  known.set(key, result);
  return result;
}
