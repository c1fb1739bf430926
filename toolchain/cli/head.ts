/** What a model's raw integers mean: label and scores, a label a token, or an embedding. */

import type { Answer } from '../emulate/executor.ts';
import type { RunnableModel } from '../emulate/stored-model.ts';
import { assertExhaustive, userError } from '../errors.ts';
import { indexOfLargest } from '../generate/sample.ts';
import type { ModelCard } from '../importers/index.ts';
import { outputScale } from '../ir/graph.ts';
import type { LabelledExample } from './examples.ts';
import { didYouMean } from './suggest.ts';

export interface Head {
  readonly label: string | null;
  /** By label, in the order of the classes; null where the head has none. */
  readonly scores: Readonly<Record<string, number>> | null;
  readonly embedding?: readonly number[];
  readonly tokenLabels?: readonly string[];
  /** The raw integers: a row for a text, a row a token where tokens are labelled. */
  readonly logits: readonly number[] | readonly (readonly number[])[];
}

export function readHead(model: RunnableModel, { outputs, rows, columns }: Answer): Head {
  const { card } = model;
  const scale = outputScale(model.graph);
  const reals = Array.from(outputs, (value) => value * scale);
  const rowsOf = <T>(values: ArrayLike<T>): readonly T[][] =>
    Array.from({ length: rows }, (_, row) =>
      Array.from({ length: columns }, (_, column) => values[row * columns + column]!),
    );
  const labels = labelsOf(card, columns);
  switch (card.kind) {
    case 'classification':
      return {
        label: labels[indexOfLargest(outputs)]!,
        scores: Object.fromEntries(
          scoresOf(card.scores, reals).map((score, index) => [labels[index]!, score]),
        ),
        logits: Array.from(outputs),
      };
    case 'token-classification':
      return {
        label: null,
        scores: null,
        tokenLabels: rowsOf(outputs).map((row) => labels[indexOfLargest(row)]!),
        logits: rowsOf(outputs),
      };
    case 'embedding':
      return { label: null, scores: null, embedding: reals, logits: Array.from(outputs) };
    case 'generation':
      return { label: null, scores: null, logits: Array.from(outputs) };
    default:
      return assertExhaustive(card.kind);
  }
}

/** Names of the classes; their numbers where the model has no names. */
export function labelsOf({ labels }: ModelCard, classes: number): readonly string[] {
  return labels ?? Array.from({ length: classes }, (_, index) => String(index));
}

function scoresOf(kind: ModelCard['scores'], logits: readonly number[]): readonly number[] {
  switch (kind) {
    case 'softmax': {
      const largest = Math.max(...logits);
      const powers = logits.map((logit) => Math.exp(logit - largest));
      const sum = powers.reduce((total, power) => total + power, 0);
      return powers.map((power) => power / sum);
    }
    case 'sigmoid':
      return logits.map((logit) => 1 / (1 + Math.exp(-logit)));
    case 'none':
      return logits;
    default:
      return assertExhaustive(kind);
  }
}

/** The class an example should get; null where the head does not choose one of several. */
export function classOf(
  { label, where }: LabelledExample,
  card: ModelCard,
  classes: number,
): number | null {
  if (label === undefined || card.kind !== 'classification' || classes < 2) return null;
  const labels = labelsOf(card, classes);
  const named = labels.indexOf(label);
  if (named >= 0) return named;
  const number = Number(label);
  if (/^\d+$/.test(label) && number < classes) return number;
  throw userError({
    code: 'unknown-label',
    message: `the model has no label ${JSON.stringify(label)}`,
    where,
    hint: `${didYouMean(label, labels)}Labels are ${labels.join(', ')}, or numbers from 0 to ${classes - 1}.`,
  });
}
