/** Leaves some rows of embedding tables, in another order. */
import { type Graph, type Node, type Tensor, tensorOf } from '../ir/graph.ts';
import { dropDead } from '../ir/rewrite.ts';
import { opOf } from '../ops/index.ts';
import type { TableAttrs } from '../ops/table-rows.ts';

/** Of a table of `count` rows, the numbers of those that stay. */
export type RowsOf = (count: number) => ArrayLike<number>;

/** table'[i] = table[rows[i]] for the tables with that index; `suffix`: of the new tables' names. */
export function takeTableRows(
  graph: Graph<'float'>,
  index: TableAttrs['index'],
  rowsOf: RowsOf,
  suffix: string,
): Graph<'float'> {
  const tensors: Record<string, Tensor> = { ...graph.tensors };
  const nodes = graph.nodes.map((node): Node<'float'> => {
    const { table } = opOf(node.op);
    if (table === undefined || (node.attrs as TableAttrs).index !== index) return node;
    const operands = node.inputs.map((name) => tensorOf(graph, name));
    const taken = table.take(operands, rowsOf(table.rows(operands)), node.attrs);
    const inputs = taken.map((tensor, operand) => {
      if (tensor === operands[operand]) return tensor.name;
      const name = `${tensor.name}${suffix}`;
      tensors[name] = { ...tensor, name };
      return name;
    });
    return { ...node, inputs };
  });
  return dropDead({ ...graph, nodes, tensors });
}
