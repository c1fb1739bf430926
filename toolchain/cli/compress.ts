/** `lm2mcu compress`: searches for a recipe that makes a model small on the user's own task. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { digestOf } from '../build/out-folder.ts';
import type { Candidate } from '../compress/candidates.ts';
import { chooseEmitted, dropOf } from '../compress/choose.ts';
import { frontTable, optionTable } from '../compress/front-text.ts';
import { emittedBytes, type IntegerLoss, integerLoss } from '../compress/integer-check.ts';
import { fixedBytesOf, prepareTexts, searchedGraph } from '../compress/prepare.ts';
import { sample } from '../compress/random.ts';
import type { Provenance, Recipe } from '../compress/recipe.ts';
import { writeRecipe } from '../compress/recipe-file.ts';
import { type FrontPoint, search } from '../compress/search.ts';
import { openSteps } from '../compress/steps.ts';
import type { TokenText } from '../compress/texts.ts';
import { userError } from '../errors.ts';
import { type ImportedModel, importModel } from '../importers/index.ts';
import { tensorOf } from '../ir/graph.ts';
import { renderCompressPage } from '../report/compress-page.ts';
import type { Target } from '../targets.ts';
import { findTarget } from './build.ts';
import { defineCommand } from './command.ts';
import { compressDecoder } from './compress-decoder.ts';
import { type LabelledExample, readExamples } from './examples.ts';
import { classOf } from './head.ts';

export const compressCommand = defineCommand({
  usage: 'compress <model>',
  summary: 'Search for a recipe that makes a model small on your own task',
  positionals: {
    model: { type: 'string', demandOption: true, describe: 'A folder as Hugging Face writes it' },
  },
  options: {
    data: {
      type: 'string',
      demandOption: true,
      requiresArg: true,
      describe: 'Texts of your task, {"text": …, "label": …} a line; thousands are good',
    },
    validate: {
      type: 'string',
      requiresArg: true,
      describe: 'Other such texts to measure on; without it a tenth of --data is held back',
    },
    target: {
      type: 'string',
      demandOption: true,
      requiresArg: true,
      describe: 'A board (lm2mcu targets), or the path of a board file ending in .json',
    },
    'max-accuracy-drop': {
      type: 'number',
      requiresArg: true,
      describe: 'Percentage points of the texts that may lose their right answer; 0.5 without it',
    },
    'max-perplexity-rise': {
      type: 'number',
      requiresArg: true,
      describe: 'Percent by which the perplexity of a model that generates may rise; 4 without it',
    },
    'flash-budget': {
      type: 'number',
      requiresArg: true,
      describe: 'Bytes for the whole image; without it as few as the accuracy allows',
    },
    'max-tokens': {
      type: 'number',
      default: 128,
      requiresArg: true,
      describe: 'The longest input, [CLS] and [SEP] included',
    },
    texts: {
      type: 'number',
      default: 1000,
      requiresArg: true,
      describe: 'Measure on at most so many texts: more take longer, and tell smaller losses apart',
    },
    pooling: {
      choices: ['cls', 'mean'],
      requiresArg: true,
      describe: 'How an embedding model makes one vector, where its folder does not say',
    },
    out: {
      type: 'string',
      requiresArg: true,
      describe: 'The folder to write; <model>-recipe in the current folder if not given',
    },
    resume: {
      type: 'boolean',
      default: false,
      describe: 'Go on where an earlier search into the same folder was stopped',
    },
    options: {
      type: 'boolean',
      default: false,
      describe: 'Also print what each option of each part does alone',
    },
  },
  examples: [
    [
      'lm2mcu compress examples/debian-sections/model --data train.jsonl --target nrf52840-dk --out build/recipe',
      'The smallest image within half a point',
    ],
    [
      'lm2mcu compress examples/debian-sections/model --data train.jsonl --target nucleo-f746zg --flash-budget 655360 --max-accuracy-drop 1',
      'The best one in 640 KB',
    ],
  ],
  async run(
    { model, data, validate, target: targetName, maxTokens, pooling, out, ...flags },
    context,
  ) {
    const target = findTarget(targetName);
    const maxDrop = checkDrop(flags.maxAccuracyDrop ?? 0.5) / 100;
    const budgetBytes = checkBudget(flags.flashBudget) ?? flashBytes(target);
    const mostMeasured = checkTextCount(flags.texts);
    const imported = importModel(model, pooling === undefined ? {} : { pooling });
    const maxRise = checkRise(flags.maxPerplexityRise ?? 4) / 100;
    checkMeasure(imported.card.kind === 'generation', flags);
    const examples = readExamples(data);
    const validation = validate === undefined ? null : readExamples(validate);
    const outDir = out ?? `${basename(resolve(model))}-recipe`;
    mkdirSync(outDir, { recursive: true });
    const progress = async (phase: string, done: number, total: number): Promise<void> => {
      context.progress.report(phase, done, total);
      await new Promise((resume) => setImmediate(resume));
    };
    const steps = openSteps(join(outDir, 'steps'), flags.resume);
    const digest = digestOf(
      new TextEncoder().encode(
        JSON.stringify([
          ...[stepsVersion, imported.card.sha256, examples.digest, validation?.digest],
          ...[maxTokens, mostMeasured],
        ]),
      ),
    );
    if (imported.card.kind === 'generation') {
      checkTextsGiven(examples.examples.length, data);
      return compressDecoder({
        ...{ modelPath: model, imported, target, maxTokens, outDir, mostMeasured, maxRise },
        ...{ dataDigest: examples.digest, data: examples.examples },
        validation: validation?.examples ?? null,
        budgetBytes: flags.flashBudget === undefined ? null : budgetBytes,
        ...{ steps, digest, progress },
      });
    }
    context.progress.report('tokens of the texts');
    const classified = (list: readonly LabelledExample[]) => withClasses(list, imported);
    const texts = prepareTexts(
      imported.tokenizer,
      classified(examples.examples),
      validation === null ? null : classified(validation.examples),
      { maxTokens, mostMeasured },
    );
    checkTexts(examples.examples.length, texts.fitting, data);
    context.progress.report('sizes of the image');
    const fixed = fixedBytesOf(model, imported, target, maxTokens, examples.examples);
    const saved = texts.droppings[0]!.tokens.length * fixed.tokenizerBytesPerToken;
    const isVector = imported.card.kind === 'embedding';
    const fillsBudget = flags.flashBudget !== undefined;
    const result = await search({
      ...texts,
      graph: searchedGraph(imported),
      maxTokens,
      isVector,
      fixedBytes: Math.round(fixed.bytes - saved),
      ...{ budgetBytes, fillsBudget },
      tokenizerBytesPerToken: fixed.tokenizerBytesPerToken,
      steps,
      digest,
      progress,
    });
    const recipeOf = async (point: FrontPoint): Promise<Recipe> => ({
      ...joined(await result.candidatesOf(point)),
      modelSha256: imported.card.sha256,
      droppedTokens: result.droppedOf(point),
      provenance: {
        command: 'lm2mcu compress',
        data: examples.digest,
        ...(validation === null ? {} : { validation: validation.digest }),
        maxTokens,
        measuredTexts: texts.measuring.length,
        ...measuredLoss(point),
      },
    });
    const calibration = sample(examples.examples, calibrationTexts, 6);
    const request = { modelPath: model, pooling, target, maxTokens, calibration };
    const wish = { maxDrop, budgetBytes, fillsBudget };
    const { front, chosen } = await chooseEmitted(result.front, wish, async (point) => {
      await progress(`emit ${point.word}`, 0, 0);
      return emittedBytes({ ...request, recipe: await recipeOf(point) });
    });
    const recipe = await recipeOf(chosen);
    const integers = await steps.run(
      'integers',
      [digest, String(chosen.bytes), ...chosen.choice.map(String)],
      () =>
        integerLoss(
          { ...request, recipe },
          result.reference,
          texts.measured.slice(0, integerTexts),
          isVector,
          (done, total) => progress('the integers', done, total),
        ),
    );
    const [recipeFile] = writeRecipe(join(outDir, 'recipe.json'), {
      ...recipe,
      provenance: { ...recipe.provenance, predictedBytes: chosen.bytes, integers: { ...integers } },
    });
    const page = renderCompressPage({
      ...{ model: imported.card.name, target: target.title, maxTokens, budgetBytes, maxDrop },
      ...{ chosen, front, options: result.options },
    });
    writeFileSync(join(outDir, 'search.html'), page);
    const json = {
      recipe: recipeFile,
      chosen,
      drop: dropOf(chosen, front),
      integers,
      front,
      options: result.options,
    };
    const tables = [
      ...(flags.options ? [optionTable(result.options)] : []),
      frontTable(front, chosen),
      integerLine(integers),
      `recipe  ${recipeFile}`,
      ...(chosen.loss.accuracyDrop === null ? [unlabelledNote] : []),
    ];
    return { json, text: tables.join('\n\n') };
  },
});

/** Changes with what steps compute: results of another version are not taken up. */
const stepsVersion = 2;
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
const fewestTexts = 20;

function checkTextsGiven(given: number, path: string): void {
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
  const classes = tensorOf(graph, graph.outputs[0]!).shape[1];
  return list.map((example) => ({ ...example, class: classOf(example, card, classes) }));
}

/** Of the region of the code: an image of one piece. */
function flashBytes({ regions, codeRegion }: Target): number {
  return regions.find(({ name }) => name === codeRegion)!.sizeBytes;
}

function checkDrop(points: number): number {
  if (points >= 0 && points <= 100) return points;
  throw userError({
    code: 'bad-accuracy-drop',
    message: '--max-accuracy-drop takes percentage points from 0 to 100',
    hint: 'Use 0.5 for one text in two hundred.',
  });
}

/** A model that generates has a perplexity, the others an accuracy. */
function checkMeasure(
  generates: boolean,
  flags: {
    readonly maxAccuracyDrop: number | undefined;
    readonly maxPerplexityRise: number | undefined;
  },
): void {
  const given = generates ? flags.maxAccuracyDrop : flags.maxPerplexityRise;
  if (given === undefined) return;
  const [wrong, right] = ['--max-accuracy-drop', '--max-perplexity-rise'];
  throw userError({
    code: 'unused-measure',
    message: generates
      ? `${wrong} is for models with an answer; this one generates text`
      : `${right} is for models that generate text; this one does not`,
    hint: `Use ${generates ? right : wrong}.`,
  });
}

function checkRise(percent: number): number {
  if (percent >= 0) return percent;
  throw userError({
    code: 'bad-perplexity-rise',
    message: '--max-perplexity-rise takes percent from 0 on',
    hint: 'Use 4 for a model that foresees its texts nearly as well.',
  });
}

function checkTextCount(count: number): number {
  if (Number.isInteger(count) && count >= fewestTexts) return count;
  throw userError({
    code: 'bad-text-count',
    message: `--texts takes a whole number from ${fewestTexts}`,
    hint: 'Use 1000 for intervals of about a point.',
  });
}

function checkBudget(bytes: number | undefined): number | undefined {
  if (bytes === undefined || (Number.isInteger(bytes) && bytes > 0)) return bytes;
  throw userError({
    code: 'bad-flash-budget',
    message: '--flash-budget takes a whole number of bytes',
    hint: 'Use 655360 for 640 KB.',
  });
}
