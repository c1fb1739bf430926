/**
 * Chooses tokens within a constraint: by the logits of those that are permitted alone. The twin of
 * `kernels/c/constraint.c`.
 *
 * A token is permitted where the state behind it can still become a complete text with the tokens that
 * are left, or is on a shortest way there. The end is permitted where the text is complete.
 */
import { type Constraint, endClass } from '../constrain/constraint.ts';
import type { ChooseToken } from './sample.ts';

export interface TokenWriter {
  /** Whether the next choice reads logits: with one token left there is no choice. */
  readonly needsLogits: () => boolean;
  /** `mostTokens`: as many may follow, this one among them. Null: none may. */
  readonly next: (logits: Int16Array, mostTokens: number) => number | null;
  /** Whether nothing can follow. */
  readonly isOver: () => boolean;
  /** Whether the text is one that the constraint permits. */
  readonly isComplete: () => boolean;
}

export function freeWriter(choose: ChooseToken): TokenWriter {
  return {
    needsLogits: () => true,
    next: (logits) => choose(logits),
    isOver: () => false,
    isComplete: () => true,
  };
}

export function constrainedWriter(choose: ChooseToken, constraint: Constraint): TokenWriter {
  const { tokens, classes, rows, rowStarts, edgeClasses, edgeSteps, ...others } = constraint;
  const { distances, firstSingle, hasEnd } = others;
  let state = 0;
  const edgesHere = () => {
    const row = rows[state]!;
    const [first, end] = [rowStarts[row]!, rowStarts[row + 1]!];
    return Array.from(edgeClasses.subarray(first, end), (label, index) => ({
      label,
      to: (state + edgeSteps[first + index]!) & 0xffff,
    }));
  };
  const isForced = (): boolean => {
    const row = edgesHere();
    return row.length === 1 && row[0]!.label >= firstSingle && distances[state]! > 0;
  };
  return {
    needsLogits: () => !isForced(),
    isOver: () => edgesHere().length === 0,
    isComplete: () => distances[state] === 0,
    next(logits, mostTokens) {
      const most = Math.max(mostTokens, distances[state]!) - 1;
      const targets = new Map(
        edgesHere()
          .filter(({ to }) => distances[to]! <= most)
          .map(({ label, to }) => [label, to]),
      );
      if (hasEnd && distances[state] === 0) targets.set(endClass, state);
      const permitted = [...classes.keys()].filter((index) => targets.has(classes[index]!));
      if (permitted.length === 0) return null;
      const ids = permitted.map((index) => tokens?.[index] ?? index);
      const index = ids.length === 1 ? 0 : choose(Int16Array.from(ids, (id) => logits[id]!));
      state = targets.get(classes[permitted[index]!]!)!;
      return ids[index]!;
    },
  };
}
