/** A list of commands, one a line, to an expression that permits any of them. */
import { userError } from '../errors.ts';
import { choice, type Expression, literal } from './expression.ts';

export interface Command {
  readonly text: string;
  /** For messages. */
  readonly origin: string;
}

/** Empty lines count for nothing, white space around a command neither. */
export function parseCommands(file: string): readonly Command[] {
  const commands = file
    .split(/\r?\n/)
    .map((line, index) => ({ text: line.trim(), origin: `line ${index + 1} of the commands` }))
    .filter(({ text }) => text !== '');
  if (commands.length > 0) return commands;
  throw userError({
    code: 'no-commands',
    message: 'the list of commands is empty',
    hint: 'Write one command a line.',
  });
}

export function commandExpression(commands: readonly Command[]): Expression {
  return choice(
    commands.map(({ text, origin }) =>
      literal(text, (index) => `character ${index + 1} of ${origin}`),
    ),
  );
}
