/** How well a decoder foresees texts: the float graph, or what became of it in integers. */
import { interpret, type Tokens } from '../emulate/interpreter.ts';
import { type Graph, type Matrix, outputScale, type Stage } from '../ir/graph.ts';
import { everyRow } from '../passes/every-row.ts';

export interface Foresight {
  /** Tokens that were foreseen: all but the first of each text. */
  readonly tokens: number;
  /** e to the mean negative log-likelihood of a token. */
  readonly perplexity: number;
  /** The likeliest token at every place, text after text. */
  readonly likeliest: readonly number[];
}

/** `logitsOf`: a row behind every token of a text; without it what the graph means. */
export function foresightOf(
  graph: Graph<Stage>,
  texts: readonly Tokens[],
  progress?: (done: number, total: number) => void,
  logitsOf: (text: Tokens) => Matrix = logitsByGraph(graph),
): Foresight {
  const scale = outputScale(graph);
  const likeliest: number[] = [];
  let sum = 0;
  for (const [done, text] of texts.entries()) {
    const { data, columns } = logitsOf(text);
    for (let row = 0; row + 1 < text.ids.length; row++) {
      const logits = Float64Array.from(
        data.subarray(row * columns, (row + 1) * columns),
        (logit) => logit * scale,
      );
      const largest = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
      const total = logits.reduce((weights, logit) => weights + Math.exp(logit - largest), 0);
      sum += Math.log(total) + largest - logits[text.ids[row + 1]!]!;
      likeliest.push(logits.indexOf(largest));
    }
    progress?.(done + 1, texts.length);
  }
  const tokens = likeliest.length;
  return { tokens, perplexity: Math.exp(sum / Math.max(1, tokens)), likeliest };
}

function logitsByGraph(graph: Graph<Stage>): (text: Tokens) => Matrix {
  const whole = everyRow(graph);
  return (text) => interpret(whole, text)[0]!;
}
