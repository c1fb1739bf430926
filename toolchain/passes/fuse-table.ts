/** Puts an element-wise table into the epilogue of the linear before it, so that it costs a load. */
import type { Graph, Node } from '../ir/graph.ts';
import { dropDead, isReadOnce, producersOf } from '../ir/rewrite.ts';

/**
 * table(linear(x)) = linear with the table as its last step. On a float graph only the shape of that
 * is made, for planning.
 */
export function fuseTable<S extends 'float' | 'quantized'>(graph: Graph<S>): Graph<S> {
  const producers = producersOf(graph);
  const nodes = graph.nodes.map((node): Node<S> => {
    if (node.op !== 'activation') return node;
    const source = producers.get(node.inputs[0]!);
    if (source?.op !== 'linear' || !isReadOnce(graph, node.inputs[0]!)) return node;
    const integer =
      source.integer === null || node.integer === null
        ? null
        : { ...source.integer, table: node.integer.table };
    const attrs = integer === null ? { hasTable: true } : source.attrs;
    return { ...source, output: node.output, integer, attrs } as Node<S>;
  });
  return dropDead({ ...graph, nodes });
}
