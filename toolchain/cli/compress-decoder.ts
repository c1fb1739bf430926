/** `lm2mcu compress` for a model that generates: matrices in four bits, by the perplexity they cost. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  chooseDecoder,
  type DecoderPoint,
  type DecoderSearchResult,
  searchDecoder,
} from '../compress/decoder-search.ts';
import { columns } from '../compress/front-text.ts';
import { emittedBytes } from '../compress/integer-check.ts';
import { withRoom } from '../compress/prepare.ts';
import { sample } from '../compress/random.ts';
import type { Recipe } from '../compress/recipe.ts';
import { writeRecipe } from '../compress/recipe-file.ts';
import type { Steps } from '../compress/steps.ts';
import type { Tokens } from '../emulate/interpreter.ts';
import { compactEncoder, type Example, parseStoredModel } from '../emulate/stored-model.ts';
import { foresightOf } from '../generate/perplexity.ts';
import type { ImportedModel } from '../importers/index.ts';
import { compile } from '../pipeline.ts';
import { renderDecoderPage } from '../report/compress-decoder-page.ts';
import type { Target } from '../targets.ts';
import { encode } from '../tokenizer/encode.ts';

export interface DecoderRequest {
  readonly modelPath: string;
  readonly imported: ImportedModel;
  readonly target: Target;
  readonly maxTokens: number;
  /** Digest of the data, for the recipe. */
  readonly dataDigest: string;
  readonly data: readonly Example[];
  /** Without them some of the data are held back. */
  readonly validation: readonly Example[] | null;
  readonly mostMeasured: number;
  /** Of the perplexity, as a share. */
  readonly maxRise: number;
  readonly budgetBytes: number | null;
  readonly outDir: string;
  readonly steps: Steps;
  /** Digest of everything that the search's results depend on. */
  readonly digest: string;
  readonly progress: (phase: string, done: number, total: number) => Promise<void>;
}

/** The interpreter is slow. */
const integerTexts = 50;
const calibrationTexts = 256;
/** Of the data, to measure on. */
const measuredShare = 0.25;

export async function compressDecoder(request: DecoderRequest) {
  const { imported, target, maxTokens, modelPath, steps, digest, progress } = request;
  const { fitted, measured } = divide(request);
  const tokens = ({ text }: Example): Tokens =>
    encode(imported.tokenizer, text, undefined, maxTokens);
  const result = await searchDecoder({
    graph: imported.graph,
    fitting: fitted.map(tokens),
    measuring: measured.map(tokens),
    ...{ steps, digest, progress },
  });
  const compiled = {
    modelPath,
    target,
    maxTokens,
    calibration: sample(fitted, calibrationTexts, 6),
  };
  // With a recipe of nothing: without one, flash that is left over is spent on speed.
  const none = recipeOf(request, result, result.points[0]!);
  const int8Bytes = emittedBytes({ ...compiled, recipe: none });
  const { budgetBytes, maxRise } = request;
  const leastSaved = budgetBytes === null ? null : int8Bytes - budgetBytes;
  const chosen = chooseDecoder(result.points, { maxRise, leastSaved });
  const recipe = recipeOf(request, result, chosen);
  const bytes = emittedBytes({ ...compiled, recipe });

  await progress('the integers', 0, 0);
  const { graphBin } = compile({ ...compiled, recipe, target: withRoom(target) });
  const model = parseStoredModel(graphBin);
  const checked = measured.slice(0, integerTexts);
  const integers = await steps.run('decoder integers', [digest, ...chosen.matrices], () => {
    const encoder = compactEncoder(model, maxTokens);
    const float = foresightOf(imported.graph, checked.map(tokens)).perplexity;
    const { perplexity } = foresightOf(model.graph, checked.map(encoder));
    const rise = perplexity / float - 1;
    return { texts: checked.length, floatPerplexity: float, perplexity, rise };
  });
  const [file] = writeRecipe(join(request.outDir, 'recipe.json'), {
    ...recipe,
    provenance: { ...recipe.provenance, bytes, integers },
  });
  const front = result.points.map((point) => ({ ...point, bytes: int8Bytes - point.savedBytes }));
  const page = renderDecoderPage({
    ...{ model: imported.card.name, target: target.title, maxTokens, maxRise, budgetBytes },
    ...{ front, options: result.options },
    chosen: front[result.points.indexOf(chosen)]!,
  });
  writeFileSync(join(request.outDir, 'search.html'), page);
  return {
    json: {
      ...{ recipe: file, chosen: { ...chosen, bytes }, integers, front },
      ...{ options: result.options, floatPerplexity: result.perplexity },
    },
    text: [
      pointTable(front, chosen, result.options.length),
      `its integers, on ${checked.length} texts: perplexity ${integers.perplexity.toFixed(3)}, ${percent(integers.rise)} above float`,
      `recipe  ${file}`,
    ].join('\n\n'),
  };
}

function divide({ data, validation, mostMeasured }: DecoderRequest) {
  const held = sample(data, Math.min(mostMeasured, Math.ceil(data.length * measuredShare)), 4);
  if (validation !== null) return { fitted: data, measured: sample(validation, mostMeasured, 4) };
  const isHeld = new Set(held);
  return { fitted: data.filter((one) => !isHeld.has(one)), measured: held };
}

function recipeOf(
  { imported, dataDigest, maxTokens }: DecoderRequest,
  { candidatesOf, perplexity }: DecoderSearchResult,
  point: DecoderPoint,
): Recipe {
  const candidates = candidatesOf(point);
  return {
    modelSha256: imported.card.sha256,
    tables: {},
    weights: Object.assign({}, ...candidates.map(({ weights }) => weights)),
    constants: Object.assign({}, ...candidates.map(({ constants }) => constants)),
    droppedTokens: new Int32Array(),
    provenance: {
      ...{ command: 'lm2mcu compress', data: dataDigest, maxTokens },
      ...{ floatPerplexity: perplexity, perplexity: point.perplexity },
    },
  };
}

function pointTable(
  points: readonly (DecoderPoint & { readonly bytes: number })[],
  chosen: DecoderPoint,
  matrices: number,
): string {
  return columns([
    ['', 'KB', 'perplexity', 'above float', 'int4'],
    ...points.map((point) => [
      point.matrices === chosen.matrices ? '>' : '',
      (point.bytes / 1024).toFixed(0),
      point.perplexity.toFixed(3),
      percent(point.rise),
      `${point.matrices.length} of ${matrices}`,
    ]),
  ]);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}
