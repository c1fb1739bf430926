/** `lm2mcu run`: one text through a built model. */

import type { Answer, Executor, ExecutorName } from '../emulate/executor.ts';
import { duration, megahertz } from '../report/numbers.ts';
import { type AnyTarget, isEngine } from '../targets.ts';
import { onOption, withBuilt } from './built.ts';
import { defineCommand, type Output } from './command.ts';
import {
  checkFlagsFit,
  describeEnd,
  generateOptions,
  type Spoken,
  samplingOptions,
  speak,
  speakAloud,
} from './generate.ts';
import { type Head, readHead } from './head.ts';
import { type Rate, rateOf } from './rate.ts';

export const runCommand = defineCommand({
  usage: 'run <dir>',
  summary: 'Put one text through a built model',
  positionals: {
    dir: { type: 'string', demandOption: true, describe: 'The folder that lm2mcu build wrote' },
  },
  options: {
    text: {
      type: 'string',
      demandOption: true,
      requiresArg: true,
      describe: 'The text; write --text=… where it begins with a hyphen',
    },
    pair: { type: 'string', requiresArg: true, describe: 'The second text of a pair' },
    on: onOption,
    ...samplingOptions,
  },
  examples: [
    [
      'lm2mcu run build/sections --text "a puzzle game with falling blocks"',
      'On the emulated board',
    ],
    [
      'lm2mcu run build/sections --text "a mail server" --on interpreter --json',
      'Without an emulator, for a program to read',
    ],
  ],
  async run({ dir, text, pair, on, ...flags }, context) {
    const options = generateOptions(flags);
    const { progress, show } = context;
    return withBuilt(dir, on, context.onInterrupt, async (executor) => {
      const generates = executor.model.card.kind === 'generation';
      checkFlagsFit(generates, flags, pair);
      progress.report(`run on the ${executor.on}`);
      if (generates) {
        if (show === null) {
          return outputOf(executor, await speak(executor, { text }, options), rateOf(dir), false);
        }
        const spoken = await speakAloud(executor, { text }, options, { ...context, show });
        const cancelled = spoken.stopped === 'cancelled' ? { exitCode: interruptedExitCode } : {};
        return { ...outputOf(executor, spoken, rateOf(dir), true), ...cancelled };
      }
      const answer = await executor.classify({ text, textPair: pair });
      const head = readHead(executor.model, answer);
      const { tokens, truncated, instructions } = answer;
      return {
        json: { on: executor.on, tokens, truncated, ...head, instructions },
        text: describe(executor.on, executor.model.target, answer, head, rateOf(dir)),
      };
    });
  },
});

/** As a shell has it of a process that Ctrl-C ended. */
const interruptedExitCode = 130;

/** Of a model that generates: `generated` are vocabulary ids. */
function outputOf(executor: Executor, spoken: Spoken, rate: Rate | null, isShown: boolean): Output {
  const { tokens, truncated, ids, text, stopped, complete, instructions } = spoken;
  const head = { label: null, scores: null };
  const { target } = executor.model;
  return {
    json: {
      ...{ on: executor.on, tokens, truncated, ...head, generated: ids, text, stopped },
      ...(complete === null ? {} : { complete }),
      instructions,
    },
    text: [
      ...describeStart(executor.on, target, spoken),
      ...describeWork(spoken, target, rate),
      ...describeRate(spoken, target, rate),
      describeEnd(spoken),
      ...(isShown ? [] : ['', text]),
    ].join('\n'),
  };
}

function describeRate(
  { instructions, ids }: Spoken,
  target: AnyTarget,
  rate: Rate | null,
): readonly string[] {
  // The first token comes of the prompt, and the last one is not computed on.
  const steps = ids.length - 1;
  if (instructions === null || steps < 1 || isEngine(target)) return [];
  const each = instructions.generation / steps;
  const perSecond = rate === null ? null : target.clockHz / (each * rate.cyclesPerTokenInstruction);
  const digits = { maximumFractionDigits: perSecond !== null && perSecond < 100 ? 1 : 0 };
  const speed =
    perSecond === null
      ? ''
      : `, about ${perSecond.toLocaleString('en-US', digits)} tokens a second`;
  const count = Math.round(each).toLocaleString('en-US');
  return [`a token   ${count} instructions${speed}`];
}

/** The answer comes last, where the eye is. */
function describe(
  on: ExecutorName,
  target: AnyTarget,
  answer: Answer,
  head: Head,
  rate: Rate | null,
): string {
  return [
    ...describeStart(on, target, answer),
    ...describeWork(answer, target, rate),
    ...describeHead(head),
  ].join('\n');
}

function describeStart(
  on: ExecutorName,
  target: AnyTarget,
  { tokens, truncated }: Pick<Answer, 'tokens' | 'truncated'>,
): readonly string[] {
  return [
    `on        ${on}${on === 'emulator' && !isEngine(target) ? ` (${target.emulation?.machine}, for ${target.name})` : ''}`,
    `tokens    ${tokens}${truncated ? ', the text was cut (build with a larger --max-tokens)' : ''}`,
  ];
}

function describeWork(
  { instructions }: Pick<Answer, 'instructions'>,
  target: AnyTarget,
  rate: Rate | null,
): readonly string[] {
  if (instructions === null || isEngine(target)) return [];
  const { name, clockHz } = target;
  const { tokenizer, inference } = instructions;
  const count = (value: number) => value.toLocaleString('en-US');
  const work = `work      ${count(inference)} instructions, and ${count(tokenizer)} for the tokenizer`;
  if (rate === null) return [work];
  const { cyclesPerInstruction, npuCycles } = rate;
  const cycles = (tokenizer + inference) * cyclesPerInstruction + npuCycles;
  const waits = npuCycles === 0 ? '' : ` and ${count(npuCycles)} cycles for the NPU`;
  return [
    work,
    `time      about ${duration(cycles / clockHz)} on ${name} (an estimate: ${cyclesPerInstruction.toFixed(2)} cycles an instruction${waits}, as in the report, at ${megahertz(clockHz)})`,
  ];
}

const shownClasses = 5;
const barWidth = 30;

function describeHead({ label, scores, embedding, tokenLabels }: Head): readonly string[] {
  if (tokenLabels !== undefined) return [`labels    ${tokenLabels.join(' ')}`];
  if (embedding !== undefined) {
    const first = embedding.slice(0, 8).map((value) => value.toFixed(4));
    const more = embedding.length > first.length ? ` … (${embedding.length} values)` : '';
    return [`embedding ${first.join(' ')}${more}`];
  }
  const best = Object.entries(scores ?? {})
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, shownClasses);
  const width = Math.max(...best.map(([name]) => name.length));
  const bars = best.map(([name, score]) => {
    const filled = Math.round(Math.min(1, Math.max(0, score)) * barWidth);
    return `  ${name.padEnd(width)}  ${score.toFixed(3)}  ${'#'.repeat(filled)}`;
  });
  return ['scores', ...bars, `label     ${label}`];
}
