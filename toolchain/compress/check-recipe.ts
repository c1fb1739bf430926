/** Whether a recipe fits a model: names, shapes and ranges of everything in it. */
import { assertExhaustive, userError } from '../errors.ts';
import { quote, shorten } from '../importers/files.ts';
import { type Graph, isConstant, type Tensor, tensorOf } from '../ir/graph.ts';
import { operandOf, opOf } from '../ops/index.ts';
import type { CodebookTable, CodedTable, LowRankTable, RowTable } from './coded-table.ts';
import type { CodedWeight, Recipe } from './recipe.ts';

/** Throws one error with all that is wrong. */
export function checkRecipe(graph: Graph<'float'>, recipe: Recipe): void {
  const { tables, weights, others } = constantsByUse(graph);
  const problems = [
    ...checkAll(recipe.tables, tables, 'embedding table', tableProblems),
    ...checkAll(recipe.weights, weights, 'weight of a linear layer', weightProblems),
    ...checkAll(recipe.constants, others, 'other constant', constantProblems),
  ];
  if (problems.length === 0) return;
  const listed = problems.slice(0, mostListed).map((problem) => `\n    ${problem}`);
  const more = problems.length > mostListed ? `\n    and ${problems.length - mostListed} more` : '';
  throw userError({
    code: 'bad-recipe',
    message: `the recipe does not fit the model:${listed.join('')}${more}`,
    where: 'recipe.json',
    hint: 'Make the recipe again with lm2mcu compress, on this model.',
  });
}

const mostListed = 20;

interface Constants {
  readonly tables: ReadonlyMap<string, Tensor>;
  readonly weights: ReadonlyMap<string, Tensor>;
  /** Biases, norms and the like. */
  readonly others: ReadonlyMap<string, Tensor>;
}

function constantsByUse(graph: Graph<'float'>): Constants {
  const tables = new Map<string, Tensor>();
  const weights = new Map<string, Tensor>();
  const others = new Map<string, Tensor>();
  for (const { op, inputs } of graph.nodes) {
    for (const [index, name] of inputs.entries()) {
      const tensor = tensorOf(graph, name);
      if (!isConstant(tensor)) continue;
      const isTable = opOf(op).table !== undefined || operandOf(op, index).reads === 'row';
      const isWeight = op === 'linear' && index === 1;
      (isTable ? tables : isWeight ? weights : others).set(name, tensor);
    }
  }
  return { tables, weights, others };
}

function checkAll<T>(
  entries: Readonly<Record<string, T>>,
  known: ReadonlyMap<string, Tensor>,
  kind: string,
  problemsOf: (value: T, shape: readonly [number, number]) => readonly string[],
): readonly string[] {
  return Object.entries(entries).flatMap(([name, value]) => {
    const tensor = known.get(name);
    if (tensor === undefined) {
      const names = shorten([...known.keys()].join(', '));
      return [`${quote(name)} is no ${kind} of the model; there are ${names}`];
    }
    const shape = tensor.shape as readonly [number, number];
    return problemsOf(value, shape).map((problem) => `${quote(name)}: ${problem}`);
  });
}

function weightProblems(
  { bits, codes, scales }: CodedWeight,
  [rows, columns]: readonly [number, number],
): readonly string[] {
  return [
    ...length('codes', codes, rows * columns),
    ...codesWithin(codes, bits),
    ...length('scales', scales, rows),
    ...positive('scale', scales),
  ];
}

function constantProblems(
  data: Float32Array,
  [rows, columns]: readonly [number, number],
): readonly string[] {
  return [...length('values', data, rows * columns), ...finite('value', data)];
}

function tableProblems(
  table: CodedTable,
  [rows, width]: readonly [number, number],
): readonly string[] {
  if (table.rows !== rows || table.width !== width) {
    return [`it is ${table.rows} rows of ${table.width}, the model has ${rows} of ${width}`];
  }
  switch (table.method) {
    case 'rows':
      return rowProblems(table);
    case 'low-rank':
      return lowRankProblems(table);
    case 'codebooks':
      return codebookProblems(table);
    default:
      return assertExhaustive(table);
  }
}

function rowProblems({ bits, codes, scales, rows, width }: RowTable): readonly string[] {
  return [
    ...length('codes', codes, rows * width),
    ...codesWithin(codes, bits),
    ...(scales.length === 1 ? [] : length('scales', scales, rows)),
    ...positive('scale', scales),
  ];
}

/** Groups are numbered in a byte. */
const mostGroups = 256;

function lowRankProblems({ rows, width, clusterOf, clusters }: LowRankTable): readonly string[] {
  return [
    ...length('clusterOf', clusterOf, rows),
    ...count('clusters', clusters.length, mostGroups),
    ...within('a cluster', clusterOf, 0, clusters.length - 1),
    ...clusters.flatMap(({ rank, bits, factors, projection, offset }, index) => {
      const members = clusterOf.reduce((sum, one) => sum + (one === index ? 1 : 0), 0);
      return [
        ...count('rank', rank, width),
        ...length('factors', factors, members * rank),
        ...codesWithin(factors, bits),
        ...length('projection', projection, rank * width),
        ...finite('projection', projection),
        ...length('offset', offset, width),
        ...finite('offset', offset),
      ].map((problem) => `cluster ${index}: ${problem}`);
    }),
  ];
}

function codebookProblems(table: CodebookTable): readonly string[] {
  const { rows, width, rank, projection, offset, stages, tierOf, tiers } = table;
  return [
    ...count('rank', rank, width),
    ...length('projection', projection, rank * width),
    ...finite('projection', projection),
    ...length('offset', offset, width),
    ...finite('offset', offset),
    ...count('stages', stages.length, mostGroups),
    ...stages.flatMap(({ firstColumn, columns, entries }, index) =>
      [
        ...count('columns', columns, rank - firstColumn),
        ...(Number.isInteger(firstColumn) && firstColumn >= 0 ? [] : ['its first column is none']),
        ...count('entries', entries.length / columns, 256),
        ...finite('entry', entries),
      ].map((problem) => `stage ${index}: ${problem}`),
    ),
    ...length('tierOf', tierOf, rows),
    ...count('tiers', tiers.length, mostGroups),
    ...within('a tier', tierOf, 0, tiers.length - 1),
    ...tiers.flatMap((tier, index) => {
      const members = tierOf.reduce((sum, one) => sum + (one === index ? 1 : 0), 0);
      const beyond = tier.codes.findIndex((code, at) => {
        const stage = stages[at % tier.stages];
        return stage === undefined || code >= stage.entries.length / stage.columns;
      });
      return [
        ...count('stages', tier.stages, stages.length),
        ...length('codes', tier.codes, members * tier.stages),
        ...(beyond < 0 ? [] : [`code ${tier.codes[beyond]} is beyond its codebook`]),
      ].map((problem) => `tier ${index}: ${problem}`);
    }),
  ];
}

function codesWithin(codes: Int8Array, bits: 4 | 8): readonly string[] {
  const largest = bits === 4 ? 7 : 127;
  return within('a code', codes, -largest, largest);
}

function length(what: string, data: ArrayLike<number>, expected: number): readonly string[] {
  return data.length === expected
    ? []
    : [`${what} has ${data.length} elements, ${expected} are needed`];
}

function count(what: string, value: number, most: number): readonly string[] {
  return Number.isInteger(value) && value >= 1 && value <= most
    ? []
    : [`${what} is ${value}, it must be a whole number from 1 to ${most}`];
}

function within(
  what: string,
  data: ArrayLike<number>,
  min: number,
  max: number,
): readonly string[] {
  const at = Array.prototype.findIndex.call(data, (value: number) => value < min || value > max);
  return at < 0 ? [] : [`${what} is ${data[at]}, outside ${min} … ${max}`];
}

function finite(what: string, data: Float32Array): readonly string[] {
  return data.every(Number.isFinite) ? [] : [`${what} is not finite`];
}

function positive(what: string, data: Float32Array): readonly string[] {
  return data.every((value) => value > 0 && Number.isFinite(value))
    ? []
    : [`a ${what} is not positive`];
}
