/** Attention as TFLite composes it, for libraries whose softmax is TFLite's. */
import type { Graph, Node } from '../ir/graph.ts';
import type { Pass } from '../ir/rewrite.ts';
import { hidesKeys } from '../ops/attention.ts';

/** attention(q, k, v) = normalizedAttention(q, k, v), where every row sees all keys */
export const normalizeAttention: Pass<'float'> = {
  name: 'normalize-attention',
  run(graph) {
    const nodes = graph.nodes.map((node): Node<'float'> => {
      if (node.op !== 'attention' || hidesKeys(node.attrs)) return node;
      const { heads, scale } = node.attrs;
      return { ...node, op: 'normalizedAttention', attrs: { heads, scale } };
    });
    return { ...graph, nodes } satisfies Graph<'float'>;
  },
};
