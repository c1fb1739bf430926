/** `lm2mcu design`: the shape of a decoder for a board, before any training. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { configOf, parseArchitecture } from '../design/architecture.ts';
import { weightTypes } from '../design/costs.ts';
import { type Design, type DesignRequest, design, score } from '../design/design.ts';
import { designText, scoreText } from '../design/design-text.ts';
import { defaultDepthToWidth } from '../design/entropy.ts';
import { objectives } from '../design/program.ts';
import { userError } from '../errors.ts';
import { packagePath } from '../package-root.ts';
import { findTarget } from './build.ts';
import { defineCommand } from './command.ts';

export const designCommand = defineCommand({
  usage: 'design',
  summary: 'Find the shape of a decoder for a board, to train it then',
  positionals: {},
  options: {
    target: {
      type: 'string',
      demandOption: true,
      requiresArg: true,
      describe: 'A board (lm2mcu targets), or the path of a board file ending in .json',
    },
    vocab: {
      type: 'number',
      default: 1024,
      requiresArg: true,
      describe: 'Tokens of the vocabulary',
    },
    context: {
      type: 'number',
      default: 128,
      requiresArg: true,
      describe: 'Tokens that a text may have, prompt included',
    },
    'tokens-per-second': {
      type: 'number',
      requiresArg: true,
      describe: 'Speed at the end of a full context; without it any will do',
    },
    'flash-budget': {
      type: 'number',
      requiresArg: true,
      describe: "Bytes for the whole image; without it the board's flash",
    },
    'max-parameters': { type: 'number', requiresArg: true, describe: 'As many at most' },
    weights: {
      choices: weightTypes,
      default: 'int8',
      requiresArg: true,
      describe: 'How the weights of the layers will be stored',
    },
    'share-parameters': {
      type: 'boolean',
      default: false,
      describe: 'The layers of a block may have the same weights',
    },
    'max-depth-to-width': {
      type: 'number',
      default: defaultDepthToWidth,
      requiresArg: true,
      describe: '4 times the layers, by the geometric mean of their widths',
    },
    objective: {
      choices: objectives,
      default: 'entropy',
      requiresArg: true,
      describe: 'What there shall be most of',
    },
    seed: { type: 'number', default: 1, requiresArg: true, describe: 'Of the evolution' },
    score: {
      type: 'string',
      requiresArg: true,
      describe: 'Search nothing: what this config.json amounts to on the board',
    },
    out: {
      type: 'string',
      requiresArg: true,
      describe: 'The folder for config.json and merino.py; without it nothing is written',
    },
  },
  examples: [
    [
      'lm2mcu design --target nucleo-f746zg --tokens-per-second 20 --out build/decoder',
      'The decoder with the most entropy that writes 20 tokens a second',
    ],
    [
      'lm2mcu design --target nrf52840-dk --score build/decoder/config.json',
      'What a decoder takes on another board',
    ],
  ],
  async run(
    { target: targetName, score: scored, out, vocab, context: length, seed, ...flags },
    context,
  ) {
    const target = findTarget(targetName);
    const setting = {
      target,
      weights: flags.weights,
      objective: flags.objective,
      tokensPerSecond: positive('--tokens-per-second', flags.tokensPerSecond),
      flashBudget: positive('--flash-budget', flags.flashBudget),
      maxParameters: positive('--max-parameters', flags.maxParameters),
      maxDepthToWidth: positive('--max-depth-to-width', flags.maxDepthToWidth)!,
    };
    if (scored !== undefined) {
      const result = score(setting, parseArchitecture(readConfig(scored), basename(scored)));
      return { json: jsonOf(result), text: scoreText(result) };
    }
    const request: DesignRequest = {
      ...setting,
      vocabulary: whole('--vocab', vocab),
      context: whole('--context', length),
      seed,
      sharing: flags.shareParameters,
      progress: async (phase, done, total) => {
        context.progress.report(phase, done, total);
        await new Promise((resume) => setImmediate(resume));
      },
    };
    const designed = await design(request);
    const { chosen, limits, solvers, fronts, mostParameters } = designed;
    if (out !== undefined) writeDesign(out, chosen);
    const json = {
      ...jsonOf(chosen),
      target: target.name,
      limits,
      solvers,
      fronts: { bytes: fronts.bytes.map(jsonOf), speed: fronts.speed.map(jsonOf) },
      baselines: { parameters: jsonOf(mostParameters) },
      out: out ?? null,
    };
    const written =
      out === undefined ? [] : ['', `written  ${join(out, 'config.json')}, merino.py`];
    return { json, text: [designText(designed, flags.objective), ...written].join('\n') };
  },
});

function jsonOf(one: Design): object {
  const { architecture, measures, tokensPerSecond, ...rest } = one;
  return { ...measures, tokensPerSecond, ...rest, config: configOf(architecture) };
}

function writeDesign(folder: string, { architecture }: Design): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, 'config.json'),
    `${JSON.stringify(configOf(architecture), null, 2)}\n`,
  );
  copyFileSync(
    packagePath('firmware-templates', 'pytorch', 'merino.py'),
    join(folder, 'merino.py'),
  );
}

function readConfig(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    throw userError({
      code: 'unreadable-config',
      message: `the configuration cannot be read (${code})`,
      where: path,
      hint: 'Give the config.json of a decoder that lm2mcu design wrote.',
    });
  }
}

function positive(flag: string, value: number | undefined): number | undefined {
  if (value === undefined || value > 0) return value;
  throw userError({
    code: 'bad-number',
    message: `${flag} takes a number above 0`,
    hint: 'Leave it out for no limit.',
  });
}

/** Ids are 16 bits wide. */
const most = 0xffff;

function whole(flag: string, value: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw userError({
    code: 'bad-number',
    message: `${flag} takes a whole number from 1 to ${most.toLocaleString('en-US')}`,
    hint: 'Use 1024 tokens and a context of 128 to begin with.',
  });
}
