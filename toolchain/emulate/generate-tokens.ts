/** Token after token from a function that runs the model, in this process. */
import { endTokensOf } from '../emit/c-generation.ts';
import { constrainedWriter, freeWriter } from '../generate/constrained.ts';
import { tokenChooser } from '../generate/sample.ts';
import { type Matrix, outputScale } from '../ir/graph.ts';
import type { Generated, GenerateOptions, StopReason } from './executor.ts';
import type { Tokens } from './interpreter.ts';
import { type Listener, liveText } from './live-text.ts';
import type { RunnableModel } from './stored-model.ts';

/** As `generate` of firmware-templates/console_generation.h; a listener is given its turn after every token. */
export async function generateTokens(
  model: RunnableModel,
  run: (tokens: Tokens, start: number) => readonly Matrix[],
  { ids }: Tokens,
  options: GenerateOptions,
  listener: Listener | undefined,
): Promise<Omit<Generated, 'truncated'>> {
  const { graph, maxTokens, card, idOrder, constraint } = model;
  const choose = tokenChooser(outputScale(graph), options);
  const ends = endTokensOf({ card, tokenizer: { idOrder } });
  const all = Array.from(ids);
  const generated: number[] = [];
  const writer =
    constraint === undefined ? freeWriter(choose) : constrainedWriter(choose, constraint);
  const live = listener && liveText(model, listener);
  const answer = (stopped: StopReason) => {
    live?.end();
    const complete = constraint === undefined ? null : writer.isComplete();
    return { tokens: ids.length, generated, stopped, complete, instructions: null };
  };
  const most = Math.min(options.mostTokens, maxTokens + 1 - ids.length);
  let logits = Int16Array.of();
  for (let start = 0; generated.length < options.mostTokens; ) {
    if (listener?.signal.aborted) return answer('cancelled');
    if (start === 0 || writer.needsLogits()) {
      logits = Int16Array.from(run({ ids: all, segmentStart: all.length }, start)[0]!.data);
      start = all.length;
    }
    const id = writer.next(logits, most - generated.length);
    if (id === null) return answer('end');
    generated.push(id);
    live?.add(id);
    if (ends.includes(id) || writer.isOver()) return answer('end');
    if (all.length === maxTokens) return answer('context');
    all.push(id);
    if (listener !== undefined) await new Promise((resolve) => setImmediate(resolve));
  }
  return answer('length');
}
