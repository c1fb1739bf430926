/** Whether a model can do with a cache policy, and how many tokens it then takes. */
import { userError } from '../errors.ts';
import type { ImportedModel } from '../importers/index.ts';
import { type CachePolicy, cacheRows, cacheText, keepsDistances } from './cache-policy.ts';

/**
 * The most tokens of a text. Rotary positions are angles between a query and a key: where no key is
 * further away than in training, a text has no end. Learned positions end with their table.
 */
export function positionsOf({ card, graph }: ImportedModel, policy: CachePolicy): number {
  const isWithin = cacheRows(policy) <= card.maxPositions;
  return isRotary(graph) && keepsDistances(policy) && isWithin
    ? Number.POSITIVE_INFINITY
    : card.maxPositions;
}

function isRotary(graph: ImportedModel['graph']): boolean {
  return graph.nodes.some(({ op }) => op === 'rotary');
}

export function checkCache(policy: CachePolicy, { card }: ImportedModel, maxTokens: number): void {
  if (policy.kind === 'full') return;
  if (card.kind !== 'generation') {
    throw userError({
      code: 'unused-cache',
      message: `${card.name} does not generate text, and has no cache: its kind is ${card.kind}`,
      hint: 'Leave --cache out.',
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

/** A small cache forgets tokens, but those that it keeps stay where they stood. */
export function checkReach(policy: CachePolicy, model: ImportedModel, maxTokens: number): void {
  const { kind, maxPositions: most } = model.card;
  if (policy.kind === 'full' || kind !== 'generation') return;
  if (!(maxTokens > positionsOf(model, policy))) return;
  const isLearned = !isRotary(model.graph);
  throw userError({
    code: 'bad-max-tokens',
    message: `--max-tokens ${maxTokens} is more than --cache ${cacheText(policy)} can do with`,
    where: isLearned
      ? `positions are learned, ${most} of them: whatever the cache forgets, there is none for the next token`
      : `the tokens that the cache keeps for good would be further from the newest one than the ${most} positions of training`,
    hint: isLearned
      ? `Use --max-tokens ${most} or fewer.`
      : `Use --max-tokens ${most} or fewer, or a window without sinks, --cache window:W,sinks:0.`,
  });
}
