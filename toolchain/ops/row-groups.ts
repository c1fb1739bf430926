/**
 * Rows of a table in groups, each with a table of its own (clusters, tiers): the group of every row,
 * and its number among the rows of that group.
 */
import { allocate } from '../ir/dtypes.ts';
import type { Matrix, Tensor } from '../ir/graph.ts';
import { constantOf, withRows } from './table-rows.ts';

export interface GroupPlace {
  readonly group: number;
  readonly rank: number;
}

const known = new WeakMap<object, Uint16Array>();

/** `groupOf`: (rows, 1). */
export function placeInGroup(groupOf: Matrix, row: number): GroupPlace {
  const { data } = groupOf;
  let ranks = known.get(data);
  if (ranks === undefined) {
    ranks = new Uint16Array(data.length);
    const counts: number[] = [];
    for (const [index, group] of data.entries()) {
      ranks[index] = counts[group] ?? 0;
      counts[group] = ranks[index]! + 1;
    }
    known.set(data, ranks);
  }
  return { group: data[row]!, rank: ranks[row]! };
}

/** Of a table in groups, only the rows of these numbers, in this order; a group may lose all its rows. */
export function takeGroupedRows(
  groupOf: Tensor,
  tables: readonly Tensor[],
  rows: ArrayLike<number>,
): { readonly groupOf: Tensor; readonly tables: readonly Tensor[] } {
  const { data } = constantOf(groupOf);
  const matrix = { data, offset: 0, rows: data.length, columns: 1, stride: 1 };
  const ranks: number[][] = tables.map(() => []);
  for (let to = 0; to < rows.length; to++) {
    const { group, rank } = placeInGroup(matrix, rows[to]!);
    ranks[group]!.push(rank);
  }
  return {
    groupOf: withRows(groupOf, rows),
    tables: tables.map((table, group) =>
      ranks[group]!.length === 0 ? emptyTable(table) : withRows(table, ranks[group]!),
    ),
  };
}

/** A tensor has at least one row. */
function emptyTable(table: Tensor): Tensor {
  const width = table.shape[1];
  return { ...table, shape: [1, width], data: allocate(table.dtype, width) };
}
