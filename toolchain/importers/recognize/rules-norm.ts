/**
 * Layer normalization, whole or in pieces:
 *
 *   (x − mean)/√(variance + ε)·γ + β  =  x·s + (β − mean·s) with s = γ/√(variance + ε)
 */
import { reducedAxes, reducedShape } from '../primitive/evaluate.ts';
import { sizeOf, type Value } from '../primitive/value.ts';
import type { NodeOf } from './rule.ts';
import {
  binaryRule,
  made,
  matrixTerm,
  type Rule,
  type RuleContext,
  rule,
  scalarTerm,
  viewTerm,
} from './rule.ts';
import { columnVector } from './rules-linear.ts';
import { layerNormSource, realsOf } from './source.ts';
import type { Norming, Term, TermOf } from './term.ts';
import { layoutOf, sameWindow, type View } from './view.ts';

export const normRules: readonly Rule[] = [
  rule('LayerNorm(x) as one op', ['layerNorm'], (node, [x, gamma, beta], context) => {
    const { axis, epsilon } = node.attrs;
    const source = matrixTerm(x, context);
    if (source === null || x === undefined || !isEpsilon(epsilon)) return null;
    if (axis !== -1 && axis !== x.shape.length - 1) return null;
    const reals = (term: Term | undefined) =>
      term?.kind === 'known' && sizeOf(term.shape) === source.columns
        ? realsOf(term.value, source.columns)
        : null;
    if ((gamma !== undefined && reals(gamma) === null) || (beta && reals(beta) === null))
      return null;
    const norm = layerNormSource(source, tidy(epsilon), reals(gamma), reals(beta), context.layer);
    return made(norm, x.shape);
  }),

  rule(
    'mean over the columns: mean, variance = mean((x − mean)²), mean(x²)',
    ['reduce'],
    (node, [x, axes], context) => {
      if (node.attrs.kind !== 'mean' || x === undefined) return null;
      if (x.kind === 'centeredSquare') {
        return isOverColumns(node, x.shape, axes)
          ? { ...statisticOf(node, x.of, x.shape, axes), statistic: 'variance' }
          : null;
      }
      if (x.kind === 'pointwise' && isSquare(x.apply)) {
        if (!isRows(x.of) || !isOverColumns(node, x.shape, axes)) return null;
        return { ...statisticOf(node, x.of, x.shape, axes), statistic: 'meanSquare' };
      }
      const view = viewTerm(x, context);
      if (view === null || view.factor !== 1 || !isRows(view)) return null;
      return isOverColumns(node, view.shape, axes)
        ? statisticOf(node, view, view.shape, axes)
        : null;
    },
  ),

  binaryRule('x − mean(x)', ['subtract'], (a, b, context) => {
    const view = viewTerm(a, context);
    if (view === null || !isStatistic(b, 'mean', view)) return null;
    return { kind: 'centered', of: view, shape: view.shape };
  }),

  binaryRule(
    '(x − mean)², as a product, a power or one op',
    ['multiply', 'power', 'squaredDifference'],
    (a, b, context, node) => {
      const { function: name } = node.attrs;
      if (name === 'squaredDifference') {
        const view = viewTerm(a, context);
        if (view === null || !isStatistic(b, 'mean', view)) return null;
        return { kind: 'centeredSquare', of: view, shape: view.shape };
      }
      if (a.kind !== 'centered') return null;
      const isItself = name === 'multiply' && b.kind === 'centered' && sameWindow(a.of, b.of);
      const isSecondPower = name === 'power' && scalarTerm(b) === 2;
      return isItself || isSecondPower ? { ...a, kind: 'centeredSquare' } : null;
    },
  ),

  rule('(x − mean)² and mean²', ['unary'], (node, [x]) => {
    if (node.attrs.function !== 'square') return null;
    if (x?.kind === 'centered') return { ...x, kind: 'centeredSquare' };
    return x?.kind === 'statistic' && x.statistic === 'mean'
      ? { ...x, statistic: 'squaredMean' }
      : null;
  }),

  binaryRule(
    'mean², and mean(x²) − mean² = variance',
    ['multiply', 'subtract', 'power'],
    (a, b, _context, node) => {
      if (a.kind !== 'statistic') return null;
      switch (node.attrs.function) {
        case 'subtract':
          return a.statistic === 'meanSquare' && isStatistic(b, 'squaredMean', a.of)
            ? { ...a, statistic: 'variance' }
            : null;
        case 'power':
          if (a.statistic === 'mean' && scalarTerm(b) === 2)
            return { ...a, statistic: 'squaredMean' };
          return a.statistic === 'variance' ? powerOfVariance(a, scalarTerm(b)) : null;
        default:
          return a.statistic === 'mean' && isStatistic(b, 'mean', a.of)
            ? { ...a, statistic: 'squaredMean' }
            : null;
      }
    },
  ),

  binaryRule(
    'variance + ε; max(variance, 0) = variance',
    ['add', 'maximum'],
    (a, b, _context, node) => {
      const number = scalarTerm(b);
      if (a.kind !== 'statistic' || a.statistic !== 'variance' || number === undefined) return null;
      if (node.attrs.function === 'maximum') return number <= 0 ? a : null;
      const epsilon = a.epsilon + number;
      return isEpsilon(epsilon) ? { ...a, epsilon } : null;
    },
  ),

  rule('√(variance + ε), 1/√(variance + ε); −mean', ['unary'], (node, [x]) => {
    if (x?.kind !== 'statistic') return null;
    const { function: name } = node.attrs;
    if (x.statistic === 'mean' && name === 'negative') return { ...x, statistic: 'negatedMean' };
    if (x.statistic === 'variance' && name === 'relu') return x;
    if (x.statistic === 'variance' && name === 'squareRoot') return powerOfVariance(x, 0.5);
    if (x.statistic === 'variance' && name === 'inverseSquareRoot') return powerOfVariance(x, -0.5);
    return x.statistic === 'deviation' && name === 'reciprocal' ? powerOfVariance(x, -0.5) : null;
  }),

  binaryRule(
    '1/deviation; (x − mean)/deviation = layerNorm(x, 1, 0)',
    ['divide'],
    (a, b, context) => {
      if (b.kind !== 'statistic' || b.statistic !== 'deviation') return null;
      if (scalarTerm(a) === 1) return powerOfVariance(b, -0.5);
      if (a.kind !== 'centered' || !sameWindow(a.of, b.of)) return null;
      return normalized({ ...b, gamma: null }, null, a.shape, context);
    },
  ),

  binaryRule('γ·(1/deviation)', ['multiply'], (a, b) => {
    if (a.kind !== 'inverseDeviation' || a.gamma !== null || b.kind !== 'known') return null;
    if (columnVector(a.of, b.value) === null) return null;
    return { ...a, gamma: b.value, shape: a.of.shape };
  }),

  binaryRule('(x − mean)·s = layerNorm(x, γ, 0); x·s; mean·s', ['multiply'], (a, b, context) => {
    if (a.kind !== 'inverseDeviation') return null;
    if (b.kind === 'centered' && sameWindow(a.of, b.of))
      return normalized(a, null, b.shape, context);
    if (isStatistic(b, 'mean', a.of)) return { ...a, kind: 'scaledMean' };
    if (isStatistic(b, 'negatedMean', a.of)) return { ...a, kind: 'shiftedMean', beta: null };
    const view = viewTerm(b, context);
    if (view === null || view.factor !== 1 || !sameWindow(view, a.of)) return null;
    return { ...a, kind: 'scaledInput', shape: view.shape };
  }),

  binaryRule('β − mean·s; x·s − mean·s = layerNorm(x, γ, 0)', ['subtract'], (a, b, context) => {
    if (b.kind !== 'scaledMean') return null;
    if (a.kind === 'scaledInput' && sameNorm(a, b)) return normalized(a, null, a.shape, context);
    if (a.kind !== 'known' || columnVector(b.of, a.value) === null) return null;
    return { ...b, kind: 'shiftedMean', beta: a.value };
  }),

  binaryRule('(−mean)·s + β = β − mean·s', ['add'], (a, b) => {
    if (a.kind !== 'shiftedMean' || a.beta !== null || b.kind !== 'known') return null;
    return columnVector(a.of, b.value) === null ? null : { ...a, beta: b.value };
  }),

  binaryRule('x·s + (β − mean·s) = layerNorm(x, γ, β)', ['add'], (a, b, context) =>
    a.kind === 'scaledInput' && b.kind === 'shiftedMean' && sameNorm(a, b)
      ? normalized(a, b.beta, a.shape, context)
      : null,
  ),
];

/** Exporters store 1e-12 as a float32: the shortest decimal that rounds to it is what was meant. */
export function tidy(value: number): number {
  const single = Math.fround(value);
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(single.toPrecision(digits));
    if (Math.fround(short) === single) return short;
  }
  return value;
}

function isRows(view: View): boolean {
  const layout = layoutOf(view);
  return layout !== null && layout.columns.length === view.source.columns;
}

/** The reduced axes are those that go over the columns: behind the rows, all of them. */
function isOverColumns(
  _node: NodeOf<'reduce'>,
  shape: readonly number[],
  axesTerm: Term | undefined,
): boolean {
  if (axesTerm !== undefined && axesTerm.kind !== 'known') return false;
  const axes = reducedAxes(shape.length, axesTerm?.value);
  return axes.length > 0 && axes.every((axis) => axis === shape.length - 1 || shape[axis] === 1);
}

function statisticOf(
  node: NodeOf<'reduce'>,
  of: View,
  shape: readonly number[],
  axesTerm: Term | undefined,
): TermOf<'statistic'> {
  const axes = reducedAxes(shape.length, axesTerm?.kind === 'known' ? axesTerm.value : undefined);
  const reduced = reducedShape(shape, axes, node.attrs.keepAxes);
  return { kind: 'statistic', statistic: 'mean', of, epsilon: 0, shape: reduced };
}

function isStatistic(term: Term, statistic: TermOf<'statistic'>['statistic'], of: View): boolean {
  return term.kind === 'statistic' && term.statistic === statistic && sameWindow(term.of, of);
}

function isSquare(apply: (x: number) => number): boolean {
  return [-3, -0.5, 0, 0.25, 2, 5].every((x) => Math.abs(apply(x) - x * x) < 1e-6);
}

function powerOfVariance(variance: TermOf<'statistic'>, power: number | undefined): Term | null {
  if (power === 0.5) return { ...variance, statistic: 'deviation' };
  if (power !== -0.5) return null;
  const { of, epsilon, shape } = variance;
  return { kind: 'inverseDeviation', of, epsilon, gamma: null, shape };
}

function sameNorm(a: Norming, b: Norming): boolean {
  return sameWindow(a.of, b.of) && a.epsilon === b.epsilon && a.gamma === b.gamma;
}

function normalized(
  { of, epsilon, gamma }: Norming,
  beta: Value | null,
  shape: readonly number[],
  context: RuleContext,
): Term | null {
  const source = matrixTerm(of, context);
  if (source === null) return null;
  const reals = (value: Value | null) =>
    value === null ? null : columnVector(made(source, of.shape), value);
  const norm = layerNormSource(source, tidy(epsilon), reals(gamma), reals(beta), context.layer);
  return made(norm, shape);
}

/** Below 0 the root of a small variance would be none. */
function isEpsilon(epsilon: number): boolean {
  return Number.isFinite(epsilon) && epsilon >= 0;
}
