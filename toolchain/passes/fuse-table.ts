/** Puts an element-wise table into the epilogue of the linear before it, so that it costs a load. */
import type { Graph, Node } from '../ir/graph.ts';
import { dropDead, isReadOnce, type Pass, producersOf } from '../ir/rewrite.ts';

/** table(linear(x)) = linear with the table as its last step */
export const fuseTable: Pass<'quantized'> = {
  name: 'fuse-table',
  run(graph) {
    const producers = producersOf(graph);
    const nodes = graph.nodes.map((node): Node<'quantized'> => {
      if (node.op !== 'activation') return node;
      const source = producers.get(node.inputs[0]!);
      if (source?.op !== 'linear' || !isReadOnce(graph, node.inputs[0]!)) return node;
      return {
        ...source,
        output: node.output,
        integer: { ...source.integer, table: node.integer.table },
      };
    });
    return dropDead({ ...graph, nodes } satisfies Graph<'quantized'>);
  },
};
