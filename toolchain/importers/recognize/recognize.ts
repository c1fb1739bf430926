/**
 * Finds the transformer in a primitive graph: what every tensor is, in the terms of our op table.
 *
 * The graph is read for sentences of a certain number of tokens, one at a time, without padding.
 * What then depends on neither token ids nor segments is computed (shapes, positions, masks of
 * ones); what is left matches rules of mathematics. Nothing is computed of weights before the
 * result is built.
 */

import { userError } from '../../errors.ts';
import type { Affine } from '../../ir/graph.ts';
import { activationFunctions } from '../../ops/linear.ts';
import { evaluate, shapesOf } from '../primitive/evaluate.ts';
import type { PrimitiveGraph, PrimitiveInput, PrimitiveNode } from '../primitive/graph.ts';
import { BadNode, movementsOf } from '../primitive/movement.ts';
import { integers, lazyValue, sizeOf } from '../primitive/value.ts';
import { einsum } from './einsum.ts';
import { layerOf } from './layer-name.ts';
import { moveTerm } from './move-term.ts';
import { known, type RuleContext } from './rule.ts';
import { rules } from './rules.ts';
import type { Source } from './source.ts';
import type { Problem, Term, TermOf } from './term.ts';

/** What an input of the user's graph is to us. */
export type InputRole = 'token' | 'segment' | 'mask' | 'position';

export interface RecognizeOptions {
  readonly tokens: number;
  readonly roles: ReadonlyMap<string, InputRole>;
}

export interface Recognized {
  termOf(name: string): Term | undefined;
  /** How a quantized model stores its activations. */
  readonly stored: ReadonlyMap<Source, Affine>;
}

export function recognize(graph: PrimitiveGraph, options: RecognizeOptions): Recognized {
  const terms = new Map<string, Term>();
  for (const [name, value] of graph.constants) terms.set(name, known(value));
  for (const input of graph.inputs) terms.set(input.name, inputTerm(input, options));
  const stored = new Map<Source, Affine>();
  const state: State = { tokens: options.tokens, stored, computedElements: 0 };
  for (const node of graph.nodes) terms.set(node.output, termOfNode(node, terms, state));
  return { termOf: (name) => terms.get(name), stored };
}

interface State {
  readonly tokens: number;
  readonly stored: Map<Source, Affine>;
  computedElements: number;
}

/** In one graph, so that none takes long. */
const maxComputedElements = 2 ** 25;

function inputTerm(input: PrimitiveInput, { tokens, roles }: RecognizeOptions): Term {
  const shape = inputShape(input, tokens);
  switch (roles.get(input.name)) {
    case 'mask':
      return known(lazyValue(input.type, shape, () => new Float64Array(sizeOf(shape)).fill(1)));
    case 'position':
      return known(
        lazyValue(input.type, shape, () =>
          Float64Array.from({ length: sizeOf(shape) }, (_, index) => index % tokens),
        ),
      );
    case 'segment':
      return { kind: 'ids', role: 'segment', shape };
    case 'token':
    case undefined:
      return { kind: 'ids', role: 'token', shape };
  }
}

/** (batch, tokens), (tokens) or with further axes of size 1: one sentence. */
export function inputShape({ shape }: PrimitiveInput, tokens: number): number[] {
  const rank = shape?.length ?? 2;
  return Array.from({ length: rank }, (_, axis) => (axis === Math.min(1, rank - 1) ? tokens : 1));
}

function termOfNode(node: PrimitiveNode, terms: ReadonlyMap<string, Term>, state: State): Term {
  const operands = node.inputs.map((name) => (name === '' ? undefined : terms.get(name)));
  const missing = node.inputs.find((name) => name !== '' && !terms.has(name));
  if (missing !== undefined) return problem(node, `reads ${missing}, which nothing makes`);
  const problems = operands.flatMap((term) => (term?.kind === 'unsupported' ? term.problems : []));
  if (problems.length > 0) return { kind: 'unsupported', shape: [], problems: unique(problems) };
  try {
    return meaning(node, operands, state);
  } catch (error) {
    if (error instanceof BadNode) return problem(node, error.message);
    throw error;
  }
}

function meaning(node: PrimitiveNode, operands: readonly (Term | undefined)[], state: State): Term {
  const [first] = operands;
  if (node.op === 'opaque') return problem(node, 'is an op that is not known here', unknownOp);
  if (node.op === 'shape') {
    if (first === undefined) throw new BadNode('lacks its operand');
    return known(integers(sliceOfShape(first.shape, node.attrs)));
  }
  const values = operands.map((term) => (term?.kind === 'known' ? term.value : undefined));
  const isKnown = operands.every((term) => term === undefined || term.kind === 'known');
  if (isKnown) {
    const value = evaluate(node, values);
    state.computedElements += sizeOf(value.shape);
    if (state.computedElements > maxComputedElements) throw tooMuch(node);
    return known(value);
  }
  if (first === undefined) throw new BadNode('lacks its operand');
  const context: RuleContext = {
    tokens: state.tokens,
    layer: layerOf(node),
    storedAs: (source, scale, zeroPoint) =>
      state.stored.set(source, { kind: 'affine', scale, zeroPoint }),
  };
  const movements = first.kind === 'known' ? null : movementsOf(node, first.shape, values.slice(1));
  const found =
    movements !== null
      ? moveTerm(first, movements)
      : node.op === 'einsum'
        ? einsum(node, operands, context)
        : applyRules(node, operands, context);
  if (found === null) return problem(node, describe(node, operands), adviceFor(node, operands));
  if (found.kind === 'unsupported') return problem(node, describe(node, operands));
  return found;
}

export function applyRules(
  node: PrimitiveNode,
  operands: readonly (Term | undefined)[],
  context: RuleContext,
): Term | null {
  for (const rule of rules) {
    if (!rule.ops.includes(node.op)) continue;
    const term = rule.apply(node, operands, context);
    if (term !== null) return term;
  }
  return null;
}

function sliceOfShape(
  shape: readonly number[],
  { start, end }: { readonly start: number; readonly end: number },
): number[] {
  return shape.slice(start, end);
}

function tooMuch(node: PrimitiveNode) {
  return userError({
    code: 'bad-model',
    message: 'the graph computes more constants than a tiny model has',
    where: node.name,
    hint: `At most ${maxComputedElements} elements are computed; export the model anew.`,
  });
}

const unknownOp =
  'Write the layer with matrix products, LayerNorm, softmax attention and GELU, or take it out.';

function problem(
  node: PrimitiveNode,
  message: string,
  hint = 'Export the model again; if it stays so, take this layer out of it.',
): TermOf<'unsupported'> {
  const { name, userOp } = node;
  return { kind: 'unsupported', shape: [], problems: [{ node: name, userOp, message, hint }] };
}

function unique(problems: readonly Problem[]): readonly Problem[] {
  return [...new Map(problems.map((one) => [one.node, one])).values()].slice(0, 50);
}

function describe(node: PrimitiveNode, operands: readonly (Term | undefined)[]): string {
  const present = operands.filter((term) => term !== undefined);
  const name = 'function' in node.attrs ? node.attrs.function : node.op;
  const computed = `${name}(${present.map(termText).join(', ')})`;
  return `computes ${computed} of shapes ${shapesOf(present)}, for which we have no op`;
}

function termText(term: Term): string {
  const texts: Readonly<Record<Term['kind'], string>> = {
    known: 'a constant',
    ids: 'the token ids',
    oneHotIds: 'one-hot ids',
    shiftedIds: 'shifted token ids',
    view: 'an activation',
    pointwise: 'a function of an activation',
    statistic: 'a statistic of rows',
    centered: 'an activation less its mean',
    centeredSquare: 'squares for a variance',
    inverseDeviation: 'a reciprocal deviation',
    scaledInput: 'half of a layer normalization',
    scaledMean: 'half of a layer normalization',
    shiftedMean: 'half of a layer normalization',
    scores: 'attention scores',
    attentionWeights: 'attention weights',
    swappedHalves: 'an activation with its halves swapped',
    turning: 'an activation times cosines or sines',
    rotated: 'an activation turned by its position',
    shiftedRows: 'rows moved by one token',
    rowSum: 'a sum over tokens',
    finished: 'final scores',
    length: 'lengths of rows',
    unsupported: 'something unsupported',
  };
  return texts[term.kind];
}

/** What the user can change about it. */
function adviceFor(node: PrimitiveNode, operands: readonly (Term | undefined)[]): string {
  const kinds = operands.map((term) => term?.kind);
  const activations = kinds.filter((kind) => kind === 'view' || kind === 'pointwise').length;
  const functions = Object.keys(activationFunctions).join(', ');
  if (kinds.includes('turning') || kinds.includes('rotated')) {
    return 'Rotary positions turn all columns of queries and keys by position·theta^(−2i/width): take out scaled ones, and those of other columns.';
  }
  if (node.op === 'binary' && node.attrs.function === 'multiply' && activations === 2) {
    return `A gate multiplies one activation by a function of another: ${functions}.`;
  }
  if (kinds.includes('scores')) {
    return 'Attention is softmax(scale·q·kᵀ)·v with a padding or a causal mask, or one of neighbours: take out relative position biases.';
  }
  if (activations > 0 && kinds[0] === 'pointwise') {
    return `Element-wise functions are ${functions}: train the model with one of these.`;
  }
  return 'Supported are BERT-like encoders: embeddings, matrix products with constants, LayerNorm, softmax attention, rotary positions, GELU and its gates, and pooling of the first row or the mean.';
}
