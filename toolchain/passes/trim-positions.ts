/** Keeps only the position embeddings that an inference of at most `maxTokens` tokens can reach. */
import { type Graph, isConstant, type Node, type Tensor, tensorOf } from '../ir/graph.ts';
import { dropDead } from '../ir/rewrite.ts';

/** position' = the first maxTokens rows of position */
export function trimPositions(graph: Graph<'float'>, maxTokens: number): Graph<'float'> {
  const tensors: Record<string, Tensor> = { ...graph.tensors };
  const nodes = graph.nodes.map((node): Node<'float'> => {
    if (node.op !== 'embed' && node.op !== 'embedLayerNorm') return node;
    const table = tensorOf(graph, node.inputs[positionOperand]!);
    const [rows, width] = table.shape as readonly [number, number];
    if (!isConstant(table) || rows <= maxTokens) return node;
    const name = `${table.name}@${maxTokens}`;
    const data = table.data.slice(0, maxTokens * width);
    tensors[name] = { ...table, name, shape: [maxTokens, width], data };
    return { ...node, inputs: node.inputs.with(positionOperand, name) };
  });
  return dropDead({ ...graph, nodes, tensors });
}

const positionOperand = 3;
