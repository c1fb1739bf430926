/** Runs arm-none-eabi-gcc, two processes at a time. */
import { spawn } from 'node:child_process';
import { environmentError, internalError } from '../errors.ts';

const COMPILER = 'arm-none-eabi-gcc';
const PARALLEL_JOBS = 2;

/** Runs each command line in the folder; what the compiler said, in the order of the commands. */
export async function runCompiler(
  folder: string,
  commands: readonly (readonly string[])[],
): Promise<readonly string[]> {
  const talk: string[] = [];
  let next = 0;
  const worker = async () => {
    for (let index = next++; index < commands.length; index = next++) {
      talk[index] = await runOnce(folder, commands[index] ?? []);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_JOBS }, worker));
  return talk;
}

function runOnce(folder: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    // LC_ALL: messages are parsed.
    const child = spawn(COMPILER, args, {
      cwd: folder,
      env: { ...process.env, LC_ALL: 'C' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let talk = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      talk += text;
    });
    child.on('error', (cause: NodeJS.ErrnoException) => {
      reject(cause.code === 'ENOENT' ? missingCompiler() : cause);
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
