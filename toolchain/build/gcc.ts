/** Runs arm-none-eabi-gcc, two processes at a time. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { environmentError, internalError } from '../errors.ts';
import { addChild } from '../leftovers.ts';

const COMPILER = 'arm-none-eabi-gcc';
const PARALLEL_JOBS = 2;

/**
 * Runs each command line in the folder; what the compiler said, in the order of the commands. When
 * one fails no other is begun, and none runs any more when this throws.
 */
export async function runCompiler(
  folder: string,
  commands: readonly (readonly string[])[],
): Promise<readonly string[]> {
  const talk: string[] = [];
  const failures: unknown[] = [];
  let next = 0;
  const worker = async () => {
    while (failures.length === 0 && next < commands.length) {
      const index = next++;
      try {
        talk[index] = await runOnce(folder, commands[index] ?? []);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_JOBS }, worker));
  if (failures.length > 0) throw failures[0];
  return talk;
}

/** Throws where there is no compiler: before work that would be for nothing. */
export function checkCompiler(): void {
  const { error } = spawnSync(COMPILER, ['-dumpversion']);
  if (error !== undefined && 'code' in error && error.code === 'ENOENT') throw missingCompiler();
}

function runOnce(folder: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    // LC_ALL: messages are parsed.
    const child = spawn(COMPILER, args, {
      cwd: folder,
      env: { ...process.env, LC_ALL: 'C' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    addChild(child, 'SIGTERM'); // it removes files of its own
    let talk = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      talk += text;
    });
    child.on('error', (cause: NodeJS.ErrnoException) => {
      // Node says the same of a missing folder.
      if (cause.code !== 'ENOENT') reject(cause);
      else reject(existsSync(folder) ? missingCompiler() : missingFolder(folder));
    });
    child.on('close', (code) => {
      if (code === 0) resolve(talk);
      else reject(internalError(`${COMPILER} failed:\n${talk}`, args.at(-1)));
    });
  });
}

function missingCompiler(): Error {
  return environmentError({
    code: 'missing-compiler',
    message: `${COMPILER} is not installed`,
    hint: 'On Debian and Ubuntu: apt install gcc-arm-none-eabi',
  });
}

function missingFolder(folder: string): Error {
  return environmentError({
    code: 'missing-folder',
    message: 'the folder that the compiler works in is gone',
    where: folder,
    hint: 'Something else removed it during the build: build again.',
  });
}
