/** Which nodes make rows of the inputs alone: the embedding of a token, and what leads to it. */
import { type Graph, type Node, readersOf, type Stage, tensorOf } from '../ir/graph.ts';
import { operandOf } from '../ops/index.ts';

const known = new WeakMap<Graph<Stage>, ReadonlySet<Node>>();

/**
 * Nodes that read inputs, constants, and row by row what other such nodes made for them alone. A row of
 * theirs can be made again at any time; no more than the last of them is read by others.
 */
export function sourceNodes(graph: Graph<Stage>): ReadonlySet<Node> {
  const found = known.get(graph);
  if (found !== undefined) return found;
  const sources = new Set<Node>();
  const alone = new Set<string>();
  const readers = readersOf(graph);
  for (const node of graph.nodes) {
    const isSource = node.inputs.every(
      (name, operand) =>
        tensorOf(graph, name).role !== 'activation' ||
        (operandOf(node.op, operand).reads === 'row' && alone.has(name)),
    );
    if (!isSource) continue;
    sources.add(node);
    const isAlone = readers.get(node.output)?.length === 1 && !graph.outputs.includes(node.output);
    if (isAlone) alone.add(node.output);
  }
  known.set(graph, sources);
  return sources;
}
