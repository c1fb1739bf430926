/** The table of commands is consistent, and its help says what the style asks of it. */
import { expect, test } from 'vitest';
import { commands } from '../../toolchain/cli/commands.ts';
import { lm2mcu } from './lm2mcu.ts';

test.each(commands.map((command) => [command.name, command] as const))(
  '%s: two examples that use its own flags',
  (name, { examples, optionNames, operands }) => {
    expect(examples).toHaveLength(2);
    for (const [line] of examples) {
      expect(line).toMatch(new RegExp(`^lm2mcu ${name}( |$)`));
      for (const [, flag] of line.matchAll(/ --([a-z-]+)/g)) expect(optionNames).toContain(flag);
      if (operands.startsWith('<')) expect(line.split(' ')[2]).toMatch(/^[^-]/);
    }
  },
);

test.each(commands.map(({ name }) => name))(
  '%s: its help names examples and exit codes',
  async (name) => {
    const { stdout, code } = await lm2mcu([name, '--help'], process.cwd());
    expect(code).toBe(0);
    expect(stdout).toContain('Examples:');
    expect(stdout).toContain('Exit codes: 0 success');
  },
);

test('help and version are JSON where that is asked for', async () => {
  const help = await lm2mcu(['--help', '--json'], process.cwd());
  expect(JSON.parse(help.stdout).help).toContain('lm2mcu build <model>');
});
