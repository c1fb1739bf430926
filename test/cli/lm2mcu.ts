/** Runs the command line: as a user does, in a process of its own, or without one, which is quicker. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answer, printError, printOutput } from '../../toolchain/cli/answer.ts';
import type { Context } from '../../toolchain/cli/command.ts';
import { packagePath } from '../../toolchain/package-root.ts';

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The environment without what changes the output of a program. */
function plainEnvironment(): NodeJS.ProcessEnv {
  const { FORCE_COLOR: _color, CI: _ci, NODE_OPTIONS: _options, ...rest } = process.env;
  return { ...rest, NO_COLOR: '1' };
}

/** `input` is what the user types. */
export function start(
  args: readonly string[],
  cwd: string,
  environment: NodeJS.ProcessEnv = {},
  input = '',
) {
  const child = spawn(process.execPath, [packagePath('toolchain', 'cli', 'lm2mcu.js'), ...args], {
    cwd,
    stdio: 'pipe',
    env: { ...plainEnvironment(), ...environment },
  });
  child.stdin.on('error', () => {}); // a command that reads nothing may end first
  child.stdin.end(input);
  const ended = new Promise<Ended>((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  return { child, ended };
}

export function lm2mcu(
  args: readonly string[],
  cwd: string,
  environment: NodeJS.ProcessEnv = {},
): Promise<Ended> {
  return start(args, cwd, environment).ended;
}

const quiet: Context = {
  progress: { report() {}, stop() {} },
  ...{ color: false, show: null },
  ...{ onInterrupt: () => () => {}, onCancel: () => () => {} },
};

/** What a process would print, without its progress, as text and as JSON; one call at a time. */
export async function lm2mcuHere(args: readonly string[], cwd: string) {
  const before = process.cwd();
  process.chdir(cwd);
  try {
    const output = await answer(args, quiet);
    return { text: printOutput(output, false), json: printOutput(output, true) };
  } catch (error) {
    return { text: printError(error, false), json: printError(error, true) };
  } finally {
    process.chdir(before);
  }
}

export function temporaryFolder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'lm2mcu-cli-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
