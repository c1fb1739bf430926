/** `lm2mcu compress`: searches for a recipe that makes a model small on the user's own task. */
import { mkdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { digestOf } from '../build/out-folder.ts';
import { openSteps } from '../compress/steps.ts';
import { userError } from '../errors.ts';
import { importModel } from '../importers/index.ts';
import { usualMaxTokens, usualMaxTokensText } from '../passes/max-tokens.ts';
import type { Target } from '../targets.ts';
import { findTarget } from './build.ts';
import { defineCommand } from './command.ts';
import { compressDecoder } from './compress-decoder.ts';
import { checkTextsGiven, compressEncoder, fewestTexts } from './compress-encoder.ts';
import { readExamples } from './examples.ts';

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
      requiresArg: true,
      describe: `The longest input, [CLS] and [SEP] included; ${usualMaxTokensText}`,
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
  async run({ model, data, validate, target: targetName, pooling, out, ...flags }, context) {
    const target = findTarget(targetName);
    const maxDrop = checkDrop(flags.maxAccuracyDrop ?? 0.5) / 100;
    const budgetBytes = checkBudget(flags.flashBudget) ?? flashBytes(target);
    const mostMeasured = checkTextCount(flags.texts);
    const imported = importModel(model, pooling === undefined ? {} : { pooling });
    const maxTokens = flags.maxTokens ?? usualMaxTokens(imported.card.maxPositions);
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
    const digest = digestOf(
      new TextEncoder().encode(
        JSON.stringify([
          ...[stepsVersion, imported.card.sha256, examples.digest, validation?.digest],
          ...[maxTokens, mostMeasured],
        ]),
      ),
    );
    const common = {
      modelPath: model,
      imported,
      target,
      maxTokens,
      outDir,
      mostMeasured,
      steps: openSteps(join(outDir, 'steps'), flags.resume),
      digest,
      progress,
    };
    if (imported.card.kind === 'generation') {
      checkTextsGiven(examples.examples.length, data);
      return compressDecoder({
        ...common,
        ...{ dataDigest: examples.digest, data: examples.examples, maxRise },
        validation: validation?.examples ?? null,
        budgetBytes: flags.flashBudget === undefined ? null : budgetBytes,
      });
    }
    return compressEncoder({
      ...common,
      ...{ pooling, maxDrop, budgetBytes, fillsBudget: flags.flashBudget !== undefined },
      ...{ dataPath: data, data: examples, validation },
      showsOptions: flags.options,
    });
  },
});

/** Changes with what steps compute: results of another version are not taken up. */
const stepsVersion = 2;

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
