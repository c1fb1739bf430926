/**
 * Keeps −128 out of keys and values, so that an NPU can have them as weights, which are sign and
 * magnitude of 8 bits. The values of other backends change with them: the graph says what all compute.
 */
import type { Graph, Node } from '../ir/graph.ts';

const least = -127;

export function narrowKeys(graph: Graph<'legal'>): Graph<'legal'> {
  const narrowed = new Set(
    graph.nodes.flatMap(({ op, inputs }) => (op === 'attention' ? inputs.slice(1) : [])),
  );
  const nodes = graph.nodes.map((node): Node<'legal'> => {
    if (node.op !== 'linear' || !narrowed.has(node.output)) return node;
    return { ...node, integer: { ...node.integer, min: Math.max(least, node.integer.min) } };
  });
  return { ...graph, nodes };
}
