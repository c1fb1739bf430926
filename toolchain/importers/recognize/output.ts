/** Which output of the user's graph is the model's, and what it is the logits of. */
import { type LayerOutcome, type Lm2mcuError, userError } from '../../errors.ts';
import { quote } from '../files.ts';
import type { PrimitiveGraph } from '../primitive/graph.ts';
import type { Recognized } from './recognize.ts';
import { matrixTerm } from './rule.ts';
import { depthOf, type Source } from './source.ts';
import { surveyLayers } from './survey.ts';
import type { Finish, Problem, Term } from './term.ts';
import { matrixOf } from './view.ts';

export interface ModelOutput {
  readonly source: Source;
  /** What the graph makes of it, which is made beside the model. */
  readonly finish: Finish | null;
  /** As the user calls it. */
  readonly name: string;
}

export function outputOf(
  graph: PrimitiveGraph,
  recognized: Recognized,
  file: string,
  tokens: number,
): ModelOutput {
  const names = chosenOutputs(graph.outputs);
  const layers = () => surveyLayers(graph, recognized);
  const finished = names.map((name) =>
    finishedOutput(recognized.termOf(name), name, file, tokens, layers),
  );
  const [first, second] = finished;
  if (second === undefined) return { ...first!, name: names[0]! };
  // Start and end logits of question answering are columns of one product.
  const joined = joinColumns(first!.source, second.source);
  if (joined === null) throw unsupportedOutput(names.join(' and '), file);
  return { source: joined, finish: null, name: names.join(' and ') };
}

const preferred = [
  /^logits$/i,
  /sentence_embedding/i,
  /logits/i,
  /^(output|probabilities|scores|predictions)/i,
  /last_hidden_state|token_embeddings/i,
];

function chosenOutputs(outputs: readonly string[]): readonly string[] {
  const start = outputs.find((name) => /start_logits/i.test(name));
  const end = outputs.find((name) => /end_logits/i.test(name));
  if (start !== undefined && end !== undefined) return [start, end];
  const chosen = preferred
    .map((pattern) => outputs.find((name) => pattern.test(name)))
    .find((name) => name !== undefined);
  return [chosen ?? outputs[0]!];
}

function finishedOutput(
  term: Term | undefined,
  name: string,
  file: string,
  tokens: number,
  layers: () => readonly LayerOutcome[],
): Omit<ModelOutput, 'name'> {
  if (term?.kind === 'unsupported') throw unsupportedNodes(term.problems, file, layers());
  if (term?.kind === 'finished') {
    const source = matrixOf(term.of, tokens);
    if (source !== null) return { source, finish: term.how };
  }
  if (term?.kind === 'pointwise') {
    // A sigmoid of the logits makes scores of them; it does not change their order.
    const isSigmoid = [-2, 0, 1].every(
      (x) => Math.abs(term.apply(x) - 1 / (1 + Math.exp(-x))) < 1e-6,
    );
    const source = isSigmoid ? matrixOf(term.of, tokens) : null;
    if (source !== null) return { source, finish: 'sigmoid' };
  }
  const context = { tokens, layer: name, storedAs: () => {} };
  const source = matrixTerm(term, context);
  if (source === null) throw unsupportedOutput(name, file);
  return { source, finish: null };
}

function joinColumns(a: Source, b: Source): Source | null {
  if (a.kind !== 'linear' || b.kind !== 'linear' || a.x !== b.x) return null;
  const { inputs } = a.weight;
  const read = () => {
    const both = new Float32Array((a.columns + b.columns) * inputs);
    both.set(a.weight.read());
    both.set(b.weight.read(), a.columns * inputs);
    return both;
  };
  const outputs = a.columns + b.columns;
  const weight = { outputs, inputs, length: outputs * inputs, name: a.weight.name, read };
  const bias = {
    length: outputs,
    name: undefined,
    read: () => {
      const both = new Float32Array(outputs);
      if (a.bias !== null) both.set(a.bias.read());
      if (b.bias !== null) both.set(b.bias.read(), a.columns);
      return both;
    },
  };
  return { ...a, weight, bias, columns: outputs, depth: depthOf(a.x) };
}

const maxListed = 10;

/** All nodes that are in the way, each with its reason; advice once. */
function unsupportedNodes(
  problems: readonly Problem[],
  file: string,
  layers: readonly LayerOutcome[],
): Lm2mcuError {
  const listed = problems
    .slice(0, maxListed)
    .map(({ node, userOp, message }) => `\n    ${quote(node)} (${userOp}) ${message}`);
  const more = problems.length > maxListed ? `\n    and ${problems.length - maxListed} more` : '';
  return userError({
    code: 'unsupported-model',
    message: `the graph computes what no op of ours does:${listed.join('')}${more}`,
    where: `${file}, node ${quote(problems[0]?.node ?? '')}`,
    hint: problems[0]?.hint ?? 'Take the layer out of the model.',
    layers,
  });
}

function unsupportedOutput(name: string, file: string): Lm2mcuError {
  return userError({
    code: 'unsupported-model',
    message: `the output ${quote(name)} is no matrix of activations or logits`,
    where: `${file}, output ${quote(name)}`,
    hint: 'Export the model with its logits, its last hidden state or its sentence embedding as output.',
  });
}
