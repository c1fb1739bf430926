/** `lm2mcu doctor`: what this host lacks, and the command that gets it. */
import { exitCodes } from '../errors.ts';
import { packageVersion } from '../package-root.ts';
import { defineCommand } from './command.ts';
import { installCommand, probe, type Requirement, requirements } from './requirements.js';
import { alignColumns } from './targets.ts';

interface Check extends Requirement {
  /** The first line of what it says of itself; null: not there. */
  readonly found: string | null;
}

export const doctorCommand = defineCommand({
  usage: 'doctor',
  summary: 'Say what this host lacks, and how to get it',
  positionals: {},
  options: {},
  examples: [
    ['lm2mcu doctor', 'What is there, what is missing, and the command that gets it'],
    [
      'lm2mcu doctor --json',
      'The same for a program; exit code 2 when something needed is missing',
    ],
  ],
  async run() {
    const checks = requirements.map((one) => ({ ...one, found: probe(one) }));
    const missing = checks.filter(({ found }) => found === null);
    const needed = missing.filter(({ neededFor }) => neededFor === 'use');
    const command = installCommand(missing.filter(({ neededFor }) => neededFor !== 'test'));
    const error = needed.length === 0 ? undefined : missingTools(needed, command);
    return {
      json: {
        ready: needed.length === 0,
        version: packageVersion(),
        node: process.version,
        platform: `${process.platform}-${process.arch}`,
        checks: checks.map(({ name, purpose, neededFor, found }) => ({
          name,
          purpose,
          neededFor,
          found,
        })),
        command,
        ...(error === undefined ? {} : { error }),
      },
      text: describe(checks, command),
      exitCode: needed.length === 0 ? 0 : exitCodes.environment,
    };
  },
});

function missingTools(needed: readonly Check[], command: string | null) {
  return {
    code: 'missing-tools',
    message: `this host lacks ${needed.map(({ name }) => name).join(', ')}`,
    hint: command ?? 'Install them with the package manager of this host.',
  };
}

const reasons: Readonly<Record<Requirement['neededFor'], string>> = {
  use: 'needed',
  option: 'optional',
  test: 'only for the tests of lm2mcu',
};

function describe(checks: readonly Check[], command: string | null): string {
  const rows = checks.map(({ name, purpose, neededFor, found }) => [
    found === null ? 'missing' : 'ok',
    name,
    `${purpose} (${reasons[neededFor]})`,
    found ?? '',
  ]);
  return [
    alignColumns([['ok', 'node', 'runs lm2mcu (needed)', process.version], ...rows]),
    ...(command === null ? [] : ['', 'Get what is missing with:', `  ${command}`]),
  ].join('\n');
}
