/** The flags of `run` for models that generate, and what it shows of what they said. */
import { printable } from '../../flasher/lines.ts';
import type { Executor, Generated, GenerateOptions, Text } from '../emulate/executor.ts';
import type { Listener } from '../emulate/live-text.ts';
import { userError } from '../errors.ts';
import { textOf } from '../generate/text.ts';
import type { Context } from './command.ts';

export const samplingOptions = {
  'max-new': {
    type: 'number',
    requiresArg: true,
    describe: 'Of a model that generates: the most tokens (64)',
  },
  temperature: {
    type: 'number',
    requiresArg: true,
    describe: '0 takes the likeliest token, 1 each as often as the model says (0)',
  },
  'top-k': { type: 'number', requiresArg: true, describe: 'Only the so many likeliest tokens' },
  'top-p': {
    type: 'number',
    requiresArg: true,
    describe: 'Only the likeliest tokens that together have this share, at most 1',
  },
  seed: { type: 'number', requiresArg: true, describe: 'Of the random choices (0)' },
} as const;

type Flags = { readonly [N in keyof typeof samplingOptions]?: number | undefined };

/** Machines have temperature and share in 1/1000. */
export function generateOptions(flags: Flags): GenerateOptions {
  const whole = (name: keyof Flags, most: number, without: number): number => {
    const value = flags[name] ?? without;
    if (Number.isInteger(value) && value >= 0 && value <= most) return value;
    throw badFlag(name, value, `a whole number from 0 to ${most}`);
  };
  const thousandths = (name: keyof Flags, most: number, without: number): number => {
    const value = flags[name] ?? without;
    if (value >= 0 && value <= most) return Math.round(value * 1000);
    throw badFlag(name, value, `a number from 0 to ${most}`);
  };
  return {
    mostTokens: whole('max-new', 2 ** 31 - 1, 64),
    temperature: thousandths('temperature', 1000, 0),
    topK: whole('top-k', 2 ** 31 - 1, 0),
    topP: thousandths('top-p', 1, 1),
    seed: whole('seed', 2 ** 32 - 1, 0),
  };
}

/** A flag that the model has no use for would be ignored without a word. */
export function checkFlagsFit(
  generates: boolean,
  flags: Flags,
  textPair: string | undefined,
): void {
  if (generates && textPair !== undefined) {
    throw userError({
      code: 'bad-flag',
      message: '--pair is of no use: the model generates, and takes one text',
      hint: 'Put all of the prompt into --text.',
    });
  }
  const names = Object.keys(samplingOptions) as (keyof Flags)[];
  const given = names.find((name) => flags[name] !== undefined);
  if (generates || given === undefined) return;
  throw userError({
    code: 'bad-flag',
    message: `--${given} is of no use: the model does not generate text`,
    hint: `Leave out --${given}.`,
  });
}

function badFlag(name: string, value: number, expected: string) {
  return userError({
    code: 'bad-sampling',
    message: Number.isNaN(value)
      ? `--${name} takes ${expected}`
      : `--${name} ${value} is not ${expected}`,
    hint: 'lm2mcu run --help says what each flag means.',
  });
}

export interface Spoken extends Generated {
  readonly text: string;
  /** Vocabulary ids. */
  readonly ids: readonly number[];
}

export async function speak(
  executor: Executor,
  prompt: Text,
  options: GenerateOptions,
  listener?: Listener,
): Promise<Spoken> {
  const { idOrder, tokenizer } = executor.model;
  const answer = await executor.generate(prompt, options, listener);
  const ids = answer.generated.map((id) => idOrder[id]!);
  return { ...answer, ids, text: textOf(tokenizer, ids) };
}

/**
 * Shows the text while it comes, and then two line ends. Ctrl-C ends it after the token that is being
 * made. What a noisy line changed on its way is shown once more as it is.
 */
export async function speakAloud(
  executor: Executor,
  prompt: Text,
  options: GenerateOptions,
  { show, onCancel }: Pick<Context, 'onCancel'> & { readonly show: (text: string) => void },
): Promise<Spoken> {
  const controller = new AbortController();
  const release = onCancel(() => controller.abort());
  let heard = '';
  const onText = (piece: string): void => {
    heard += piece;
    show(printable(piece));
  };
  try {
    const spoken = await speak(executor, prompt, options, { onText, signal: controller.signal });
    show(heard === spoken.text ? '\n\n' : `\n\n${printable(spoken.text)}\n\n`);
    return spoken;
  } finally {
    release();
  }
}

const reasons: Readonly<Record<Generated['stopped'], string>> = {
  end: 'the text is at its end',
  length: 'as many tokens as asked for (--max-new)',
  context: 'the context is full (build with a larger --max-tokens)',
  cancelled: 'cancelled',
};

export function describeEnd({ ids, stopped, complete, truncated, tokens }: Spoken): string {
  const reason =
    truncated && stopped === 'context'
      ? `the prompt was cut to ${tokens} tokens and leaves room for ${ids.length}: use a shorter one, or build with a larger --max-tokens`
      : reasons[stopped];
  const early = complete === false ? ', before what the constraint demands' : '';
  return `generated ${ids.length} ${ids.length === 1 ? 'token' : 'tokens'}; ${reason}${early}`;
}
