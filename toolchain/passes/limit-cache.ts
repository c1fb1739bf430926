/** Gives every attention of a decoder a cache with fewer rows than there may be tokens. */
import { z } from 'zod';
import type { Graph, Node } from '../ir/graph.ts';

const count = z.int().positive();

export const cachePolicySchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('full') }),
  /** The first `sinks` tokens and the newest `window`. */
  z.strictObject({ kind: z.literal('window'), window: count, sinks: z.int().nonnegative() }),
]);

/** What a decoder's cache keeps of the tokens before. */
export type CachePolicy = Readonly<z.infer<typeof cachePolicySchema>>;

export const fullCache: CachePolicy = { kind: 'full' };

/** Rows of each layer's keys and values; infinite where nothing is lost. */
export function cacheRows(policy: CachePolicy): number {
  return policy.kind === 'full' ? Number.POSITIVE_INFINITY : policy.window + policy.sinks;
}

/** Whether no key is ever further from its query than the cache has rows. */
export function keepsDistances(policy: CachePolicy): boolean {
  return policy.kind === 'window' && policy.sinks === 0;
}

/** causalAttention(q, k, v) = windowAttention(q, k, v), as long as the cache has room. */
export function limitCache(graph: Graph<'float'>, policy: CachePolicy): Graph<'float'> {
  if (policy.kind === 'full') return graph;
  const ring = { rows: cacheRows(policy), pinned: policy.sinks };
  const nodes = graph.nodes.map(
    (node): Node<'float'> =>
      node.op === 'causalAttention'
        ? { ...node, op: 'windowAttention', attrs: { ...node.attrs, ...ring } }
        : node,
  );
  return { ...graph, nodes };
}
