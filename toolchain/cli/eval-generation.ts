/** `eval` of a model that generates: perplexity, in integers and in float, by the definition of the bits. */
import type { RunnableModel } from '../emulate/stored-model.ts';
import { compactEncoder, type Example } from '../emulate/stored-model.ts';
import { foresightOf } from '../generate/perplexity.ts';
import type { ImportedModel } from '../importers/index.ts';
import { floatGraphOf } from '../pipeline.ts';
import type { Output } from './command.ts';
import type { Progress } from './progress.ts';

export function evalGeneration(
  model: RunnableModel,
  imported: ImportedModel | null,
  examples: readonly Example[],
  progress: Progress,
): Output {
  const texts = examples
    .map(compactEncoder(model, model.maxTokens))
    .filter(({ ids }) => ids.length > 1);
  const report = (phase: string) => (done: number, total: number) =>
    progress.report(phase, done, total);
  const integer = foresightOf(model.graph, texts, report('evaluate on the interpreter'));
  const float =
    imported === null
      ? null
      : foresightOf(floatGraphOf(imported, model), texts, report('evaluate in float'));
  const agreeing = float?.likeliest.filter((id, index) => id === integer.likeliest[index]);
  const agreement = agreeing === undefined ? null : agreeing.length / integer.tokens;
  const floatPerplexity = float?.perplexity ?? null;
  const { perplexity, tokens } = integer;
  const none = { floatAccuracy: null, accuracy: null };
  return {
    json: {
      ...{ on: 'interpreter', examples: texts.length, ...none, agreement, maxLogitError: null },
      ...{ tokens, floatPerplexity, perplexity },
    },
    text: [
      `on                interpreter, ${texts.length.toLocaleString('en-US')} texts, ${tokens.toLocaleString('en-US')} tokens`,
      `float perplexity  ${floatPerplexity?.toFixed(3) ?? 'not known (--model <model> gives it)'}`,
      `perplexity        ${perplexity.toFixed(3)}${floatPerplexity === null ? '' : ` (${(100 * (perplexity / floatPerplexity - 1)).toFixed(2)} % more)`}`,
      `agreement         ${agreement === null ? 'not known' : `${(100 * agreement).toFixed(2)} % of the likeliest tokens`}`,
    ].join('\n'),
  };
}
