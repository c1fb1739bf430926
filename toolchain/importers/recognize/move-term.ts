/** Reshapes, transpositions and windows of what is no constant. */
import type { Movement } from '../primitive/movement.ts';
import type { Term } from './term.ts';
import { moveView } from './view.ts';

/** Null: what the moved tensor is cannot be said. */
export function moveTerm(term: Term, movements: readonly Movement[]): Term | null {
  switch (term.kind) {
    case 'view':
      return moveView(term, movements);
    case 'pointwise':
    case 'rotated':
    case 'centered':
    case 'centeredSquare': {
      const of = moveView(term.of, movements);
      return of === null ? null : { ...term, of, shape: of.shape };
    }
    case 'finished': {
      const of = moveView(term.of, movements);
      return of === null ? null : { ...term, of, shape: of.shape };
    }
    case 'scores': {
      // (k·qᵀ)ᵀ = q·kᵀ
      const [movement, ...more] = movements;
      if (movement === undefined || !swapsLastAxes(movement)) return moveUnitAxes(term, movements);
      if (term.causal) return null;
      const shape = movement.order.map((axis) => term.shape[axis]!);
      return moveTerm({ ...term, q: term.k, k: term.q, shape }, more);
    }
    case 'attentionWeights': {
      if (!term.keysFirst) return moveUnitAxes(term, movements);
      const [movement, ...more] = movements;
      if (movement === undefined) return term;
      const swapped = movement.kind === 'transpose' ? wideAxesSwapped(term.shape, movement) : null;
      if (swapped !== null) return moveTerm({ ...term, shape: swapped, keysFirst: false }, more);
      const shape = unitAxesMoved(term.shape, movement);
      return shape === null ? null : moveTerm({ ...term, shape }, more);
    }
    case 'length':
    case 'statistic': {
      // One number a row, however often it is repeated along the row.
      const shape = movements.reduce<readonly number[] | null>(
        (current, movement) =>
          current === null
            ? null
            : movement.kind === 'expand'
              ? movement.shape
              : unitAxesMoved(current, movement),
        term.shape,
      );
      return shape === null ? null : { ...term, shape };
    }
    default:
      return moveUnitAxes(term, movements);
  }
}

function swapsLastAxes(
  movement: Movement,
): movement is Extract<Movement, { readonly kind: 'transpose' }> {
  if (movement.kind !== 'transpose') return false;
  const { order } = movement;
  const last = order.length - 1;
  return order.every((axis, i) => axis === (i < last - 1 ? i : i === last ? last - 1 : last));
}

/** The new shape where, but for axes of size 1, the last two change places. */
function wideAxesSwapped(
  shape: readonly number[],
  { order }: Extract<Movement, { readonly kind: 'transpose' }>,
): readonly number[] | null {
  const wide = order.filter((axis) => shape[axis] !== 1);
  const back = [...wide.slice(0, -2), ...wide.slice(-2).reverse()];
  const isInOrder = (axes: readonly number[]) =>
    axes.every((axis, index) => index === 0 || axis > axes[index - 1]!);
  return wide.length >= 2 && isInOrder(back) ? order.map((axis) => shape[axis]!) : null;
}

function moveUnitAxes<T extends Term>(term: T, movements: readonly Movement[]): T | null {
  let { shape } = term;
  for (const movement of movements) {
    const moved = unitAxesMoved(shape, movement);
    if (moved === null) return null;
    shape = moved;
  }
  return { ...term, shape };
}

/** The new shape where only axes of size 1 come, go or change places. */
function unitAxesMoved(shape: readonly number[], movement: Movement): readonly number[] | null {
  const wide = (sizes: readonly number[]) => sizes.filter((size) => size !== 1).join();
  switch (movement.kind) {
    case 'reshape':
    case 'expand':
      return wide(movement.shape) === wide(shape) ? movement.shape : null;
    case 'window':
      return movement.shape.join() === shape.join() && movement.steps.every((step) => step === 1)
        ? shape
        : null;
    case 'transpose': {
      const kept = movement.order.filter((axis) => shape[axis] !== 1);
      const isInOrder = kept.every((axis, index) => index === 0 || axis > kept[index - 1]!);
      return isInOrder ? movement.order.map((axis) => shape[axis]!) : null;
    }
  }
}
