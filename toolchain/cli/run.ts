/** `lm2mcu run`: one text through a built model. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Answer, ExecutorName } from '../emulate/executor.ts';
import { duration, megahertz } from '../report/numbers.ts';
import { type AnyTarget, isEngine } from '../targets.ts';
import { onOption, readReport, withBuilt } from './built.ts';
import { defineCommand } from './command.ts';
import { type Head, readHead } from './head.ts';

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
  async run({ dir, text, pair, on }, { progress, onInterrupt }) {
    return withBuilt(dir, on, onInterrupt, async (executor) => {
      progress.report(`run on the ${executor.on}`);
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

/** The answer comes last, where the eye is. */
function describe(
  on: ExecutorName,
  target: AnyTarget,
  answer: Answer,
  head: Head,
  rate: number | null,
): string {
  const { tokens, truncated } = answer;
  return [
    `on        ${on}${on === 'emulator' && !isEngine(target) ? ` (${target.emulation?.machine}, for ${target.name})` : ''}`,
    `tokens    ${tokens}${truncated ? ', the text was cut (build with a larger --max-tokens)' : ''}`,
    ...describeWork(answer, target, rate),
    ...describeHead(head),
  ].join('\n');
}

/** Cycles an instruction, waits for flash among them, as the report of the build estimates them. */
function rateOf(dir: string): number | null {
  if (!existsSync(join(dir, 'report.json'))) return null;
  const { compute, layers } = readReport(dir);
  const instructions = layers.reduce((sum, layer) => sum + layer.estimatedInstructions, 0);
  return instructions === 0 ? null : compute.estimatedCycles / instructions;
}

function describeWork(
  { instructions }: Answer,
  target: AnyTarget,
  rate: number | null,
): readonly string[] {
  if (instructions === null || isEngine(target)) return [];
  const { name, clockHz } = target;
  const { tokenizer, inference } = instructions;
  const count = (value: number) => value.toLocaleString('en-US');
  const work = `work      ${count(inference)} instructions, and ${count(tokenizer)} for the tokenizer`;
  if (rate === null) return [work];
  const estimate = duration(((tokenizer + inference) * rate) / clockHz);
  return [
    work,
    `time      about ${estimate} on ${name} (an estimate: ${rate.toFixed(2)} cycles an instruction, as in the report, at ${megahertz(clockHz)})`,
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
