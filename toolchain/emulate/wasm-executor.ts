/** A module in this process as an executor. */
import type { Model } from '../../firmware-templates/wasm/model.d.ts';
import { denseMatrix, outputOf } from '../ir/graph.ts';
import { checkGenerates, checkTokens } from './checks.ts';
import type { Answer, Executor, ExecutorKind } from './executor.ts';
import type { RunnableModel } from './stored-model.ts';

export function inModule(on: ExecutorKind, model: RunnableModel, module: Model): Executor {
  const columns = outputOf(model.graph).shape[1];
  const answer = (outputs: Int16Array, tokens: number, truncated: boolean): Answer => {
    const rows = outputs.length / columns;
    return { tokens, truncated, outputs, rows, columns, instructions: null };
  };
  const generates = model.card.kind === 'generation';
  return {
    on,
    model,
    classify: async ({ text, textPair }) => {
      if (generates) {
        const { ids, truncated } = module.tokenize(text, textPair);
        return answer(module.run(ids), ids.length, truncated);
      }
      const { logits, tokens, truncated } = module.classify(text, textPair);
      return answer(Int16Array.from(logits.flat()), tokens, truncated);
    },
    runTokens: async (tokens) => {
      checkTokens(model, tokens);
      return answer(module.run(tokens.ids, tokens.segmentStart), tokens.ids.length, false);
    },
    generate: async (prompt, options, listener) => {
      checkGenerates(model);
      const tokens =
        'text' in prompt ? module.tokenize(prompt.text) : { ...prompt, truncated: false };
      checkTokens(model, tokens);
      const { mostTokens, temperature, topK, topP, seed } = options;
      const {
        ids,
        stopped,
        complete = null,
      } = await module.generate(tokens, {
        ...{ maxNew: mostTokens, temperature: temperature / 1000, topK },
        ...{ topP: topP / 1000, seed },
        ...(listener === undefined
          ? {}
          : { onToken: (piece) => listener.onText(piece), signal: listener.signal }),
      });
      const { length } = tokens.ids;
      return {
        ...{ tokens: length, truncated: tokens.truncated, generated: ids, stopped, complete },
        instructions: null,
      };
    },
    foresee: (tokens) => {
      const logits = Int16Array.from(module.foresee(tokens.ids));
      return denseMatrix(logits, tokens.ids.length, columns);
    },
    close: async () => {},
  };
}
