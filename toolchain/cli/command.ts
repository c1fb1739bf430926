/**
 * What a subcommand is: data for the parser and the help, and a function from flags to an output.
 */
import type { ArgumentsCamelCase, Argv, InferredOptionTypes, Options } from 'yargs';
import { exitCodes } from '../errors.ts';
import type { Interrupts } from './interrupt.ts';
import type { Progress } from './progress.ts';

/** A command's answer: `json` with --json, else `text`. */
export interface Output {
  readonly json: object;
  readonly text: string;
  readonly exitCode?: number;
}

export interface Context extends Interrupts {
  readonly progress: Progress;
  /** Whether the text goes to a terminal that wants colours. */
  readonly color: boolean;
  /** Shows a part of the answer at once; null where nobody watches: then all of it comes at the end. */
  readonly show: ((text: string) => void) | null;
}

type Flags = Readonly<Record<string, Options>>;

export interface CommandSpec<P extends Flags, O extends Flags> {
  /** As yargs writes it: `build <model>`. */
  readonly usage: string;
  readonly summary: string;
  readonly positionals: P;
  readonly options: O;
  /** Two command lines that run, with what they do. */
  readonly examples: readonly (readonly [command: string, what: string])[];
  run(flags: ArgumentsCamelCase<InferredOptionTypes<P & O>>, context: Context): Promise<Output>;
}

/** A command whose types are known to itself only. */
export interface Command {
  readonly name: string;
  /** The positional arguments as the help writes them: `<model>`. */
  readonly operands: string;
  readonly examples: readonly (readonly [command: string, what: string])[];
  readonly optionNames: readonly string[];
  /** Adds the command to a parser; `execute` gets it, with its flags bound, once it is chosen. */
  attach(
    parser: Argv,
    execute: (run: (context: Context) => Promise<Output>) => Promise<void>,
  ): void;
}

export function defineCommand<const P extends Flags, const O extends Flags>(
  spec: CommandSpec<P, O>,
): Command {
  const { usage, summary, positionals, options, examples } = spec;
  return {
    name: usage.split(' ')[0]!,
    operands: usage.split(' ').slice(1).join(' '),
    examples,
    optionNames: [...Object.keys(options), ...Object.keys(commonOptions), 'help', 'version'],
    attach(parser, execute) {
      parser.command(
        usage,
        summary,
        (builder) => {
          for (const [name, { type, ...rest }] of Object.entries(positionals)) {
            builder.positional(name, { ...rest, type: type as 'string' });
          }
          builder.options(options).example(examples.map(([command, what]) => [command, what]));
          builder.epilogue(exitCodeHelp);
        },
        // The builder above declared exactly these flags.
        (flags) => execute((context) => spec.run(flags as never, context)),
      );
    },
  };
}

export const commonOptions = {
  json: { type: 'boolean', default: false, describe: 'Print one JSON object and nothing else' },
} as const satisfies Flags;

export const exitCodeHelp = `Exit codes: 0 success, ${exitCodes.user} the input is at fault, ${exitCodes.environment} this host lacks something (lm2mcu doctor), ${exitCodes.internal} a bug in lm2mcu.`;
