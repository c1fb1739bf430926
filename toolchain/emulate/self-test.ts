/** A question whose answer is known: what a module is asked before anything else. */
import type { SelfTest } from '../emit/wasm-model.ts';
import type { Graph } from '../ir/graph.ts';
import { interpret } from './interpreter.ts';

const mostTokens = 24;

/** Tokens from all over the vocabulary, in two segments, and what the interpreter makes of them. */
export function selfTestOf(graph: Graph<'legal'>, maxTokens: number, vocabulary: number): SelfTest {
  const length = Math.min(mostTokens, maxTokens);
  const ids = Array.from({ length }, (_, index) => Math.floor((index * vocabulary) / length));
  const segmentStart = Math.ceil(length / 2);
  const outputs = Array.from(interpret(graph, { ids, segmentStart })[0]!.data);
  return { ids, segmentStart, outputs };
}
