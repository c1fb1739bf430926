/**
 * `eval` of a model that generates: perplexity, in integers and in float. Machines that give no logits but
 * those behind the last token leave it to the definition of the bits.
 */
import type { Executor } from '../emulate/executor.ts';
import { compactEncoder, type Example, type RunnableModel } from '../emulate/stored-model.ts';
import { userError } from '../errors.ts';
import { type CachePrice, cachePrices } from '../generate/cache-prices.ts';
import { foresightOf } from '../generate/perplexity.ts';
import type { ImportedModel } from '../importers/index.ts';
import { cacheText } from '../passes/cache-policy.ts';
import { floatGraphOf } from '../pipeline.ts';
import type { Output } from './command.ts';
import type { Progress } from './progress.ts';

export function evalGeneration(
  { on, model, foresee }: Pick<Executor, 'on' | 'model' | 'foresee'>,
  imported: ImportedModel | null,
  examples: readonly Example[],
  withCachePrices: boolean,
  progress: Progress,
): Output {
  if (withCachePrices && model.cache.kind !== 'full') throw needsFullCache(model);
  const texts = examples
    .map(compactEncoder(model, model.maxTokens))
    .filter(({ ids }) => ids.length > 1);
  const report = (phase: string) => (done: number, total: number) =>
    progress.report(phase, done, total);
  const where = foresee === null ? 'interpreter' : on;
  const integer = foresightOf(
    model.graph,
    texts,
    report(`evaluate on the ${where}`),
    foresee ?? undefined,
  );
  // What a recipe changed is part of the price.
  const asTrained = { ...model, recipe: null };
  const float =
    imported === null
      ? null
      : foresightOf(floatGraphOf(imported, asTrained), texts, report('evaluate in float'));
  const agreeing = float?.likeliest.filter((id, index) => id === integer.likeliest[index]);
  const agreement = agreeing === undefined ? null : agreeing.length / integer.tokens;
  const floatPerplexity = float?.perplexity ?? null;
  const { perplexity, tokens } = integer;
  const prices = withCachePrices
    ? cachePrices(model, texts, report('caches, by the definition of the bits'))
    : null;
  const none = { floatAccuracy: null, accuracy: null };
  return {
    json: {
      ...{ on: where, examples: texts.length, ...none, agreement, maxLogitError: null },
      ...{ tokens, floatPerplexity, perplexity },
      ...(prices === null ? {} : { cachePrices: prices }),
    },
    text: [
      `on                ${where}, ${texts.length.toLocaleString('en-US')} texts, ${tokens.toLocaleString('en-US')} tokens`,
      `float perplexity  ${floatPerplexity?.toFixed(3) ?? 'not known (--model <model> gives it)'}`,
      `perplexity        ${perplexity.toFixed(3)}${floatPerplexity === null ? '' : ` (${(100 * (perplexity / floatPerplexity - 1)).toFixed(2)} % more)`}`,
      `agreement         ${agreement === null ? 'not known' : `${(100 * agreement).toFixed(2)} % of the likeliest tokens`}`,
      ...(prices === null ? [] : ['', ...describeCaches(prices)]),
    ].join('\n'),
  };
}

function describeCaches(prices: readonly CachePrice[]): readonly string[] {
  const whole = prices[0]!.perplexity;
  const rows = prices.map(({ cache, cacheBytes, arenaBytes, perplexity }) => [
    cache,
    cacheBytes.toLocaleString('en-US'),
    arenaBytes.toLocaleString('en-US'),
    perplexity.toFixed(3),
    `${(100 * (perplexity / whole - 1)).toFixed(1)} %`,
  ]);
  const table = [['--cache', 'cache, B', 'arena, B', 'perplexity', 'more'], ...rows];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  return table.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!),
      )
      .join('  '),
  );
}

function needsFullCache({ cache }: RunnableModel) {
  return userError({
    code: 'needs-full-cache',
    message: `the model was built with --cache ${cacheText(cache)}: what others would cost it does not tell`,
    hint: 'Build it with --cache full for --cache-prices.',
  });
}
