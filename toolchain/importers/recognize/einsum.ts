/** Einstein sums of two operands, as a matrix product between transpositions and reshapes. */
import type { PrimitiveNode } from '../primitive/graph.ts';
import { BadNode, type Movement, moveValue } from '../primitive/movement.ts';
import { sizeOf } from '../primitive/value.ts';
import { moveTerm } from './move-term.ts';
import { applyRules } from './recognize.ts';
import { known, type NodeOf, type RuleContext } from './rule.ts';
import type { Term } from './term.ts';

export function einsum(
  node: NodeOf<'einsum'>,
  operands: readonly (Term | undefined)[],
  context: RuleContext,
): Term | null {
  const { equation } = node.attrs;
  const match = /^([A-Za-z]+),([A-Za-z]+)->([A-Za-z]+)$/.exec(equation.replace(/\s/g, ''));
  const [a, b] = operands;
  if (match === null || a === undefined || b === undefined || operands.length !== 2) {
    throw new BadNode(`has the equation ${equation}; a product of two tensors is read`);
  }
  const [left, right, out] = [match[1]!, match[2]!, match[3]!];
  if (left.length !== a.shape.length || right.length !== b.shape.length) {
    throw new BadNode(`has the equation ${equation} and tensors of other ranks`);
  }
  // The operand whose own index comes first in the result is the left factor.
  const firstOwn = [...out].find((label) => left.includes(label) !== right.includes(label));
  const isSwapped = firstOwn !== undefined && right.includes(firstOwn) && b.kind !== 'known';
  return isSwapped
    ? product(node, [b, right], [a, left], out, context)
    : product(node, [a, left], [b, right], out, context);
}

type Labelled = readonly [term: Term, labels: string];

function product(
  node: PrimitiveNode,
  [a, left]: Labelled,
  [b, right]: Labelled,
  out: string,
  context: RuleContext,
): Term | null {
  const labels = [...new Set(left + right)];
  const batch = labels.filter((l) => left.includes(l) && right.includes(l) && out.includes(l));
  const summed = labels.filter((l) => left.includes(l) && right.includes(l) && !out.includes(l));
  const ownA = labels.filter((l) => !right.includes(l));
  const ownB = labels.filter((l) => !left.includes(l));
  const sizes = new Map([...right].map((label, axis) => [label, b.shape[axis]!]));
  for (const [axis, label] of [...left].entries()) sizes.set(label, a.shape[axis]!);
  const shapeOf = (...groups: readonly string[][]) =>
    groups.flat().map((label) => sizes.get(label)!);
  const flat = (group: string[]) => sizeOf(shapeOf(group));
  const x = moved(a, [
    { kind: 'transpose', order: [...batch, ...ownA, ...summed].map((l) => left.indexOf(l)) },
    { kind: 'reshape', shape: [...shapeOf(batch), flat(ownA), flat(summed)] },
  ]);
  const isWeight = b.kind === 'known' && shapeOf(batch).every((size) => size === 1);
  const y = moved(b, [
    { kind: 'transpose', order: [...batch, ...summed, ...ownB].map((l) => right.indexOf(l)) },
    {
      kind: 'reshape',
      shape: [...(isWeight ? [] : shapeOf(batch)), flat(summed), flat(ownB)],
    },
  ]);
  if (x === null || y === null) return null;
  const matmul = { ...node, op: 'matmul', attrs: {} } as PrimitiveNode;
  const term = applyRules(matmul, [x, y], context);
  if (term === null) return null;
  const order = [...batch, ...ownA, ...ownB];
  const movements: readonly Movement[] = [
    { kind: 'reshape', shape: shapeOf(order) },
    { kind: 'transpose', order: [...out].map((label) => order.indexOf(label)) },
  ];
  return moved(term, movements);
}

function moved(term: Term, movements: readonly Movement[]): Term | null {
  return term.kind === 'known'
    ? known(moveValue(term.value, movements))
    : moveTerm(term, movements);
}
