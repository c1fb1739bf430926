/**
 * What MobileBERT writes besides BERT: tokens beside their neighbours, embeddings behind a product, and
 * rows that are scaled by column in place of a norm. The scales go into the product before them:
 *
 *   (x·wᵀ + b + r)·c + β = x·(c·w)ᵀ + (c·b + β) + r·c
 */
import { axisOf } from '../primitive/movement.ts';
import { lazyValue, listOf, sizeOf, type Value } from '../primitive/value.ts';
import { binaryRule, made, type Rule, rule, uniformTerm } from './rule.ts';
import { embeddingOf, joinParts, noParts, partOf } from './rules-embedding.ts';
import { columnVector } from './rules-linear.ts';
import {
  computedReals,
  depthOf,
  type EmbeddingParts,
  floatsOf,
  linearSource,
  type Reals,
  type Source,
  type SourceOf,
  type WeightCodes,
} from './source.ts';
import type { Term } from './term.ts';
import { layoutOf } from './view.ts';

export const bottleneckRules: readonly Rule[] = [
  rule(
    'rows but the first, and zeros; zeros, and rows but the last',
    ['pad'],
    (_node, [x, pads, value, axes], { tokens }) => {
      if (x?.kind !== 'view' || x.factor !== 1 || pads?.kind !== 'known') return null;
      if (axes !== undefined || (value !== undefined && uniformTerm(value) !== 0)) return null;
      const layout = layoutOf({ ...x, row: 0 });
      const { rowAxis } = layout ?? {};
      if (rowAxis == null || !isInOrder(layout!.columns, x.source.columns)) return null;
      const rank = x.shape.length;
      const by = x.row === 1 ? 1 : -1;
      const padded = by === 1 ? rank + rowAxis : rowAxis;
      const list = listOf(pads.value);
      const isOneRow =
        list.length === 2 * rank && list.every((n, i) => n === (i === padded ? 1 : 0));
      if (!isOneRow || x.shape[rowAxis] !== tokens - 1 || x.row !== Math.max(0, by)) return null;
      const shape = x.shape.map((size, axis) => (axis === rowAxis ? tokens : size));
      return { kind: 'shiftedRows', of: x.source, by, shape };
    },
  ),

  rule('(next, own, previous) row of x = trigrams(x)', ['concat'], (node, operands, context) => {
    const [next, own, previous] = operands;
    if (operands.length !== 3 || next?.kind !== 'shiftedRows' || own?.kind !== 'view') return null;
    if (previous?.kind !== 'shiftedRows' || next.by !== 1 || previous.by !== -1) return null;
    const x = wholeOf(own);
    if (x === null || x !== next.of || x !== previous.of) return null;
    const last = own.shape.length - 1;
    if (axisOf(node.attrs.axis, own.shape.length) !== last) return null;
    const columns = 3 * x.columns;
    const { rows } = x;
    const source: Source = {
      ...{ kind: 'trigrams', x, rows, columns },
      ...{ name: context.layer, depth: depthOf(x) },
    };
    return made(source, [...own.shape.slice(0, -1), columns]);
  }),

  binaryRule('linear + rows of tables: embeddings behind a product', ['add'], (a, b, context) => {
    const x = wholeOf(a);
    if (x?.kind !== 'linear' && x?.kind !== 'embedSum') return null;
    const own = b.kind === 'view' ? embeddingOf(b)?.parts : undefined;
    const added = own ?? (b.kind === 'known' ? partOf(b.value, x.columns, context) : null);
    // Rows that are the same for all tokens are a bias.
    if (added == null || added.word !== null || added.constants.length > 0) return null;
    const parts = joinParts(x.kind === 'linear' ? noParts : x.parts, added);
    if (parts === null) return null;
    return made(embedSum(x.kind === 'linear' ? x : x.x, parts, context.layer), a.shape);
  }),

  binaryRule(
    'linear·c, (linear + r)·c, (linear + tables)·c, with a number c a column',
    ['multiply'],
    (a, b, { layer }) => {
      const x = wholeOf(a);
      if (x === null || a.kind !== 'view' || b.kind !== 'known') return null;
      if (x.columns === 1 || sizeOf(b.shape) !== x.columns) return null;
      const c = columnVector(a, b.value);
      if (c === null) return null;
      switch (x.kind) {
        case 'linear':
          // One number may be the factor of a function.
          return uniformTerm(b) === undefined ? made(scaledLinear(x, c), a.shape) : null;
        case 'add': {
          if (x.a.kind !== 'linear') return null;
          const { rows, columns } = x;
          const source: Source = {
            ...{ kind: 'scaledAdd', a: scaledLinear(x.a, c), b: x.b, gamma: c, rows, columns },
            ...{ name: layer, depth: x.depth },
          };
          return made(source, a.shape);
        }
        case 'embedSum': {
          const { position, segment } = x.parts;
          const parts = {
            ...x.parts,
            position: position && { ...position, table: scaledTable(position.table, c) },
            segment: segment && scaledTable(segment, c),
          };
          return made(embedSum(scaledLinear(x.x, c), parts, layer), a.shape);
        }
        default:
          return null;
      }
    },
  ),

  binaryRule('(x + r·c) + β, with β a column: of x', ['add'], (a, b) => {
    const x = wholeOf(a);
    if (x === null || a.kind !== 'view' || b.kind !== 'known') return null;
    const beta = columnVector(a, b.value);
    if (beta === null) return null;
    if (x.kind === 'scaledAdd') return made({ ...x, a: biased(x.a, beta) }, a.shape);
    return x.kind === 'embedSum'
      ? made(embedSum(biased(x.x, beta), x.parts, x.name), a.shape)
      : null;
  }),
];

/** The matrix that a view is all of, in its order. */
function wholeOf(term: Term): Source | null {
  if (term.kind !== 'view' || term.factor !== 1) return null;
  const columns = layoutOf(term)?.columns ?? [];
  return isInOrder(columns, term.source.columns) ? term.source : null;
}

function isInOrder(columns: readonly number[], count: number): boolean {
  return columns.length === count && columns.every((column, index) => column === index);
}

function embedSum(x: SourceOf<'linear'>, parts: EmbeddingParts, name: string): Source {
  const { rows, columns } = x;
  return { kind: 'embedSum', x, parts, rows, columns, name, depth: depthOf(x) };
}

function scaledLinear({ x, weight, bias, name }: SourceOf<'linear'>, c: Reals): SourceOf<'linear'> {
  const { outputs, inputs, length, name: weightName } = weight;
  const codes = weight.codes && scaledCodes(weight.codes, inputs, c.read());
  const read = () => {
    const factors = c.read();
    return weight.read().map((value, index) => value * factors[Math.floor(index / inputs)]!);
  };
  const scaled =
    bias &&
    computedReals(outputs, () => {
      const factors = c.read();
      return bias.read().map((value, column) => value * factors[column]!);
    });
  return linearSource(x, { outputs, inputs, length, name: weightName, codes, read }, scaled, name);
}

/** A step of each output's is worth so much more; a negative number turns its codes, which end at ±127. */
function scaledCodes(
  { scales, read }: WeightCodes,
  inputs: number,
  factors: Float32Array,
): WeightCodes | undefined {
  if (factors.includes(0)) return undefined;
  return {
    scales: scales.map((scale, output) => scale * Math.abs(factors[output]!)),
    read: () =>
      read().map((code, index) => (factors[Math.floor(index / inputs)]! < 0 ? -code : code)),
  };
}

function biased({ x, weight, bias, name }: SourceOf<'linear'>, beta: Reals): SourceOf<'linear'> {
  const sum = computedReals(weight.outputs, () => {
    const own = bias?.read();
    return beta.read().map((value, column) => (own?.[column] ?? 0) + value);
  });
  return linearSource(x, weight, sum, name);
}

function scaledTable(table: Value, c: Reals): Value {
  const { name, shape } = table;
  const read = () => {
    const factors = c.read();
    return floatsOf(table).map((value, index) => value * factors[index % factors.length]!);
  };
  return lazyValue('float', shape, read, { name });
}
