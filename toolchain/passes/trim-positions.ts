/** Keeps only the position embeddings that an inference of at most `maxTokens` tokens can reach. */
import { type Graph, isConstant, type Node, type Tensor, takeRows, tensorOf } from '../ir/graph.ts';
import { dropDead } from '../ir/rewrite.ts';

/** position' = the first maxTokens rows of position */
export function trimPositions(graph: Graph<'float'>, maxTokens: number): Graph<'float'> {
  const tensors: Record<string, Tensor> = { ...graph.tensors };
  const nodes = graph.nodes.map((node): Node<'float'> => {
    if (node.op !== 'embed' && node.op !== 'embedLayerNorm') return node;
    const table = tensorOf(graph, node.inputs[positionOperand]!);
    if (!isConstant(table) || Number(table.shape[0]) <= maxTokens) return node;
    const name = `${table.name}@${maxTokens}`;
    const reached = Array.from({ length: maxTokens }, (_, row) => row);
    tensors[name] = { ...table, name, ...takeRows(table, reached) };
    return { ...node, inputs: node.inputs.with(positionOperand, name) };
  });
  return dropDead({ ...graph, nodes, tensors });
}

const positionOperand = 3;
