/** Rows of tables by token, position and segment, and their sum. */
import { evaluate } from '../primitive/evaluate.ts';
import { arrayFor, lazyValue, listOf, sizeOf, type Value } from '../primitive/value.ts';
import {
  binaryRule,
  known,
  made,
  type Rule,
  type RuleContext,
  rule,
  scalarTerm,
  uniformTerm,
} from './rule.ts';
import { keepsShape } from './rules-linear.ts';
import { type EmbeddingParts, floatsOf, type Source, type SourceOf } from './source.ts';
import type { Term } from './term.ts';
import { layoutOf, type View } from './view.ts';

export const embeddingRules: readonly Rule[] = [
  rule('table[id] = a row of an embedding', ['gather'], (node, [table, ids], context) => {
    if (table?.kind !== 'known' || ids?.kind !== 'ids' || table.value.type === 'bool') return null;
    if (table.shape.length !== 2 || (node.attrs.axis !== 0 && node.attrs.axis !== -2)) return null;
    return lookup(table.value, ids.role, [...ids.shape, table.shape[1]!], context);
  }),

  rule(
    'dequantize(table[id]) = dequantize(table)[id]',
    ['dequantize'],
    (node, operands, context) => {
      const [x, scale, zeroPoint] = operands;
      const source = x === undefined ? null : embeddingOf(x);
      const table = source?.parts.word ?? source?.parts.segment;
      if (source === null || !table || table.type !== 'int' || scale?.kind !== 'known') return null;
      if (sizeOf(scale.shape) !== 1 || (zeroPoint !== undefined && zeroPoint.kind !== 'known')) {
        return null;
      }
      const value = evaluate(node, [table, scale.value, zeroPoint?.value]);
      const role = source.parts.word === null ? 'segment' : 'token';
      return lookup(value, role, x!.shape, context);
    },
  ),

  rule('oneHot(id)·table = table[id]', ['matmul'], (_node, [ids, table], context) => {
    if (ids?.kind !== 'oneHotIds' || table?.kind !== 'known') return null;
    const [rows, columns] = table.shape.slice(-2);
    if (sizeOf(table.shape) !== rows! * columns! || ids.shape.at(-1) !== rows) return null;
    return lookup(table.value, ids.role, [...ids.shape.slice(0, -1), columns!], context);
  }),

  rule('oneHot(id)', ['oneHot'], (node, [ids, depth, values]) => {
    const count = scalarTerm(depth);
    if (ids?.kind !== 'ids' || count === undefined || values?.kind !== 'known') return null;
    const [off, on] = listOf(values.value);
    const isLast = node.attrs.axis === -1 || node.attrs.axis === ids.shape.length;
    if (off !== 0 || on !== 1 || !isLast) return null;
    return { kind: 'oneHotIds', role: ids.role, shape: [...ids.shape, count] };
  }),

  binaryRule('embed + embed, embed + rows of a table: one embedding', ['add'], (a, b, context) => {
    const left = embeddingOf(a);
    if (left === null) return null;
    const right = embeddingOf(b);
    if (right !== null) {
      const parts = joinParts(left.parts, right.parts);
      return parts === null ? null : embedded(parts, left.columns, a.shape, context.layer);
    }
    if (b.kind !== 'known' || !keepsShape(a.shape, b.shape)) return null;
    const parts = joinParts(left.parts, partOf(b.value, left.columns, context));
    return parts === null ? null : embedded(parts, left.columns, a.shape, left.name);
  }),

  binaryRule(
    'factor·embed: an embedding of scaled tables',
    ['multiply', 'divide'],
    (a, b, context, node) => {
      const left = embeddingOf(a);
      const number = scalarTerm(b);
      if (left === null || number === undefined || number === 1) return null;
      const factor = node.attrs.function === 'divide' ? 1 / number : number;
      const scale = (value: Value | null) => (value === null ? null : scaled(value, factor));
      const { word, position, segment, constants } = left.parts;
      const parts: EmbeddingParts = {
        word: scale(word),
        position: position === null ? null : { ...position, table: scaled(position.table, factor) },
        segment: scale(segment),
        constants: constants.map((value) => scaled(value, factor)),
      };
      return embedded(parts, left.columns, a.shape, context.layer);
    },
  ),

  rule('a token id as another number', ['cast'], (node, [ids]) =>
    ids?.kind === 'ids' && node.attrs.to !== 'bool' ? ids : null,
  ),

  rule('id < 0: never', ['binary'], (node, [ids, zero]) => {
    const isQuestion = node.attrs.function === 'less' && uniformTerm(zero) === 0;
    return isQuestion && ids?.kind === 'ids' ? all('bool', ids.shape, 0) : null;
  }),

  binaryRule('0·id = 0·(id + n) = 0', ['multiply'], (ids, zero) => {
    const areIds = ids.kind === 'ids' || ids.kind === 'shiftedIds';
    return areIds && uniformTerm(zero) === 0 ? all('int', ids.shape, 0) : null;
  }),

  binaryRule('id + n, which ids below 0 would be', ['add'], (ids, n) => {
    if (ids.kind !== 'ids' || scalarTerm(n) === undefined) return null;
    return { kind: 'shiftedIds', shape: ids.shape };
  }),

  rule('token = padding: never, for the chip sees no padding', ['binary'], (node, [a, b]) => {
    const ids = a?.kind === 'ids' ? a : b;
    const other = a?.kind === 'ids' ? b : a;
    if (ids?.kind !== 'ids' || ids.role !== 'token' || scalarTerm(other) === undefined) return null;
    const answer = { equal: 0, notEqual: 1, greater: 1 }[node.attrs.function as string];
    if (answer === undefined || (node.attrs.function === 'greater' && scalarTerm(other) !== 0)) {
      return null;
    }
    return all('bool', ids.shape, answer);
  }),
];

function all(type: 'bool' | 'int', shape: readonly number[], element: number): Term {
  const read = () => arrayFor(type, new Array<number>(sizeOf(shape)).fill(element));
  return known(lazyValue(type, shape, read));
}

export const noParts: EmbeddingParts = { word: null, position: null, segment: null, constants: [] };

function lookup(
  table: Value,
  role: 'token' | 'segment',
  shape: readonly number[],
  { layer }: RuleContext,
): Term {
  const parts = { ...noParts, [role === 'token' ? 'word' : 'segment']: table };
  return embedded(parts, shape.at(-1)!, shape, layer);
}

function embedded(
  parts: EmbeddingParts,
  columns: number,
  shape: readonly number[],
  name: string,
): View {
  const source: Source = { kind: 'embed', parts, rows: 'tokens', columns, name, depth: 0 };
  return made(source, shape);
}

/** A view of all of an embedding. */
export function embeddingOf(term: Term): SourceOf<'embed'> | null {
  if (term.kind !== 'view' || term.source.kind !== 'embed' || term.factor !== 1) return null;
  const layout = layoutOf(term);
  const isWhole = layout?.columns.every((column, index) => column === index);
  return isWhole && layout?.columns.length === term.source.columns ? term.source : null;
}

export function joinParts(a: EmbeddingParts, b: EmbeddingParts | null): EmbeddingParts | null {
  if (b === null) return null;
  const clashes = (['word', 'position', 'segment'] as const).some(
    (part) => a[part] !== null && b[part] !== null,
  );
  if (clashes) return null;
  return {
    word: a.word ?? b.word,
    position: a.position ?? b.position,
    segment: a.segment ?? b.segment,
    constants: [...a.constants, ...b.constants],
  };
}

/** Constant rows: of a table from some position on, computed for all positions, or all the same. */
export function partOf(
  value: Value,
  columns: number,
  { tokens }: RuleContext,
): EmbeddingParts | null {
  if (value.shape.at(-1) !== columns) return null;
  if (sizeOf(value.shape) === columns) return { ...noParts, constants: [value] };
  if (value.shape.at(-2) !== tokens || sizeOf(value.shape) !== tokens * columns) return null;
  if (value.rowsOf !== undefined) return { ...noParts, position: value.rowsOf };
  const data = value.read();
  const isSame = Array.from(data).every((element, index) => element === data[index % columns]);
  if (!isSame) return { ...noParts, position: { table: value, firstRow: 0 } };
  const row = lazyValue('float', [columns], () => floatsOf(value).slice(0, columns));
  return { ...noParts, constants: [row] };
}

function scaled(value: Value, factor: number): Value {
  const { name, shape } = value;
  return lazyValue('float', shape, () => floatsOf(value).map((x) => x * factor), { name });
}
