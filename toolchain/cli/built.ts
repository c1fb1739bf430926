/** Opens what `lm2mcu build` wrote, on the machine the user asked for. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { manifestFile, readManifest } from '../build/manifest.ts';
import { digestOf } from '../build/out-folder.ts';
import { openBoard } from '../emulate/board-port.ts';
import {
  type Executor,
  type ExecutorKind,
  executorKinds,
  openExecutor,
} from '../emulate/executor.ts';
import { parseStoredModel, readGraphFile } from '../emulate/stored-model.ts';
import { userError } from '../errors.ts';
import { endLeftovers } from '../leftovers.ts';
import { parseReport, type Report } from '../report/schema.ts';
import { type AnyTarget, isEngine } from '../targets.ts';
import type { Context } from './command.ts';

/** Throws unless the folder looks like one that a build wrote. */
export function checkBuilt(dir: string): void {
  const stats = statSync(dir, { throwIfNoEntry: false });
  if (stats?.isDirectory() === true && existsSync(join(dir, 'graph.bin'))) return;
  const isModel =
    stats?.isDirectory() === true && readdirSync(dir).some((name) => name === 'config.json');
  throw userError({
    code: 'not-built',
    message: `${JSON.stringify(dir)} ${whatIsWrong(stats, isModel)}`,
    where: dir,
    hint: isModel
      ? `Build it first: lm2mcu build ${dir} --target <board> --out <dir>`
      : 'Give the folder that lm2mcu build wrote (--out).',
  });
}

/** What the build says of itself. */
export function readReport(dir: string): Report {
  checkBuilt(dir);
  const path = join(dir, 'report.json');
  let json: string;
  try {
    json = readFileSync(path, 'utf8');
  } catch (cause) {
    const error = userError({
      code: 'no-report',
      message: `${JSON.stringify(dir)} has no report.json that can be read`,
      where: path,
      hint: 'Build the model again: lm2mcu build <model> --target <board> --out <dir>',
    });
    error.cause = cause;
    throw error;
  }
  return parseReport(json, path);
}

/** As `readReport`, to be replaced: it must be as the build wrote it. */
export function readOwnReport(dir: string): Report {
  checkFiles(dir, ['report.json', 'report.html']);
  return readReport(dir);
}

/** For `--on`: a machine of this host, or a board by its port. */
export const onOption = {
  type: 'string',
  requiresArg: true,
  describe: `Where to run it: ${executorKinds.join(', ')}, or the port of a flashed board; a module, or else the emulator, if the build has one`,
} as const;

type Machine =
  | { readonly kind: ExecutorKind }
  | { readonly kind: 'board'; readonly port: string }
  | { readonly kind: 'best' };

function parseMachine(on: string | undefined): Machine {
  if (on === undefined) return { kind: 'best' };
  const kind = executorKinds.find((candidate) => candidate === on);
  if (kind !== undefined) return { kind };
  if (isPortName(on)) return { kind: 'board', port: on };
  throw userError({
    code: 'usage',
    message: `--on ${on} is none of ${executorKinds.join(', ')}, and no port`,
    hint: 'A port is written like /dev/ttyACM0 or COM3; lm2mcu ports shows those of this host.',
  });
}

/** A path, or a Windows name. */
function isPortName(text: string): boolean {
  return text.includes('/') || text.includes('\\') || /^COM\d+$/i.test(text);
}

/** Opens a build for `use` and closes it; an interrupt, too, leaves nothing behind. */
export async function withBuilt<T>(
  dir: string,
  on: string | undefined,
  onInterrupt: Context['onInterrupt'],
  use: (executor: Executor) => Promise<T>,
): Promise<T> {
  const release = onInterrupt(endLeftovers);
  try {
    const executor = await openBuilt(dir, on);
    try {
      return await use(executor);
    } finally {
      await executor.close();
    }
  } finally {
    release();
  }
}

/** Without `on`: the module if there is one, the emulator if there is an image for it. */
async function openBuilt(dir: string, on: string | undefined): Promise<Executor> {
  const machine = parseMachine(on);
  checkBuilt(dir);
  if (machine.kind === 'board') return openBoard(machine.port, dir);
  const kind = machine.kind === 'best' ? bestOf(dir) : machine.kind;
  if (kind === 'emulator') checkFiles(dir, ['graph.bin', 'firmware.elf', 'firmware-twin.elf']);
  if (kind === 'wasm') checkFiles(dir, ['graph.bin', 'model.wasm', 'model.mjs']);
  return openExecutor(kind, dir);
}

function bestOf(dir: string): ExecutorKind {
  if (existsSync(join(dir, 'model.wasm'))) return 'wasm';
  return canEmulate(dir) ? 'emulator' : 'interpreter';
}

function canEmulate(dir: string): boolean {
  if (!existsSync(join(dir, 'firmware.elf'))) return false;
  const target = readTarget(dir);
  return !isEngine(target) && target.emulation !== undefined;
}

function readTarget(dir: string): AnyTarget {
  return parseStoredModel(readGraphFile(join(dir, 'graph.bin'))).target;
}

/** What runs and the graph must be of one build: the answer would be another model's. */
function checkFiles(dir: string, files: readonly string[]): void {
  if (!existsSync(join(dir, manifestFile))) return;
  const { outputs } = readManifest(dir);
  const changed = files.find(
    (name) =>
      outputs[name] !== undefined &&
      existsSync(join(dir, name)) &&
      digestOf(readFileSync(join(dir, name))) !== outputs[name],
  );
  if (changed === undefined) return;
  throw userError({
    code: 'changed-build',
    message: `${changed} is not the file that this build wrote`,
    where: join(dir, changed),
    hint: 'Build the model again: lm2mcu build <model> --target <board> --out <dir>',
  });
}

function whatIsWrong(stats: ReturnType<typeof statSync>, isModel: boolean): string {
  if (stats === undefined) return 'does not exist';
  if (!stats.isDirectory()) return 'is a file, not a folder that lm2mcu build wrote';
  if (isModel) return 'is a model, not what lm2mcu build makes of it';
  return 'has no graph.bin';
}
