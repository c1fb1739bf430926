/** `lm2mcu compress` for a model with an answer: the smallest image within a loss of accuracy, or the best. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Candidate } from '../compress/candidates.ts';
import { chooseEmitted, dropOf } from '../compress/choose.ts';
import { frontTable, optionTable } from '../compress/front-text.ts';
import { emittedBytes, type IntegerLoss, integerLoss } from '../compress/integer-check.ts';
import {
  fixedBytesOf,
  type PreparedTexts,
  prepareTexts,
  searchedGraph,
} from '../compress/prepare.ts';
import { sample } from '../compress/random.ts';
import type { Provenance, Recipe } from '../compress/recipe.ts';
import { writeRecipe } from '../compress/recipe-file.ts';
import { type FrontPoint, type SearchResult, search } from '../compress/search.ts';
import type { Steps } from '../compress/steps.ts';
import type { TokenText } from '../compress/texts.ts';
import { userError } from '../errors.ts';
import type { ImportedModel, ModelCard } from '../importers/index.ts';
import { outputOf } from '../ir/graph.ts';
import { renderCompressPage } from '../report/compress-page.ts';
import type { Target } from '../targets.ts';
import type { Output } from './command.ts';
import type { ExampleFile, LabelledExample } from './examples.ts';
import { classOf } from './head.ts';

export interface EncoderRequest {
  readonly modelPath: string;
  readonly imported: ImportedModel;
  readonly pooling: NonNullable<ModelCard['pooling']> | undefined;
  readonly target: Target;
  readonly maxTokens: number;
  readonly dataPath: string;
  readonly data: ExampleFile;
  /** Without them some of the data are held back. */
  readonly validation: ExampleFile | null;
  readonly mostMeasured: number;
  /** Of the accuracy, as a share. */
  readonly maxDrop: number;
  readonly budgetBytes: number;
  /** The best within the budget is wanted, and not the smallest within the loss. */
  readonly fillsBudget: boolean;
  readonly outDir: string;
  readonly steps: Steps;
  /** Of everything that the results of steps depend on. */
  readonly digest: string;
  /** Of each part alone, in what is printed. */
  readonly showsOptions: boolean;
  readonly progress: (phase: string, done: number, total: number) => Promise<void>;
}

/** The request, and what all its steps work with. */
interface Job extends EncoderRequest {
  readonly texts: PreparedTexts;
  readonly isVector: boolean;
  readonly result: SearchResult;
}

export async function compressEncoder(request: EncoderRequest): Promise<Output> {
  const job = await searched(request);
  const { maxDrop, budgetBytes, fillsBudget, progress } = job;
  const wish = { maxDrop, budgetBytes, fillsBudget };
  const { front, chosen } = await chooseEmitted(job.result.front, wish, async (point) => {
    await progress(`emit ${point.word}`, 0, 0);
    return emittedBytes({ ...buildOf(job), recipe: await recipeOf(job, point) });
  });
  const recipe = await recipeOf(job, chosen);
  const integers = await checkIntegers(job, chosen, recipe);
  const recipeFile = writeResult(job, { front, chosen, recipe, integers });
  return describe(job, { front, chosen, integers, recipeFile });
}

async function searched(request: EncoderRequest): Promise<Job> {
  const { modelPath, imported, target, maxTokens, mostMeasured, data, validation } = request;
  const { progress } = request;
  await progress('tokens of the texts', 0, 0);
  const classified = ({ examples }: ExampleFile) => withClasses(examples, imported);
  const texts = prepareTexts(
    imported.tokenizer,
    classified(data),
    validation === null ? null : classified(validation),
    { maxTokens, mostMeasured },
  );
  checkTexts(data.examples.length, texts.fitting, request.dataPath);
  await progress('sizes of the image', 0, 0);
  const fixed = fixedBytesOf(modelPath, imported, target, maxTokens, data.examples);
  const saved = texts.droppings[0]!.tokens.length * fixed.tokenizerBytesPerToken;
  const isVector = imported.card.kind === 'embedding';
  const result = await search({
    ...texts,
    graph: searchedGraph(imported),
    maxTokens,
    isVector,
    fixedBytes: Math.round(fixed.bytes - saved),
    ...{ budgetBytes: request.budgetBytes, fillsBudget: request.fillsBudget },
    tokenizerBytesPerToken: fixed.tokenizerBytesPerToken,
    ...{ steps: request.steps, digest: request.digest, progress },
  });
  return { ...request, texts, isVector, result };
}

async function recipeOf(
  { result, imported, data, validation, maxTokens, texts }: Job,
  point: FrontPoint,
): Promise<Recipe> {
  return {
    ...joined(await result.candidatesOf(point)),
    modelSha256: imported.card.sha256,
    droppedTokens: result.droppedOf(point),
    provenance: {
      command: 'lm2mcu compress',
      data: data.digest,
      ...(validation === null ? {} : { validation: validation.digest }),
      maxTokens,
      measuredTexts: texts.measuring.length,
      ...measuredLoss(point),
    },
  };
}

function buildOf({ modelPath, pooling, target, maxTokens, data }: Job) {
  const calibration = sample(data.examples, calibrationTexts, 6);
  return { modelPath, pooling, target, maxTokens, calibration };
}

function checkIntegers(job: Job, chosen: FrontPoint, recipe: Recipe): Promise<IntegerLoss> {
  const { steps, digest, result, texts, isVector, progress } = job;
  return steps.run('integers', [digest, String(chosen.bytes), ...chosen.choice.map(String)], () =>
    integerLoss(
      { ...buildOf(job), recipe },
      result.reference,
      texts.measured.slice(0, integerTexts),
      isVector,
      (done, total) => progress('the integers', done, total),
    ),
  );
}

interface Chosen {
  readonly front: readonly FrontPoint[];
  readonly chosen: FrontPoint;
  readonly integers: IntegerLoss;
}

/** The recipe and the page that shows what it was chosen from; returns the recipe's path. */
function writeResult(
  { outDir, imported, target, maxTokens, budgetBytes, maxDrop, result }: Job,
  { front, chosen, recipe, integers }: Chosen & { readonly recipe: Recipe },
): string {
  const [recipeFile] = writeRecipe(join(outDir, 'recipe.json'), {
    ...recipe,
    provenance: { ...recipe.provenance, predictedBytes: chosen.bytes, integers: { ...integers } },
  });
  const page = renderCompressPage({
    ...{ model: imported.card.name, target: target.title, maxTokens, budgetBytes, maxDrop },
    ...{ chosen, front, options: result.options },
  });
  writeFileSync(join(outDir, 'search.html'), page);
  return recipeFile;
}

function describe(
  { result: { options }, showsOptions }: Job,
  { front, chosen, integers, recipeFile }: Chosen & { readonly recipeFile: string },
): Output {
  const drop = dropOf(chosen, front);
  const json = { recipe: recipeFile, chosen, drop, integers, front, options };
  const tables = [
    ...(showsOptions ? [optionTable(options)] : []),
    frontTable(front, chosen),
    integerLine(integers),
    `recipe  ${recipeFile}`,
    ...(chosen.loss.accuracyDrop === null ? [unlabelledNote] : []),
  ];
  return { json, text: tables.join('\n\n') };
}

/** Calibration needs no more. */
const calibrationTexts = 256;
/** The interpreter is slow. */
const integerTexts = 500;

function integerLine({ texts, accuracyDrop, interval, agreement }: IntegerLoss): string {
  const points = (share: number): string => (100 * share).toFixed(2);
  const lost =
    accuracyDrop === null || interval === null
      ? ''
      : `${points(accuracyDrop)} points lost (${interval.map(points).join(' … ')}), `;
  return `its integers, on ${texts} texts: ${lost}${points(agreement)} % agreement with float`;
}

const unlabelledNote =
  'The texts have no labels of this model: an answer that changed counts as one lost.';

/** Fewer say nothing about half a point. */
export const fewestTexts = 20;

export function checkTextsGiven(given: number, path: string): void {
  if (given >= fewestTexts) return;
  throw userError({
    code: 'too-few-texts',
    message: `${given} texts are too few to search with`,
    where: path,
    hint: textsHint,
  });
}

function checkTexts(given: number, texts: readonly TokenText[], path: string): void {
  checkTextsGiven(given, path);
  const specialTokens = 2;
  if (texts.some(({ ids }) => ids.length > specialTokens)) return;
  throw userError({
    code: 'empty-texts',
    message: 'all texts are empty: there is nothing to measure on',
    where: path,
    hint: textsHint,
  });
}

const textsHint = `Give at least ${fewestTexts} texts of the task, better thousands, {"text": "…"} a line.`;

/** One recipe of the parts' own. */
function joined(
  candidates: readonly Candidate[],
): Pick<Recipe, 'tables' | 'weights' | 'constants'> {
  const all = <K extends 'tables' | 'weights' | 'constants'>(kind: K): Candidate[K] =>
    Object.assign({}, ...candidates.map((candidate) => candidate[kind]));
  return { tables: all('tables'), weights: all('weights'), constants: all('constants') };
}

function measuredLoss({ loss, interval }: FrontPoint): Provenance {
  return { ...loss, accuracyDropInterval: interval };
}

function withClasses(list: readonly LabelledExample[], { card, graph }: ImportedModel) {
  const classes = outputOf(graph).shape[1];
  return list.map((example) => ({ ...example, class: classOf(example, card, classes) }));
}
