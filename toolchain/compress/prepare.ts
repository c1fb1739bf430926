/** What a search is about: the user's texts as tokens, and what the image takes beside tables and weights. */

import type { Example } from '../emulate/stored-model.ts';
import type { ImportedModel } from '../importers/index.ts';
import type { Graph } from '../ir/graph.ts';
import { rowDemand } from '../passes/row-demand.ts';
import { compile } from '../pipeline.ts';
import type { Target } from '../targets.ts';
import { encode } from '../tokenizer/encode.ts';
import type { Tokenizer } from '../tokenizer/parse.ts';
import { linearsOf } from './candidates.ts';
import { dropTokens } from './drop-tokens.ts';
import { sample } from './random.ts';
import { rareTokens } from './rare-tokens.ts';
import { type Dropping, tokenOccurrences } from './search.ts';
import { embeddingTables, type TokenText } from './texts.ts';

export interface ClassifiedExample extends Example {
  /** Index of its class; null where it has none. */
  readonly class: number | null;
}

export interface PreparedTexts {
  readonly fitting: readonly TokenText[];
  readonly measuring: readonly TokenText[];
  /** The texts measured on, as they are. */
  readonly measured: readonly ClassifiedExample[];
  readonly droppings: readonly Dropping[];
}

/** Of the data, to measure on. */
const measuredShare = 0.1;
/** Occurrences up to which a token counts as rare; with 0, texts of the data stay as they are. */
const rareLevels = [0, 1, 2, 4] as const;

/**
 * `validation`: texts to measure on; without it some of the data are held back. Of either no more than
 * `mostMeasured`.
 */
export function prepareTexts(
  tokenizer: Tokenizer,
  data: readonly ClassifiedExample[],
  validation: readonly ClassifiedExample[] | null,
  { maxTokens, mostMeasured }: { readonly maxTokens: number; readonly mostMeasured: number },
): PreparedTexts {
  const count = Math.min(mostMeasured, Math.ceil(data.length * measuredShare));
  const chosen = sample(validation ?? data, validation === null ? count : mostMeasured, 4);
  // In random order, so that the first of them are a sample too.
  const measured = sample(chosen, chosen.length, 5);
  const held = new Set(measured);
  const fitted =
    validation === null && data.length > 1 ? data.filter((one) => !held.has(one)) : data;
  const tokens = encoder(tokenizer, maxTokens);
  const fitting = fitted.map(tokens);
  const measuring = measured.map(tokens);
  const occurrences = tokenOccurrences([...fitting, ...measuring], tokenizer.vocabulary.length);
  const droppings = rareLevels.map((most) => {
    const rare = rareTokens(tokenizer, occurrences, most);
    const inPieces = encoder(dropTokens(tokenizer, rare), maxTokens);
    return { most, tokens: rare, measuring: measured.map(inPieces) };
  });
  return { fitting, measuring, measured, droppings };
}

function encoder(
  tokenizer: Tokenizer,
  maxTokens: number,
): (example: ClassifiedExample) => TokenText {
  return ({ text, textPair, class: label }) => {
    const { ids, segmentStart } = encode(tokenizer, text, textPair, maxTokens);
    return { ids, segmentStart, label };
  };
}

/** The graph that is searched: as imported, with no row computed that nobody needs. */
export function searchedGraph({ graph }: ImportedModel): Graph<'float'> {
  return rowDemand.run(graph);
}

/**
 * Code, vectors and texts of the console; the kernels of compressed tables among them. More than any
 * image has had (42,194 B on a Cortex-M7), so that what is predicted to fit does.
 */
export const codeBytes = 44 * 1024;

export interface FixedBytes {
  /** Beside the word and position table and the weights. */
  readonly bytes: number;
  readonly tokenizerBytesPerToken: number;
}

/** Of an image for that board, with every token in it. */
export function fixedBytesOf(
  modelPath: string,
  imported: ImportedModel,
  target: Target,
  maxTokens: number,
  calibration: readonly Example[],
): FixedBytes {
  const { constantSizes } = compile({
    ...{ modelPath, maxTokens },
    target: withRoom(target),
    // Only sizes are wanted, and they do not depend on the texts.
    calibration: calibration.slice(0, 2),
  });
  const { word, position } = embeddingTables(imported.graph);
  const weights = linearsOf(imported.graph).reduce((sum, { size }) => sum + size, 0);
  const tables = word.rows * word.width + Math.min(position.rows, maxTokens) * position.width;
  const { encoder: encoderBytes, tokenizer, embedding } = constantSizes;
  return {
    bytes: codeBytes + tokenizer + (encoderBytes - weights) + Math.max(0, embedding - tables),
    tokenizerBytesPerToken: tokenizer / word.rows,
  };
}

/** The board with flash for any table: what does not fit is what the search is for. */
export function withRoom(target: Target): Target {
  const regions = target.regions.map((region) =>
    region.name === target.codeRegion ? { ...region, sizeBytes: 2 ** 30, codeOnly: false } : region,
  );
  return { ...target, regions };
}
