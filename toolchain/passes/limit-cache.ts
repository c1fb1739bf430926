/** Gives every attention of a decoder a cache with fewer rows than there may be tokens. */
import type { Graph, Node, Stage } from '../ir/graph.ts';
import { type CachePolicy, cacheRows } from './cache-policy.ts';

/** causalAttention(q, k, v) = windowAttention(q, k, v), as long as the cache has room. */
export function limitCache<S extends Stage>(graph: Graph<S>, policy: CachePolicy): Graph<S> {
  if (policy.kind === 'full') return graph;
  const ring = { rows: cacheRows(policy), pinned: policy.sinks };
  const nodes = graph.nodes.map(
    (node): Node<S> =>
      node.op === 'causalAttention'
        ? ({ ...node, op: 'windowAttention', attrs: { ...node.attrs, ...ring } } as Node<S>)
        : node,
  );
  return { ...graph, nodes };
}
