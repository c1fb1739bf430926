/** Functions of one element, collected until something reads them: GELU in all its spellings. */
import { binaryFunctions, unaryFunctions } from '../primitive/elementwise.ts';
import { type Rule, rule, uniformTerm } from './rule.ts';
import { keepsShape } from './rules-linear.ts';
import type { Term, TermOf } from './term.ts';
import { sameWindow } from './view.ts';

export const pointwiseRules: readonly Rule[] = [
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
    return { ...left, apply: (x) => apply(left.apply(x), right.apply(x)) };
  }),
];

function pointwiseOf(term: Term | undefined): TermOf<'pointwise'> | null {
  if (term?.kind === 'pointwise') return term;
  if (term?.kind !== 'view') return null;
  const { factor, shape } = term;
  return { kind: 'pointwise', shape, of: { ...term, factor: 1 }, apply: (x) => factor * x };
}
