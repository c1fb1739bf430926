/** softmax(scale·q·kᵀ + mask)·v with heads as column ranges, however they were moved about. */
import { axisOf } from '../primitive/movement.ts';
import { listOf, sizeOf, type Value } from '../primitive/value.ts';
import {
  binaryRule,
  made,
  type Rule,
  type RuleContext,
  rule,
  uniformTerm,
  viewTerm,
} from './rule.ts';
import { keepsShape } from './rules-linear.ts';
import { rotarySource } from './rules-rotary.ts';
import { depthOf, type Source } from './source.ts';
import type { Term, TermOf } from './term.ts';
import { layoutOf, matrixOf, moveView, type View, withFactorInside } from './view.ts';

export const attentionRules: readonly Rule[] = [
  rule('q·kᵀ for each head', ['matmul'], (_node, [a, b], context) => {
    const q = headsOfTerm(a, 'rows before columns', context);
    const k = headsOfTerm(b, 'columns before rows', context);
    if (q === null || k === null || q.heads !== k.heads) return null;
    // Columns of a turned head stand in another order.
    if ((q.matrix.kind === 'rotary') !== (k.matrix.kind === 'rotary')) return null;
    if (q.matrix.columns !== k.matrix.columns || k.matrix.rows === 1) return null;
    const shape = [...a!.shape.slice(0, -1), b!.shape.at(-1)!];
    return {
      ...{ kind: 'scores', q: q.matrix, k: k.matrix, heads: q.heads, shape },
      ...{ scale: q.factor * k.factor, causal: false, reach: null },
    };
  }),

  binaryRule('scale·scores', ['multiply', 'divide'], (a, b, _context, node) => {
    const factor = uniformTerm(b);
    if (a.kind !== 'scores' || factor === undefined || !keepsShape(a.shape, b.shape)) return null;
    const by = node.attrs.function === 'divide' ? 1 / factor : factor;
    return by > 0 && Number.isFinite(by) ? { ...a, scale: a.scale * by } : null;
  }),

  binaryRule(
    'scores + mask, where every token is there: none, that of a decoder, or of neighbours',
    ['add', 'subtract', 'maximum'],
    (a, b, _context, node) => {
      if (a.kind !== 'scores' || b.kind !== 'known' || !keepsShape(a.shape, b.shape)) return null;
      if (node.attrs.function === 'maximum') return (uniformTerm(b) ?? 0) <= hidden ? a : null;
      const uniform = uniformTerm(b);
      // softmax(s + c) = softmax(s)
      if (uniform !== undefined && Number.isFinite(uniform)) return a;
      return masked(a, b.value, (element) =>
        element <= hidden ? false : element === 0 ? true : null,
      );
    },
  ),

  rule('scores with the mask of an attention op', ['attentionMask'], (_node, [a, b]) => {
    if (a?.kind !== 'scores' || b?.kind !== 'known' || !keepsShape(a.shape, b.shape)) return null;
    const isBoolean = b.value.type === 'bool';
    return masked(a, b.value, (element) =>
      isBoolean ? element !== 0 : element <= hidden ? false : element === 0 ? true : null,
    );
  }),

  rule('where(mask, scores, −∞)', ['where'], (_node, [mask, yes, no]) => {
    if (mask?.kind !== 'known') return null;
    const [scores, other, seen] = yes?.kind === 'scores' ? [yes, no, true] : [no, yes, false];
    const low = uniformTerm(other);
    if (scores?.kind !== 'scores' || low === undefined || !keepsShape(scores.shape, mask.shape)) {
      return null;
    }
    const result = masked(scores, mask.value, (element) => (element !== 0) === seen);
    return result === scores || low <= hidden ? result : null;
  }),

  rule('softmax(scores)', ['softmax'], (node, [x]) => {
    if (x?.kind !== 'scores') return null;
    const { length: rank } = x.shape;
    const axis = axisOf(node.attrs.axis, rank);
    if (axis === rank - 1) return { ...x, kind: 'attentionWeights', keysFirst: false };
    // softmax((k·qᵀ)ᵀ)ᵀ
    if (axis !== rank - 2 || x.causal) return null;
    return { ...x, kind: 'attentionWeights', q: x.k, k: x.q, keysFirst: true };
  }),

  rule('weights·v for each head = attention(q, k, v)', ['matmul'], (_node, [a, b], context) => {
    if (a?.kind !== 'attentionWeights' || a.keysFirst) return null;
    const values = viewTerm(b, context);
    const settled = values === null ? null : withFactorInside(values);
    const v = headsOf(settled, 'rows before columns', context);
    if (v === null || v.heads !== a.heads || v.factor !== 1 || v.matrix.rows === 1) return null;
    const { q, k, heads, causal, reach } = a;
    const width = v.matrix.columns / heads;
    const source: Source = {
      ...{ kind: 'attention', q, k, v: v.matrix, heads, causal, reach },
      scale: tidyScale(a.scale, q.columns / heads),
      rows: q.rows,
      columns: v.matrix.columns,
      name: context.layer,
      depth: depthOf(q, k, v.matrix),
    };
    // (…, queries, columns) seen as (…, heads, queries, columns of a head)
    const queries = a.shape.at(-2)!;
    return moveView(made(source, [queries, v.matrix.columns]), [
      { kind: 'reshape', shape: [queries, heads, width] },
      { kind: 'transpose', order: [1, 0, 2] },
      { kind: 'reshape', shape: [...a.shape.slice(0, -1), width] },
    ]);
  }),

  rule('where(isNaN(weights), 0, weights) = weights', ['where'], (_node, [mask, yes, no]) => {
    const held = uniformTerm(mask);
    if (held === undefined || mask === undefined) return null;
    const chosen = held === 0 ? no : yes;
    if (chosen === undefined || chosen.kind === 'known') return null;
    return keepsShape(chosen.shape, mask.shape) ? chosen : null;
  }),

  rule('isNaN of what is computed: never', ['unary'], (node, [x]) => {
    const { function: name } = node.attrs;
    if ((name !== 'isNaN' && name !== 'isInfinite') || x === undefined) return null;
    if (x.kind === 'unsupported' || x.kind === 'known') return null;
    const value: Value = { type: 'bool', shape: [], read: () => new Uint8Array(1) };
    return { kind: 'known', shape: value.shape, value };
  }),
];

/** Scores that are made so much smaller count for nothing. */
const hidden = -1e3;

/** A mask of ones (or zeros added) is none; a lower triangle is that of a decoder, a band of neighbours. */
function masked(
  scores: TermOf<'scores'>,
  mask: Value,
  isSeen: (element: number) => boolean | null,
): TermOf<'scores'> | null {
  const seen = listOf(mask).map(isSeen);
  if (seen.every((one) => one === true)) return scores;
  const [rows, columns] = [mask.shape.at(-2) ?? 1, mask.shape.at(-1) ?? 1];
  const isSquare =
    rows === columns &&
    rows > 1 &&
    scores.q.rows === 'tokens' &&
    sizeOf(mask.shape) === rows * columns;
  if (!isSquare) return null;
  const sees = (which: (row: number, column: number) => boolean): boolean =>
    seen.every((one, index) => one === which(Math.floor(index / columns), index % columns));
  if (sees((row, column) => column <= row)) return { ...scores, causal: true };
  const reach = seen.slice(0, columns).lastIndexOf(true);
  const isBand = reach >= 0 && sees((row, column) => Math.abs(row - column) <= reach);
  return isBand ? { ...scores, reach: Math.min(reach, scores.reach ?? reach) } : null;
}

/** 1/√width where the scale is that, rounded to float32 on its way. */
function tidyScale(scale: number, width: number): number {
  const usual = 1 / Math.sqrt(width);
  return Math.abs(scale / usual - 1) < 1e-6 ? usual : scale;
}

interface Heads {
  readonly matrix: Source;
  readonly heads: number;
  readonly factor: number;
  /** Of the matrix that the heads are a view of. */
  readonly columns: readonly number[];
}

type Order = 'rows before columns' | 'columns before rows';

function headsOfTerm(term: Term | undefined, order: Order, context: RuleContext): Heads | null {
  if (term?.kind !== 'rotated') return headsOf(viewTerm(term, context), order, context);
  const found = headsOf(term.of, order, context);
  if (found === null || found.matrix.columns !== found.heads * term.width) return null;
  const matrix = rotarySource(found.matrix, found.columns, term);
  return matrix === null ? null : { ...found, matrix };
}

/** The last two axes are a head's matrix; one axis before them, at most, goes over the heads. */
function headsOf(view: View | null, order: Order, context: RuleContext): Heads | null {
  if (view === null || view.shape.length < 2) return null;
  const { shape, factor } = view;
  const rank = shape.length;
  const heads = sizeOf(shape.slice(0, -2));
  const [first, second] = [shape[rank - 2]!, shape[rank - 1]!];
  const [rows, columns] = order === 'rows before columns' ? [first, second] : [second, first];
  const moved = moveView({ ...view, factor: 1 }, [
    { kind: 'reshape', shape: [heads, first, second] },
    { kind: 'transpose', order: order === 'rows before columns' ? [1, 0, 2] : [2, 0, 1] },
  ]);
  if (moved === null || (rows !== context.tokens && rows !== 1)) return null;
  const matrix = matrixOf(moved, context.tokens);
  if (matrix === null || matrix.columns !== heads * columns) return null;
  if (matrix.rows === 1 ? rows !== 1 : rows !== context.tokens) return null;
  return { matrix, heads, factor, columns: layoutOf(moved)!.columns };
}
