/**
 * The firmware's C on this machine: the emitted model with portable kernels, and the console of the
 * firmware on stdin and stdout, compiled with the host's gcc into a folder of its own.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { consoleFiles } from '../build/firmware.ts';
import type { SourceFile } from '../emit/c-model.ts';
import { environmentError, internalError } from '../errors.ts';
import { addChild, addLeftover } from '../leftovers.ts';
import { packagePath } from '../package-root.ts';
import { openProcessConsole, type ProcessConsole } from './process-console.ts';

const COMPILER = 'gcc';

export interface HostRequest {
  readonly sources: readonly SourceFile[];
  /** Watch every memory access and every operation without a meaning in C. */
  readonly sanitize: boolean;
}

const optimised = ['-O2'];
const sanitized = ['-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];

export async function openHostConsole(request: HostRequest): Promise<ProcessConsole> {
  const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-host-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  const release = addLeftover(remove);
  try {
    const command = await buildHostProgram(request, folder);
    const console = await openProcessConsole({
      command,
      args: [],
      where: 'the firmware compiled for this host',
      stopped: { code: 'host-stopped', message: 'the program stopped' },
      missing: () => internalError('the compiled program is not there'),
    });
    return {
      ask: console.ask,
      close: async () => {
        await console.close();
        remove();
        release();
      },
    };
  } catch (error) {
    remove();
    release();
    throw error;
  }
}

/** Compiles into the folder; the path of the program. */
export async function buildHostProgram(
  { sources, sanitize }: HostRequest,
  folder: string,
): Promise<string> {
  for (const { path, content } of sources) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  const parts = ['console.c', 'host/host.c', 'npu/none.c'];
  const headers = ['lm2mcu.h', 'platform.h', 'npu/npu.h'];
  for (const file of new Set([...headers, ...consoleFiles, ...parts])) {
    mkdirSync(dirname(join(folder, 'firmware', file)), { recursive: true });
    cpSync(packagePath('firmware-templates', file), join(folder, 'firmware', file));
  }
  const program = join(folder, 'firmware', 'host', 'program');
  const args = [
    ...['-std=c99', '-Wall', '-Wextra', '-Wconversion'],
    ...(sanitize ? sanitized : optimised),
    ...['-I.', '-Ifirmware'],
    ...sources.map(({ path }) => path).filter((path) => path.endsWith('.c')),
    ...parts.map((part) => `firmware/${part}`),
    ...['-o', program],
  ];
  await compile(args, folder);
  return program;
}

function compile(args: readonly string[], folder: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(COMPILER, args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
    addChild(child, 'SIGTERM'); // it removes files of its own
    let talk = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      talk += text;
    });
    child.on('error', (cause: NodeJS.ErrnoException) => {
      reject(cause.code === 'ENOENT' ? missingCompiler() : cause);
    });
    child.on('close', (status) => {
      if (status === 0) resolve();
      else reject(internalError(`${COMPILER} failed:\n${talk}`));
    });
  });
}

function missingCompiler() {
  return environmentError({
    code: 'missing-host-compiler',
    message: `${COMPILER} is not installed`,
    hint: 'On Debian and Ubuntu: apt install gcc',
  });
}
