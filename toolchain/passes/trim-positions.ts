/** Keeps only the position embeddings that an inference of at most `maxTokens` tokens can reach. */
import { type Graph, type Node, type Tensor, tensorOf } from '../ir/graph.ts';
import { operandOf } from '../ops/index.ts';
import { withRows } from '../ops/table-rows.ts';
import { takeTableRows } from './take-table-rows.ts';

/** position' = the first maxTokens rows of position */
export function trimPositions(graph: Graph<'float'>, maxTokens: number): Graph<'float'> {
  const suffix = `@${maxTokens}`;
  const first = (count: number): readonly number[] => [...Array(Math.min(count, maxTokens)).keys()];
  const tensors: Record<string, Tensor> = { ...graph.tensors };
  const nodes = graph.nodes.map((node): Node<'float'> => {
    const inputs = node.inputs.map((name, operand) => {
      const { role, shape } = tensorOf(graph, name);
      const isByToken = role === 'constant' && operandOf(node.op, operand).reads === 'row';
      if (!isByToken || Number(shape[0]) <= maxTokens) return name;
      const trimmed = withRows(tensorOf(graph, name), first(Number(shape[0])));
      tensors[name + suffix] = { ...trimmed, name: name + suffix };
      return name + suffix;
    });
    return { ...node, inputs };
  });
  return takeTableRows({ ...graph, nodes, tensors }, 'position', first, suffix);
}
