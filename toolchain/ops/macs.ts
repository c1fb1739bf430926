import { type Graph, type Node, rowsOf, type Stage, tensorOf } from '../ir/graph.ts';
import { opOf } from './index.ts';

/** Multiply-accumulates of a whole inference over `tokens` tokens. */
export function macsOf(graph: Graph<Stage>, tokens: number): number {
  return graph.nodes.reduce((sum, node) => sum + nodeMacs(graph, node, tokens), 0);
}

function nodeMacs(graph: Graph<Stage>, node: Node, tokens: number): number {
  const shapes = node.inputs.map((name) => tensorOf(graph, name).shape);
  const rows = rowsOf(tensorOf(graph, node.output).shape[0], tokens);
  return rows * opOf(node.op).macsPerRow(shapes, node.attrs, tokens);
}
