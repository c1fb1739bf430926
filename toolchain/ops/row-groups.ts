/**
 * Rows of a table in groups, each with a table of its own (clusters, tiers): the group of every row,
 * and its number among the rows of that group.
 */
import { allocate } from '../ir/dtypes.ts';
import type { Matrix, Tensor } from '../ir/graph.ts';
import { constantOf, withRows } from './table-rows.ts';

export interface GroupPlace {
  readonly group: number;
  /** Its number among the rows of the group. */
  readonly member: number;
}

const known = new WeakMap<object, Uint16Array>();

/** `groupOf`: (rows, 1). */
export function placeInGroup(groupOf: Matrix, row: number): GroupPlace {
  const { data } = groupOf;
  let members = known.get(data);
  if (members === undefined) {
    members = new Uint16Array(data.length);
    const counts: number[] = [];
    for (const [index, group] of data.entries()) {
      members[index] = counts[group] ?? 0;
      counts[group] = members[index]! + 1;
    }
    known.set(data, members);
  }
  return { group: data[row]!, member: members[row]! };
}

/** Of a table in groups, only the rows of these numbers, in this order; a group may lose all its rows. */
export function takeGroupedRows(
  groupOf: Tensor,
  tables: readonly Tensor[],
  rows: ArrayLike<number>,
): { readonly groupOf: Tensor; readonly tables: readonly Tensor[] } {
  const { data } = constantOf(groupOf);
  const matrix = { data, offset: 0, rows: data.length, columns: 1, stride: 1 };
  const members: number[][] = tables.map(() => []);
  for (let to = 0; to < rows.length; to++) {
    const { group, member } = placeInGroup(matrix, rows[to]!);
    members[group]!.push(member);
  }
  return {
    groupOf: withRows(groupOf, rows),
    tables: tables.map((table, group) =>
      members[group]!.length === 0 ? emptyTable(table) : withRows(table, members[group]!),
    ),
  };
}

/** A tensor has at least one row. */
function emptyTable(table: Tensor): Tensor {
  const width = table.shape[1];
  return { ...table, shape: [1, width], data: allocate(table.dtype, width) };
}
