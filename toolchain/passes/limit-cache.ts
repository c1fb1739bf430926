/** Gives every attention of a decoder a cache with fewer rows than there may be tokens. */
import type { Graph, Node, Stage } from '../ir/graph.ts';
import { type CachePolicy, cacheRows } from './cache-policy.ts';

/** causalAttention(q, k, v) = the policy's attention(q, k, v), as long as the cache has room. */
export function limitCache<S extends Stage>(graph: Graph<S>, policy: CachePolicy): Graph<S> {
  if (policy.kind === 'full') return graph;
  const form = attentionOf(policy);
  const nodes = graph.nodes.map(
    (node): Node<S> =>
      node.op === 'causalAttention'
        ? ({ ...node, op: form.op, attrs: { ...node.attrs, ...form.attrs } } as Node<S>)
        : node,
  );
  return { ...graph, nodes };
}

function attentionOf(policy: Exclude<CachePolicy, { readonly kind: 'full' }>) {
  const rows = cacheRows(policy);
  if (policy.kind === 'window') {
    return { op: 'windowAttention', attrs: { rows, pinned: policy.sinks } } as const;
  }
  const steps = policy.kind === 'heavy' ? 0 : policy.steps;
  return { op: 'heavyAttention', attrs: { rows, pinned: policy.heavy, steps } } as const;
}
