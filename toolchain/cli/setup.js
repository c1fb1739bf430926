// Makes a fresh checkout ready: npm packages, then compilers and emulators, each said before it is
// installed. Plain JavaScript without dependencies, for any Node from 20 on.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installCommand, probe, requirements } from './requirements.js';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** The Node that runs TypeScript; npm brings it (package.json). */
export const node = join(root, 'node_modules', 'node', 'bin', 'node');

/**
 * Ends the process when something stays missing.
 * @param {readonly import('./requirements.js').Requirement['neededFor'][]} purposes
 */
export function prepare(purposes) {
  if (!existsSync(node)) {
    say('node_modules is missing or incomplete: npm ci');
    if (run('npm', ['ci', '--no-audit', '--no-fund']) !== 0) giveUp('npm ci failed', null);
  }
  const wanted = requirements.filter(({ neededFor }) => purposes.includes(neededFor));
  for (const isForTests of [false, true]) {
    const part = wanted.filter(({ neededFor }) => (neededFor === 'test') === isForTests);
    const missing = part.filter((one) => probe(one) === null);
    if (missing.length === 0) continue;
    const names = missing.map(({ name, purpose }) => `${name} (${purpose})`).join(', ');
    const command = installCommand(missing);
    if (command === null) giveUp(`this host lacks ${names}`, null);
    else if (!command.includes('apt-get')) giveUp(`this host lacks ${names}`, command);
    else {
      say(`this host lacks ${names}: ${command}`);
      run('sh', ['-c', command]);
    }
    const still = missing.filter((one) => probe(one) === null).map(({ name }) => name);
    if (still.length === 0) continue;
    if (isForTests) say(`still missing: ${still.join(', ')}; the tests that need them are skipped`);
    else giveUp(`still missing: ${still.join(', ')}`, command);
  }
}

/**
 * Runs a program in the checkout, with this one's output; its exit code.
 * @param {string} command
 * @param {readonly string[]} args
 */
export function run(command, args) {
  const bin = join(root, 'node_modules', '.bin');
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      PATH: `${bin}${delimiter}${process.env['PATH']}`,
      DEBIAN_FRONTEND: 'noninteractive',
    },
  });
  if (error !== undefined) say(`${command}: ${error.message}`);
  return status ?? 1;
}

/** @param {string} line */
function say(line) {
  process.stderr.write(`setup: ${line}\n`);
}

/**
 * @param {string} problem
 * @param {string | null} command
 */
function giveUp(problem, command) {
  say(problem);
  if (command !== null) say(`get it with: ${command}`);
  throw new SetupError(problem);
}

/** Said already: whoever catches it has only to end. */
export class SetupError extends Error {}
