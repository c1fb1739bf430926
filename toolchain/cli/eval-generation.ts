/**
 * `eval` of a model that generates: perplexity, in integers and in float. Machines that give no logits but
 * those behind the last token leave it to the definition of the bits.
 */
import type { Executor } from '../emulate/executor.ts';
import { compactEncoder, type Example } from '../emulate/stored-model.ts';
import { foresightOf } from '../generate/perplexity.ts';
import type { ImportedModel } from '../importers/index.ts';
import { floatGraphOf } from '../pipeline.ts';
import type { Output } from './command.ts';
import type { Progress } from './progress.ts';

export function evalGeneration(
  { on, model, foresee }: Pick<Executor, 'on' | 'model' | 'foresee'>,
  imported: ImportedModel | null,
  examples: readonly Example[],
  progress: Progress,
): Output {
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
  const none = { floatAccuracy: null, accuracy: null };
  return {
    json: {
      ...{ on: where, examples: texts.length, ...none, agreement, maxLogitError: null },
      ...{ tokens, floatPerplexity, perplexity },
    },
    text: [
      `on                ${where}, ${texts.length.toLocaleString('en-US')} texts, ${tokens.toLocaleString('en-US')} tokens`,
      `float perplexity  ${floatPerplexity?.toFixed(3) ?? 'not known (--model <model> gives it)'}`,
      `perplexity        ${perplexity.toFixed(3)}${floatPerplexity === null ? '' : ` (${(100 * (perplexity / floatPerplexity - 1)).toFixed(2)} % more)`}`,
      `agreement         ${agreement === null ? 'not known' : `${(100 * agreement).toFixed(2)} % of the likeliest tokens`}`,
    ].join('\n'),
  };
}
