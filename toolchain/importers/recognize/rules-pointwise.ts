/** Functions of one element, collected until something reads them: GELU in all its spellings. */
import type { ActivationKind } from '../../ops/linear.ts';
import { binaryFunctions, unaryFunctions } from '../primitive/elementwise.ts';
import { sizeOf } from '../primitive/value.ts';
import {
  activationTerm,
  binaryRule,
  made,
  matrixTerm,
  type Rule,
  rule,
  uniformTerm,
} from './rule.ts';
import { keepsShape } from './rules-linear.ts';
import { depthOf, type Source } from './source.ts';
import type { Term, TermOf } from './term.ts';
import { sameWindow, type View } from './view.ts';

export const pointwiseRules: readonly Rule[] = [
  binaryRule('f(x)·y = gatedProduct(x, y)', ['multiply'], (a, b, context) => {
    const gate = gateOf(a);
    if (gate === null || b.kind !== 'view' || sameWindow(gate.of, b)) return null;
    const [x, up] = [matrixTerm(gate.of, context), matrixTerm(b, context)];
    if (x === null || up === null || sizeOf(a.shape) !== sizeOf(b.shape)) return null;
    if (x.rows !== up.rows || x.columns !== up.columns) return null;
    const { activation } = gate;
    const { rows, columns } = x;
    const source: Source = {
      ...{ kind: 'gatedProduct', gate: x, up, activation, rows, columns },
      ...{ name: context.layer, depth: depthOf(x, up) },
    };
    return made(source, a.shape);
  }),

  rule('f(x) of each element', ['unary'], (node, [x]) => {
    const inner = pointwiseOf(x);
    if (inner === null) return null;
    const { apply } = unaryFunctions[node.attrs.function];
    return { ...inner, apply: (value) => apply(inner.apply(value)) };
  }),

  rule('GELU as one op', ['gelu'], (node, [x]) => {
    const inner = pointwiseOf(x);
    if (inner === null) return null;
    const { tanh } = node.attrs;
    const { apply: erf } = unaryFunctions.errorFunction;
    const gelu = (value: number): number =>
      tanh
        ? 0.5 * value * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (value + 0.044715 * value ** 3)))
        : 0.5 * value * (1 + erf(value / Math.SQRT2));
    return { ...inner, apply: (value) => gelu(inner.apply(value)) };
  }),

  rule('f(x) with a number, and f(x)·g(x) of the same x', ['binary'], (node, [a, b]) => {
    const { apply } = binaryFunctions[node.attrs.function];
    const [left, right] = [pointwiseOf(a), pointwiseOf(b)];
    const [leftNumber, rightNumber] = [uniformTerm(a), uniformTerm(b)];
    if (left !== null && rightNumber !== undefined && keepsShape(left.shape, b!.shape)) {
      return { ...left, apply: (x) => apply(left.apply(x), rightNumber) };
    }
    if (right !== null && leftNumber !== undefined && keepsShape(right.shape, a!.shape)) {
      return { ...right, apply: (x) => apply(leftNumber, right.apply(x)) };
    }
    if (left === null || right === null || !sameWindow(left.of, right.of)) return null;
    const factors = [...new Set([...left.factors, ...right.factors])];
    return { ...left, apply: (x) => apply(left.apply(x), right.apply(x)), factors };
  }),
];

/** What f is of, as a function still or, where a quantized model stores it, as a matrix. */
function gateOf(term: Term): { readonly of: View; readonly activation: ActivationKind } | null {
  if (term.kind === 'pointwise') return activationTerm(term);
  if (term.kind !== 'view' || term.source.kind !== 'activation' || term.factor !== 1) return null;
  const { x, activation } = term.source;
  return { of: { ...term, source: x }, activation };
}

function pointwiseOf(term: Term | undefined): TermOf<'pointwise'> | null {
  if (term?.kind === 'pointwise') return term;
  if (term?.kind !== 'view') return null;
  const { factor, shape } = term;
  const apply = (x: number) => factor * x;
  return { kind: 'pointwise', shape, of: { ...term, factor: 1 }, apply, factors: [factor] };
}
