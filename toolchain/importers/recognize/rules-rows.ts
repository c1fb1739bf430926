/** Sums over all rows, and what stands behind the logits at the end of a model. */
import { reducedAxes, reducedShape } from '../primitive/evaluate.ts';
import { sizeOf } from '../primitive/value.ts';
import {
  binaryRule,
  made,
  matrixTerm,
  type Rule,
  rule,
  scalarTerm,
  uniformTerm,
  viewTerm,
} from './rule.ts';
import { keepsShape } from './rules-linear.ts';
import { depthOf, type Source } from './source.ts';
import type { Term } from './term.ts';
import { layoutOf, sameWindow } from './view.ts';

export const rowRules: readonly Rule[] = [
  rule('sum and mean over the rows', ['reduce'], (node, [x, axesTerm], context) => {
    const { kind, keepAxes } = node.attrs;
    if (axesTerm?.kind !== 'known' || x === undefined) return null;
    if (kind !== 'sum' && kind !== 'mean') return null;
    const view = viewTerm(x, context);
    const source = matrixTerm(view ?? undefined, context);
    if (view === null || source === null || source.rows === 1) return null;
    const axes = reducedAxes(x.shape.length, axesTerm.value);
    const isOverRows = axes.every(
      (axis) => axis === layoutOf(view)?.rowAxis || x.shape[axis] === 1,
    );
    if (!isOverRows || !axes.includes(layoutOf(view)?.rowAxis ?? -1)) return null;
    const shape = reducedShape(x.shape, axes, keepAxes);
    return kind === 'sum'
      ? { kind: 'rowSum', of: source, shape }
      : mean(source, shape, context.layer);
  }),

  binaryRule(
    'sum of the rows / tokens = meanRows',
    ['divide', 'multiply'],
    (a, b, context, node) => {
      const number = uniformTerm(b);
      if (a.kind !== 'rowSum' || number === undefined || !keepsShape(a.shape, b.shape)) return null;
      const count = node.attrs.function === 'divide' ? number : 1 / number;
      const isMean = Math.abs(count / context.tokens - 1) < 1e-6;
      return isMean ? mean(a.of, a.shape, context.layer) : null;
    },
  ),

  rule(
    'softmax of logits: scores, which are made beside the model',
    ['softmax'],
    (node, [x], context) => {
      const view = viewTerm(x, context);
      if (view === null) return null;
      const { axis } = node.attrs;
      const isLast = axis === -1 || axis === view.shape.length - 1;
      return isLast ? { kind: 'finished', how: 'softmax', of: view, shape: view.shape } : null;
    },
  ),

  rule('Σ x² of a row, its root', ['reduce', 'unary'], (node, [x, axesTerm]) => {
    if (node.op === 'unary') {
      const isRoot = node.attrs.function === 'squareRoot' && x?.kind === 'length' && x.squared;
      return isRoot ? { ...x, squared: false } : null;
    }
    if (node.attrs.kind !== 'sum' || x?.kind !== 'pointwise' || axesTerm?.kind !== 'known')
      return null;
    const { apply } = x;
    const isSquare = [-3, -0.5, 0, 2].every(
      (value) => Math.abs(apply(value) - value * value) < 1e-6,
    );
    const axes = reducedAxes(x.shape.length, axesTerm.value);
    const isLast = axes.length === 1 && axes[0] === x.shape.length - 1;
    if (!isSquare || !isLast) return null;
    const shape = reducedShape(x.shape, axes, node.attrs.keepAxes);
    return { kind: 'length', of: x.of, squared: true, shape };
  }),

  binaryRule(
    'max(length, ε) = length; length^½',
    ['maximum', 'power', 'add'],
    (a, b, _context, node) => {
      const number = scalarTerm(b);
      if (a.kind !== 'length' || number === undefined) return null;
      if (node.attrs.function === 'power')
        return number === 0.5 && a.squared ? { ...a, squared: false } : null;
      return number >= 0 && number < 1e-6 ? a : null;
    },
  ),

  binaryRule('x / length: rows of length 1, which are made beside the model', ['divide'], (a, b) =>
    a.kind === 'view' && b.kind === 'length' && !b.squared && sameWindow(a, b.of)
      ? { kind: 'finished', how: 'unitLength', of: a, shape: a.shape }
      : null,
  ),
];

function mean(x: Source, shape: readonly number[], name: string): Term {
  const { columns } = x;
  const source: Source = { kind: 'meanRows', x, rows: 1, columns, name, depth: depthOf(x) };
  return sizeOf(shape) === columns
    ? made(source, shape)
    : { kind: 'unsupported', shape, problems: [] };
}
