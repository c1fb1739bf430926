/**
 * What smaller caches would cost a built decoder: its integers with each policy in turn, on the same texts,
 * and the arena that its plan then needs.
 */
import { programOf } from '../emulate/executor.ts';
import type { Tokens } from '../emulate/interpreter.ts';
import type { RunnableModel } from '../emulate/stored-model.ts';
import { type CachePolicy, cacheText } from '../passes/cache-policy.ts';
import { limitCache } from '../passes/limit-cache.ts';
import { foresightOf } from './perplexity.ts';

export interface CachePrice {
  /** As `--cache` takes it. */
  readonly cache: string;
  /** Keys, values, and scores where the policy keeps some. */
  readonly cacheBytes: number;
  readonly arenaBytes: number;
  readonly perplexity: number;
}

/** The model must keep all tokens. */
export function cachePrices(
  model: RunnableModel,
  texts: readonly Tokens[],
  progress: (done: number, total: number) => void,
): readonly CachePrice[] {
  const policies = policiesFor(model.maxTokens);
  return policies.map((policy, index) => {
    progress(index, policies.length);
    const graph = limitCache(model.graph, policy);
    const { buffers, arenaBytes } = programOf({ ...model, graph }, model.target.core.features);
    const kept = Object.values(buffers).filter(({ kind }) => kind === 'state');
    return {
      cache: cacheText(policy),
      cacheBytes: kept.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      arenaBytes,
      perplexity: foresightOf(graph, texts).perplexity,
    };
  });
}

/** Of what StreamingLLM keeps. */
const usualSinks = 4;
const usualSteps = 8;

/** All rows, and each policy with a half, a quarter and an eighth of them. */
function policiesFor(maxTokens: number): readonly CachePolicy[] {
  const sizes = [2, 4, 8].map((part) => Math.floor(maxTokens / part)).filter((rows) => rows >= 2);
  return [
    { kind: 'full' },
    ...sizes.flatMap((rows): CachePolicy[] => {
      const sinks = Math.min(usualSinks, rows - 1);
      const heavy = Math.floor(rows / 2);
      const recent = rows - heavy;
      return [
        { kind: 'window', window: rows, sinks: 0 },
        { kind: 'window', window: rows - sinks, sinks },
        { kind: 'heavy', heavy, recent },
        { kind: 'local-sum', heavy, recent, steps: usualSteps },
      ];
    }),
  ];
}
