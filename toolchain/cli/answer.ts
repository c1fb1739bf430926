/**
 * From the words of a command line to what is printed: chooses the subcommand, and says in our words what
 * is wrong with them.
 */
import yargs, { type Argv } from 'yargs';
import { exitCodes, formatError, internalError, Lm2mcuError, userError } from '../errors.ts';
import { packageVersion } from '../package-root.ts';
import { type Command, type Context, commonOptions, exitCodeHelp, type Output } from './command.ts';
import { commands } from './commands.ts';
import { didYouMean } from './suggest.ts';

/** What a process leaves behind. */
export interface Printed {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

/** Known before parsing: a flag that cannot be parsed is answered in JSON too. */
export function wantsJson(args: readonly string[]): boolean {
  return isAskedFor('json', args);
}

export function printOutput({ json, text, exitCode = 0 }: Output, asJson: boolean): Printed {
  const stdout = asJson ? `${JSON.stringify(json)}\n` : `${text}\n`;
  return { stdout, stderr: '', code: exitCode };
}

export function printError(cause: unknown, asJson: boolean): Printed {
  const { details, kind } = asLm2mcuError(cause);
  return asJson
    ? { stdout: `${JSON.stringify({ error: details })}\n`, stderr: '', code: exitCodes[kind] }
    : { stdout: '', stderr: `${formatError(details)}\n`, code: exitCodes[kind] };
}

/** As yargs reads a flag without a value: the last one counts. */
function isAskedFor(flag: string, args: readonly string[]): boolean {
  const end = args.indexOf('--');
  const words = end < 0 ? args : args.slice(0, end);
  const last = words.findLastIndex((word) => word === `--${flag}` || word.startsWith(`--${flag}=`));
  if (words[last] === `--${flag}`) return words[last + 1] !== 'false';
  return words[last] === `--${flag}=true`;
}

/** The chosen command's output, or the help that was asked for. */
export async function answer(args: readonly string[], context: Context): Promise<Output> {
  let output: Output | undefined;
  const parser = createParser(args, (run) =>
    run(context).then((result) => {
      output = result;
    }),
  );
  let shown = '';
  await parser.parseAsync(args, {}, (_error, _flags, text) => {
    shown = text;
  });
  return output ?? { json: { help: shown }, text: shown };
}

type Execute = (run: (context: Context) => Promise<Output>) => Promise<void>;

function createParser(args: readonly string[], execute: Execute): Argv {
  const parser = yargs()
    .scriptName('lm2mcu')
    .usage('$0: compiles tiny transformer language models into microcontroller firmware')
    .locale('en')
    .wrap(100)
    .parserConfiguration({ 'duplicate-arguments-array': false, 'boolean-negation': false })
    .options(commonOptions)
    .strict()
    .strictCommands()
    .demandCommand(1, 'no command given')
    .exitProcess(false)
    .help()
    .version(packageVersion())
    .group([...Object.keys(commonOptions), 'help', 'version'], 'Everywhere:')
    .fail((message, error) => {
      if (error && error.name !== 'YError') throw error;
      throw usageError(message ?? error?.message, args);
    })
    .example(commands.slice(0, 2).map(({ examples }) => [...examples[0]!]))
    .epilogue(exitCodeHelp);
  for (const command of commands) command.attach(parser, execute);
  return parser;
}

/** yargs stops at the first thing it finds; a misspelt flag explains most of what it finds. */
function usageError(message: string, args: readonly string[]): Lm2mcuError {
  const command = commands.find(({ name }) => name === args[0]);
  const unknownFlag = command && unknownFlagOf(command, args);
  const help = command === undefined ? 'lm2mcu --help' : `lm2mcu ${command.name} --help`;
  return userError({
    code: 'usage',
    message:
      unknownFlag === undefined ? inOurWords(message, command) : `there is no flag ${unknownFlag}`,
    hint: `${suggestionFor(command, unknownFlag, args)}${help} shows what can be given.`,
  });
}

function unknownFlagOf({ optionNames }: Command, args: readonly string[]): string | undefined {
  const flags = args.flatMap((word) => /^--([^=]+)/.exec(word)?.[1] ?? []);
  const unknown = flags.find((flag) => !optionNames.includes(flag));
  return unknown === undefined ? undefined : `--${unknown}`;
}

function suggestionFor(
  command: Command | undefined,
  unknownFlag: string | undefined,
  [first]: readonly string[],
): string {
  if (command === undefined) {
    return didYouMean(
      first ?? '',
      commands.map(({ name }) => name),
    );
  }
  if (unknownFlag === undefined) return '';
  return didYouMean(
    unknownFlag,
    command.optionNames.map((name) => `--${name}`),
  );
}

/** What yargs says, by its form; other messages as they are. */
function inOurWords(message: string, command: Command | undefined): string {
  if (message.startsWith('Not enough non-option')) return `${command?.operands} is missing`;
  const words = /^Unknown (?:command|argument)s?: (.*)$/.exec(message)?.[1]?.split(', ');
  if (words !== undefined && command === undefined) return `there is no command ${words[0]}`;
  if (words !== undefined) return `one argument too many: ${words.join(', ')}`;
  const missing = /^Missing required arguments?: (.*)$/.exec(message)?.[1];
  if (missing !== undefined) return `--${missing.replaceAll(', ', ' and --')} is missing`;
  const bare = /^Not enough arguments following: (.*)$/.exec(message)?.[1];
  if (bare !== undefined) return `--${bare} needs a value`;
  const choice = /Argument: (\S+), Given: "(.*)", Choices: (.*)/.exec(message);
  if (choice !== null) {
    return `--${choice[1]} ${choice[2]} is none of ${choice[3]?.replaceAll('"', '')}`;
  }
  return message;
}

/** What nobody foresaw is a bug of ours. */
function asLm2mcuError(cause: unknown): Lm2mcuError {
  if (cause instanceof Lm2mcuError) return cause;
  if (!(cause instanceof Error)) return internalError(`unexpected: ${String(cause)}`);
  const frame = /\(?([^\s(]*\/(?:toolchain|kernels)\/[^\s)]+)\)?$/m.exec(cause.stack ?? '')?.[1];
  return internalError(
    `${cause.name}: ${cause.message}`,
    frame?.replace(/^.*\/(?=toolchain\/|kernels\/)/, ''),
  );
}
