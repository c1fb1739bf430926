/** The options of `npm run bench mcu`, checked. */
import { parseArgs } from 'node:util';
import { userError } from '../../toolchain/errors.ts';
import { type PlanGoal, planGoals } from '../../toolchain/schedule/plan.ts';
import { type ModelName, models } from './models.ts';

/** Emulated boards by core, as small letters on the command line. */
export const boards = {
  M4: 'mps2-an386',
  M7: 'mps2-an500',
  M33: 'mps2-an505',
  M55: 'mps3-an547',
} as const;
export type CoreName = keyof typeof boards;
export const cores = Object.keys(boards) as CoreName[];

/** A plan to build; `arenaBytes`: on a board whose RAM has room for that arena and no more. */
export interface PlanChoice {
  readonly goal: PlanGoal;
  readonly arenaBytes: number | null;
}

export interface Options {
  readonly models: readonly ModelName[];
  readonly cores: readonly CoreName[];
  readonly tokens: readonly number[];
  readonly plans: readonly PlanChoice[];
  readonly layers: boolean;
  readonly json: boolean;
}

export const usage = `npm run bench mcu -- [options]
  --models tiny,mini           BERT-tiny is the default
  --cores m4,m7,m33,m55        all by default
  --tokens 64,128,512          the default; from 2 to 512
  --plans fits,smallest        the default; also fastest, and fits:137472 for a board with RAM
                               for an arena of that many bytes
  --layers                     also each kind of layer, measured call by call, beside the estimate
  --json                       one JSON object on stdout, and nothing else`;

const defaults = {
  models: 'tiny',
  cores: cores.join(','),
  tokens: '64,128,512',
  plans: 'fits,smallest',
} as const;

export function parseOptions(args: readonly string[]): Options {
  const values = rawOptions(args);
  const list = (name: keyof typeof defaults): readonly string[] =>
    (values[name] ?? defaults[name]).split(',').map((item) => item.trim());
  return {
    models: list('models').map((item) => oneOf('models', models, item)),
    cores: list('cores').map((item) => oneOf('cores', cores, item.toUpperCase())),
    tokens: list('tokens').map(parseTokens),
    plans: list('plans').map(parsePlan),
    layers: values.layers ?? false,
    json: values.json ?? false,
  };
}

function rawOptions(args: readonly string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const options = {
    models: text,
    cores: text,
    tokens: text,
    plans: text,
    layers: flag,
    json: flag,
  };
  try {
    return parseArgs({ args: [...args], options, strict: true }).values;
  } catch (cause) {
    throw badOption(cause instanceof Error ? cause.message.split('. ')[0]! : String(cause));
  }
}

function oneOf<T extends string>(name: string, known: readonly T[], item: string): T {
  const found = known.find((one) => one === item);
  if (found !== undefined) return found;
  const names = known.join(', ');
  throw badOption(`--${name}: there is no ${JSON.stringify(item)}; use some of ${names}`);
}

function parseTokens(item: string): number {
  const tokens = /^\d+$/.test(item) ? Number(item) : Number.NaN;
  if (tokens >= 2 && tokens <= 512) return tokens;
  throw badOption(`--tokens: ${JSON.stringify(item)} is no whole number from 2 to 512`);
}

function parsePlan(item: string): PlanChoice {
  const [name = '', room, ...rest] = item.split(':');
  const goal = oneOf('plans', planGoals, name);
  if (room === undefined) return { goal, arenaBytes: null };
  if (goal === 'fits' && rest.length === 0 && /^[1-9]\d*$/.test(room)) {
    return { goal, arenaBytes: Number(room) };
  }
  throw badOption(`--plans: ${JSON.stringify(item)} is no plan; write fits:137472 for 137,472 B`);
}

function badOption(message: string): Error {
  return userError({ code: 'bad-option', message, hint: usage });
}
