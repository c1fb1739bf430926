/** `lm2mcu eval`: how good a built model is on labelled texts, beside the float model. */
import { bootstrapInterval } from '../compress/bootstrap.ts';
import type { Answer } from '../emulate/executor.ts';
import { interpret } from '../emulate/interpreter.ts';
import type { RunnableModel } from '../emulate/stored-model.ts';
import { compactEncoder, type Example } from '../emulate/stored-model.ts';
import { userError } from '../errors.ts';
import { indexOfLargest } from '../generate/sample.ts';
import { type ImportedModel, importModel } from '../importers/index.ts';
import { outputOf, outputScale } from '../ir/graph.ts';
import { floatGraphOf, importOptionsOf } from '../pipeline.ts';
import { type KindPrice, priceByKind } from '../quantize/price.ts';
import { encode } from '../tokenizer/encode.ts';
import { onOption, readOwnReport, withBuilt } from './built.ts';
import { defineCommand } from './command.ts';
import { evalGeneration, keepCachePrices } from './eval-generation.ts';
import { readExamples } from './examples.ts';
import { classOf } from './head.ts';

/** Each is run once a kind of layer. */
const priceExamples = 100;

export const evalCommand = defineCommand({
  usage: 'eval <dir>',
  summary: 'Measure a built model on labelled texts, beside the float model',
  positionals: {
    dir: { type: 'string', demandOption: true, describe: 'The folder that lm2mcu build wrote' },
  },
  options: {
    data: {
      type: 'string',
      demandOption: true,
      requiresArg: true,
      describe: 'Texts and their labels, {"text": …, "label": …} a line',
    },
    model: {
      type: 'string',
      requiresArg: true,
      describe: 'The model it was built from, for the float columns',
    },
    on: onOption,
    limit: { type: 'number', requiresArg: true, describe: 'Only the first N texts' },
    price: {
      type: 'boolean',
      default: false,
      describe: `What int8 costs, by kind of layer, on the first ${priceExamples} texts; needs --model`,
    },
    'cache-prices': {
      type: 'boolean',
      default: false,
      describe:
        'What smaller caches would cost a model that generates, in RAM and perplexity; the build’s report then says it, too',
    },
  },
  examples: [
    [
      'lm2mcu eval build/sections --data examples/debian-sections/test.jsonl --limit 100',
      'Accuracy on the emulated board',
    ],
    [
      'lm2mcu eval build/sections --data examples/debian-sections/test.jsonl --model examples/debian-sections/model --on interpreter',
      'Integer against float',
    ],
  ],
  async run(
    { dir, data, model: modelPath, on, limit, price, cachePrices },
    { progress, onInterrupt },
  ) {
    if (price && modelPath === undefined) throw priceNeedsModel();
    const { examples: all } = readExamples(data);
    const examples = limit === undefined ? all : all.slice(0, checkLimit(limit));
    return withBuilt(dir, on, onInterrupt, async (executor) => {
      const { model } = executor;
      const imported = modelPath === undefined ? null : importBuilt(dir, modelPath, model);
      if (model.card.kind === 'generation') {
        // Before the work: what is not ours is not replaced.
        const report = cachePrices ? readOwnReport(dir) : null;
        const output = evalGeneration(executor, imported, examples, cachePrices, progress);
        return report === null ? output : keepCachePrices(dir, report, output);
      }
      if (cachePrices) throw nothingCached(model.card.name);
      const reference = imported === null ? null : floatModel(imported, model);
      const classCount = outputOf(model.graph).shape[1];
      const classes = examples.map((example) => classOf(example, model.card, classCount));
      const tally = newTally(model.card.kind !== 'embedding');
      for (const [index, example] of examples.entries()) {
        progress.report(`evaluate on the ${executor.on}`, index, examples.length);
        const answer = await executor.classify(example);
        tally.add(answer, classes[index]!, reference?.(example) ?? null, outputScale(model.graph));
        // Lets signals and the progress bar in between: the interpreters never wait.
        await new Promise((resolve) => setImmediate(resolve));
      }
      const result = { on: executor.on, examples: examples.length, ...tally.result() };
      if (!price || imported === null) return { json: result, text: describe(result) };
      progress.report('price by kind of layer', 0, 1);
      const prices = priceByKind(
        floatGraphOf(imported, model),
        model.graph,
        examples.slice(0, priceExamples).map(compactEncoder(model, model.maxTokens)),
      );
      return {
        json: { ...result, price: prices },
        text: `${describe(result)}\n\n${describePrices(prices)}`,
      };
    });
  },
});

function checkLimit(limit: number): number {
  if (Number.isInteger(limit) && limit >= 1) return limit;
  throw userError({
    code: 'bad-limit',
    message: Number.isNaN(limit)
      ? '--limit takes a whole number'
      : `--limit ${limit} is not a number of texts`,
    hint: 'Use a whole number from 1.',
  });
}

/** Of integers against floats on the same texts, in percentage points, with its 95 % interval. */
interface AccuracyLoss {
  readonly points: number;
  readonly low: number;
  readonly high: number;
}

interface Scores {
  readonly floatAccuracy: number | null;
  readonly accuracy: number | null;
  readonly accuracyLoss: AccuracyLoss | null;
  /** Share of rows whose largest value is at the same place in float and in integer. */
  readonly agreement: number | null;
  /** Of the real values, over all outputs. */
  readonly maxLogitError: number | null;
}

/** `hasClasses`: the largest of a row's values says something. */
function newTally(hasClasses: boolean) {
  let labelled = 0;
  let right = 0;
  let floatRight = 0;
  const lost: number[] = [];
  let rows = 0;
  let agreeing = 0;
  let compared = 0;
  let maxLogitError = 0;
  return {
    /** `wanted`: the class, or null where there is none. */
    add(answer: Answer, wanted: number | null, float: ArrayLike<number> | null, scale: number) {
      const { outputs, columns } = answer;
      if (wanted !== null) {
        labelled += 1;
        const isRight = Number(indexOfLargest(outputs) === wanted);
        right += isRight;
        if (float !== null) {
          const wasRight = Number(indexOfLargest(float) === wanted);
          floatRight += wasRight;
          lost.push(wasRight - isRight);
        }
      }
      if (float === null) return;
      compared += 1;
      const floats = Float64Array.from(float);
      for (const [index, value] of outputs.entries()) {
        maxLogitError = Math.max(maxLogitError, Math.abs(value * scale - floats[index]!));
      }
      for (let start = 0; hasClasses && columns > 1 && start < outputs.length; start += columns) {
        rows += 1;
        const end = start + columns;
        const same =
          indexOfLargest(outputs.subarray(start, end)) ===
          indexOfLargest(floats.subarray(start, end));
        if (same) agreeing += 1;
      }
    },
    result: (): Scores => ({
      floatAccuracy: compared > 0 && labelled > 0 ? floatRight / labelled : null,
      accuracy: labelled > 0 ? right / labelled : null,
      accuracyLoss: lost.length > 0 ? accuracyLossOf(lost) : null,
      agreement: rows > 0 ? agreeing / rows : null,
      maxLogitError: compared > 0 ? maxLogitError : null,
    }),
  };
}

/** `lost`: of each text, right in float less right in integer. */
function accuracyLossOf(lost: readonly number[]): AccuracyLoss {
  const [low, high] = bootstrapInterval(lost);
  const mean = lost.reduce((sum, one) => sum + one, 0) / lost.length;
  return { points: 100 * mean, low: 100 * low, high: 100 * high };
}

/** Imports the model again; it must be the one that was built. */
function importBuilt(dir: string, modelPath: string, built: RunnableModel): ImportedModel {
  const options = importOptionsOf(built.card.pooling, built.cache, built.maxTokens);
  const imported = importModel(modelPath, options);
  if (imported.card.sha256 === built.card.sha256) return imported;
  throw userError({
    code: 'other-model',
    message: `${JSON.stringify(modelPath)} is not the model that ${JSON.stringify(dir)} was built from`,
    where: modelPath,
    hint: 'Give the model as it was when it was built, or build it again.',
  });
}

/** The float graph as imported, on the same tokens. */
function floatModel(
  { graph, tokenizer }: ImportedModel,
  { maxTokens }: RunnableModel,
): (example: Example) => ArrayLike<number> {
  return ({ text, textPair }) =>
    interpret(graph, encode(tokenizer, text, textPair, maxTokens))[0]!.data;
}

function nothingCached(name: string) {
  return userError({
    code: 'unused-cache',
    message: `${name} does not generate text, and has no cache`,
    hint: 'Leave --cache-prices out.',
  });
}

function priceNeedsModel() {
  return userError({
    code: 'price-needs-model',
    message: '--price compares integers with floats, which graph.bin does not hold',
    hint: 'Give the model as well: --model <model>',
  });
}

function describePrices(prices: readonly KindPrice[]): string {
  const width = Math.max(...prices.map(({ kind }) => kind.length));
  const head = `${'only this as integers'.padEnd(width)}  layers  logit rmse  agreement`;
  const lines = prices.map(({ kind, nodes, logitRmse, agreement }) =>
    [
      kind.padEnd(Math.max(width, 'only this as integers'.length)),
      String(nodes).padStart(6),
      logitRmse.toFixed(5).padStart(10),
      `${(100 * agreement).toFixed(2)} %`.padStart(9),
    ].join('  '),
  );
  return [head, ...lines].join('\n');
}

function describeLoss({ points, low, high }: AccuracyLoss): string {
  return `${points.toFixed(2)} points, ${low.toFixed(2)} to ${high.toFixed(2)} in 95 % of resampled texts`;
}

function describe(result: Scores & { readonly on: string; readonly examples: number }): string {
  const percent = (value: number | null) =>
    value === null ? 'not known' : `${(100 * value).toFixed(2)} %`;
  const { on, examples, accuracy, accuracyLoss, floatAccuracy, agreement, maxLogitError } = result;
  return [
    `on              ${on}, ${examples.toLocaleString('en-US')} texts`,
    `float accuracy  ${percent(floatAccuracy)}`,
    `accuracy        ${percent(accuracy)}`,
    ...(accuracyLoss === null ? [] : [`accuracy loss   ${describeLoss(accuracyLoss)}`]),
    `agreement       ${percent(agreement)}`,
    `logit error     ${maxLogitError === null ? 'not known' : `at most ${maxLogitError.toFixed(4)}`}`,
    ...(floatAccuracy === null && agreement === null
      ? ['(--model <model> gives the float columns)']
      : []),
  ].join('\n');
}
