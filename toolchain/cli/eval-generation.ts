/**
 * `eval` of a model that generates: perplexity, in integers and in float. Machines that give no logits but
 * those behind the last token leave it to the definition of the bits.
 */
import { join } from 'node:path';
import { replaceReport } from '../build/artifacts.ts';
import type { Executor } from '../emulate/executor.ts';
import { compactEncoder, type Example, type RunnableModel } from '../emulate/stored-model.ts';
import { userError } from '../errors.ts';
import { cachePrices } from '../generate/cache-prices.ts';
import { foresightOf } from '../generate/perplexity.ts';
import type { ImportedModel } from '../importers/index.ts';
import { cacheText } from '../passes/cache-policy.ts';
import { floatGraphOf } from '../pipeline.ts';
import { cachePriceLines } from '../report/cache-prices.ts';
import type { CachePricesReport, Report } from '../report/schema.ts';
import type { Output } from './command.ts';
import type { Progress } from './progress.ts';

export interface GenerationOutput extends Output {
  /** For the build's report; null: not asked for. */
  readonly cachePrices: CachePricesReport | null;
}

export function evalGeneration(
  { on, model, foresee }: Pick<Executor, 'on' | 'model' | 'foresee'>,
  imported: ImportedModel | null,
  examples: readonly Example[],
  withCachePrices: boolean,
  progress: Progress,
): GenerationOutput {
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
    cachePrices: prices === null ? null : { examples: texts.length, tokens, prices },
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
      ...(prices === null ? [] : ['', ...cachePriceLines(prices)]),
    ].join('\n'),
  };
}

/** Adds the prices to the report of the build, where the folder can be written. */
export function keepCachePrices(
  dir: string,
  { token, ...report }: Report,
  { cachePrices, ...output }: GenerationOutput,
): Output {
  if (token === undefined || cachePrices === null) return output;
  try {
    replaceReport(dir, { ...report, token: { ...token, cachePrices } });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (!['EACCES', 'EPERM', 'EROFS', 'ENOSPC'].includes(String(code))) throw error;
    return {
      ...output,
      text: `${output.text}\n\n${dir} cannot be written: its report stays as it was`,
    };
  }
  return { ...output, text: `${output.text}\n\nadded to ${join(dir, 'report.html')}` };
}

function needsFullCache({ cache }: RunnableModel) {
  return userError({
    code: 'needs-full-cache',
    message: `the model was built with --cache ${cacheText(cache)}: what others would cost it does not tell`,
    hint: 'Build it with --cache full for --cache-prices.',
  });
}
