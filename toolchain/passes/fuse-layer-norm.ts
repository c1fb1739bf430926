/** Joins a layer normalization with the sum that feeds it, so that the sum is never stored. */
import type { Graph, Node } from '../ir/graph.ts';
import { dropDead, isReadOnce, type Pass, producersOf } from '../ir/rewrite.ts';

/** layerNorm(add(a, b)) = addLayerNorm(a, b);  layerNorm(embed(…)) = embedLayerNorm(…) */
export const fuseLayerNorm: Pass<'float'> = {
  name: 'fuse-layer-norm',
  run(graph) {
    const producers = producersOf(graph);
    const nodes = graph.nodes.map((node): Node<'float'> => {
      if (node.op !== 'layerNorm') return node;
      const [sum, gamma, beta] = node.inputs as readonly [string, string, string];
      const source = producers.get(sum);
      if (source === undefined || !isReadOnce(graph, sum)) return node;
      const fused = { ...node, inputs: [...source.inputs, gamma, beta] };
      if (source.op === 'add') return { ...fused, op: 'addLayerNorm' };
      if (source.op === 'embed') return { ...fused, op: 'embedLayerNorm' };
      return node;
    });
    return dropDead({ ...graph, nodes } satisfies Graph<'float'>);
  },
};
