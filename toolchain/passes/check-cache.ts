/** Whether a model can do with a cache policy, and how many tokens it then takes. */
import { userError } from '../errors.ts';
import type { ImportedModel } from '../importers/index.ts';
import { type CachePolicy, cacheRows, cacheText, keepsDistances } from './cache-policy.ts';

/**
 * The most tokens of a text. Rotary positions are angles between a query and a key: where no key is
 * further away than in training, a text has no end. Learned positions end with their table.
 */
export function positionsOf({ card, graph }: ImportedModel, policy: CachePolicy): number {
  const turns = graph.nodes.some(({ op }) => op === 'rotary');
  const isWithin = cacheRows(policy) <= card.maxPositions;
  return turns && keepsDistances(policy) && isWithin ? Number.POSITIVE_INFINITY : card.maxPositions;
}

export function checkCache(policy: CachePolicy, { card }: ImportedModel, maxTokens: number): void {
  if (policy.kind === 'full') return;
  if (card.kind !== 'generation') {
    throw userError({
      code: 'unused-cache',
      message: `${card.name} does not generate text, and has no cache: its kind is ${card.kind}`,
      hint: 'Leave --cache away.',
    });
  }
  const rows = cacheRows(policy);
  if (rows < maxTokens) return;
  throw userError({
    code: 'cache-too-large',
    message: `--cache has ${rows} rows, but a text has ${maxTokens} tokens at most: nothing would ever be dropped`,
    hint: `Use fewer than ${maxTokens} rows in all, a larger --max-tokens, or --cache full.`,
  });
}

/** Modules have kernels for attention over rings only. */
export function checkCacheOfModule(policy: CachePolicy, target: string): void {
  if (policy.kind === 'full' || policy.kind === 'window') return;
  throw userError({
    code: 'unsupported-cache',
    message: `--cache ${cacheText(policy)} is for boards; --target ${target} has no kernel that counts what was looked at`,
    hint: 'Use --cache full or a window, for example --cache window:28,sinks:4.',
  });
}
