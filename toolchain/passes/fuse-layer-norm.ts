/** Joins a layer normalization with the sum that feeds it, so that the sum is never stored. */
import type { Graph, Node } from '../ir/graph.ts';
import { dropDead, isReadOnce, type Pass, producersOf } from '../ir/rewrite.ts';

/** layerNorm(embed(…)) = embedLayerNorm(…) */
export const fuseEmbedding: Pass<'float'> = {
  name: 'fuse-embedding',
  run: (graph) => fuseSums(graph, { embed: 'embedLayerNorm' }),
};

/** layerNorm(add(a, b)) = addLayerNorm(a, b);  layerNorm(embed(…)) = embedLayerNorm(…) */
export const fuseLayerNorm: Pass<'float'> = {
  name: 'fuse-layer-norm',
  run: (graph) => fuseSums(graph, { add: 'addLayerNorm', embed: 'embedLayerNorm' }),
};

/** The fused op by the op of the sum. */
type Fusions = Readonly<Partial<Record<string, 'addLayerNorm' | 'embedLayerNorm'>>>;

function fuseSums(graph: Graph<'float'>, fusions: Fusions): Graph<'float'> {
  const producers = producersOf(graph);
  const nodes = graph.nodes.map((node): Node<'float'> => {
    if (node.op !== 'layerNorm') return node;
    const [sum, gamma, beta] = node.inputs as readonly [string, string, string];
    const source = producers.get(sum);
    const op = source === undefined ? undefined : fusions[source.op];
    if (source === undefined || op === undefined || !isReadOnce(graph, sum)) return node;
    return { ...node, op, inputs: [...source.inputs, gamma, beta] };
  });
  return dropDead({ ...graph, nodes } satisfies Graph<'float'>);
}
