/** A rewrite rule of the recognizer: one line of mathematics, and when it holds. */
import type { ActivationKind } from '../../ops/linear.ts';
import type { PrimitiveName, PrimitiveNode } from '../primitive/graph.ts';
import { sizeOf, uniformOf, type Value } from '../primitive/value.ts';
import { activationOf } from './activation.ts';
import { depthOf, type Source } from './source.ts';
import type { Term, TermOf } from './term.ts';
import { matrixOf, type View, wholeView, withFactorInside } from './view.ts';

export interface RuleContext {
  /** The number of tokens that the graph is recognized at. */
  readonly tokens: number;
  /** The user's name of the layer that the node belongs to. */
  readonly layer: string;
  /** The model stores these activations as int8 of this scale and zero point. */
  storedAs(source: Source, scale: number, zeroPoint: number): void;
}

/** A node whose op is one of `N`, with its attributes. */
export type NodeOf<N extends PrimitiveName> = Extract<PrimitiveNode, { readonly op: N }>;

export interface Rule {
  readonly formula: string;
  readonly ops: readonly PrimitiveName[];
  /** Null: the rule does not apply. Absent operands are undefined. */
  apply(
    node: PrimitiveNode,
    operands: readonly (Term | undefined)[],
    context: RuleContext,
  ): Term | null;
}

export function rule<N extends PrimitiveName>(
  formula: string,
  ops: readonly N[],
  apply: (
    node: NodeOf<N>,
    operands: readonly (Term | undefined)[],
    context: RuleContext,
  ) => Term | null,
): Rule {
  return {
    formula,
    ops,
    apply: (node, operands, context) => apply(node as NodeOf<N>, operands, context),
  };
}

/** A rule on a binary function of two operands, tried with them in either order where it commutes. */
export function binaryRule(
  formula: string,
  functions: readonly NodeOf<'binary'>['attrs']['function'][],
  apply: (a: Term, b: Term, context: RuleContext, node: NodeOf<'binary'>) => Term | null,
): Rule {
  return rule(formula, ['binary'], (node, [a, b], context) => {
    const { function: name } = node.attrs;
    if (!functions.includes(name) || a === undefined || b === undefined) return null;
    const commutes = ['add', 'multiply', 'maximum', 'minimum', 'squaredDifference'].includes(name);
    return apply(a, b, context, node) ?? (commutes ? apply(b, a, context, node) : null);
  });
}

export function known(value: Value): TermOf<'known'> {
  return { kind: 'known', shape: value.shape, value };
}

/** The one value of a constant whose elements are all the same. */
export function uniformTerm(term: Term | undefined): number | undefined {
  return term?.kind === 'known' ? uniformOf(term.value) : undefined;
}

/** The number of a constant of one element. */
export function scalarTerm(term: Term | undefined): number | undefined {
  return term?.kind === 'known' && sizeOf(term.shape) === 1 ? term.value.read()[0] : undefined;
}

/** An activation as a window on a matrix; a function of one becomes our op if it is one. */
export function viewTerm(term: Term | undefined, _context: RuleContext): View | null {
  if (term?.kind === 'view') return term;
  if (term?.kind !== 'pointwise') return null;
  const function_ = meaningOf(term);
  if (typeof function_ === 'number') return { ...term.of, factor: function_ };
  const found = activationTerm(term);
  return found && { ...found.of, source: activated(found.of.source, found.activation) };
}

/** One of our functions, and what it is of. */
export function activationTerm(
  term: TermOf<'pointwise'>,
): { readonly of: View; readonly activation: ActivationKind } | null {
  const found = meaningOf(term);
  if (found === null || typeof found === 'number') return null;
  const of = withFactorInside({ ...term.of, factor: found.factor });
  return of.factor === 1 ? { of, activation: found.activation } : null;
}

/** activation(factor·x), or a number times x. */
type Meaning = number | { readonly activation: ActivationKind; readonly factor: number } | null;

const knownMeanings = new WeakMap<(x: number) => number, Meaning>();

/** Asked by every rule that reads an activation. */
function meaningOf({ apply, factors }: TermOf<'pointwise'>): Meaning {
  const known = knownMeanings.get(apply);
  if (known !== undefined) return known;
  const candidates = [...new Set([1, ...factors])].map((factor): Meaning => {
    const found = activationOf((x) => apply(x / factor));
    return typeof found === 'string' ? { activation: found, factor } : found;
  });
  const meaning = candidates.find((one) => one !== null) ?? null;
  knownMeanings.set(apply, meaning);
  return meaning;
}

const knownActivations = new WeakMap<Source, Map<string, Source>>();

/** The same function of the same matrix is one matrix. */
function activated(x: Source, activation: ActivationKind) {
  const of = knownActivations.get(x) ?? new Map<string, Source>();
  knownActivations.set(x, of);
  const { rows, columns } = x;
  const name = `${x.name}.${activation}`;
  const made: Source = of.get(activation) ?? {
    ...{ kind: 'activation', x, activation, rows, columns, name },
    depth: depthOf(x),
  };
  of.set(activation, made);
  return made;
}

/** The matrix of an activation, rows before columns. */
export function matrixTerm(term: Term | undefined, context: RuleContext): Source | null {
  const view = viewTerm(term, context);
  return view === null ? null : matrixOf(view, context.tokens);
}

/** A matrix made anew, seen as the user's tensor of `shape`. */
export function made(source: Source, shape: readonly number[]): View {
  return wholeView(source, shape);
}
