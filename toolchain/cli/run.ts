/** `lm2mcu run`: one text through a built model. */
import type { Answer, ExecutorName } from '../emulate/executor.ts';
import type { Target } from '../targets.ts';
import { onOption, withBuilt } from './built.ts';
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
        text: describe(executor.on, executor.model.target, answer, head),
      };
    });
  },
});

/** The answer comes last, where the eye is. */
function describe(on: ExecutorName, target: Target, answer: Answer, head: Head): string {
  const { tokens, truncated } = answer;
  return [
    `on        ${on}${on === 'emulator' ? ` (${target.emulation?.machine}, for ${target.name})` : ''}`,
    `tokens    ${tokens}${truncated ? ', the text was cut (build with a larger --max-tokens)' : ''}`,
    ...describeWork(answer, target),
    ...describeHead(head),
  ].join('\n');
}

function describeWork({ instructions }: Answer, { name, clockHz }: Target): readonly string[] {
  if (instructions === null) return [];
  const { tokenizer, inference } = instructions;
  const count = (value: number) => value.toLocaleString('en-US');
  const ms = (((tokenizer + inference) / clockHz) * 1000).toFixed(1);
  return [
    `work      ${count(inference)} instructions, and ${count(tokenizer)} for the tokenizer`,
    `time      about ${ms} ms on ${name} (an estimate: one instruction a cycle at ${clockHz / 1e6} MHz)`,
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
