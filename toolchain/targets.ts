/**
 * Boards and cores as data: `targets/cores/*.json` and `targets/boards/*.json`, checked against one
 * schema each. A user's own board is a file of the same form.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type * as z from 'zod';
import { internalError, userError } from './errors.ts';
import { packagePath } from './package-root.ts';
import { type Board, boardSchema, type MemoryRegion } from './target-files/board.ts';
import { type Core, coreSchema, type Engine, engineSchema } from './target-files/core.ts';
import { findOverlap, isInside } from './target-files/rules.ts';

export type {
  BootloaderFacts,
  EmulatedNpu,
  MemoryRegion,
  Npu,
  Uart,
  WriterFacts,
} from './target-files/board.ts';
export type { Loader } from './target-files/loader.ts';

/**
 * Where and how the firmware runs under QEMU: the regions of the real board, same names and sizes,
 * at addresses of the emulated machine, with that machine's UART, clock and counter.
 */
export interface Emulation {
  /** The board is emulated; no image of another machine is needed. */
  readonly isItself: boolean;
  readonly machine: string;
  readonly board: Board;
  readonly regions: readonly MemoryRegion[];
}

/** A board with its core, and its emulated twin where it has one (an emulated board is its own). */
export type Target = Omit<Board, 'core' | 'twin' | 'machine'> & {
  readonly core: Omit<Core, 'features'> & {
    /**
     * What kernels can count on: of the core, `cmsis-nn` where the user gives that library, and
     * `spare-flash` where the model leaves some (schedule/spare-flash.ts).
     */
    readonly features: readonly (Core['features'][number] | 'cmsis-nn' | 'spare-flash')[];
  };
  readonly emulation: Emulation | undefined;
};

/** Not a board: something that runs a module. */
export interface EngineTarget extends Pick<Engine, 'name' | 'title' | 'mostPages' | 'verified'> {
  readonly kind: 'engine';
  readonly core: Pick<Engine, 'name' | 'features' | 'cost'>;
}

/** What a model can be compiled for. */
export type AnyTarget = Target | EngineTarget;

export function isEngine(target: AnyTarget): target is EngineTarget {
  return 'kind' in target && target.kind === 'engine';
}

/** A board, for what only boards can do. */
export function boardOf(target: AnyTarget): Target {
  if (!isEngine(target)) return target;
  throw userError({
    code: 'not-a-board',
    message: `${target.name} is no board, but a module that engines run`,
    hint: 'Run it: lm2mcu run <dir> --text … --on wasm; or build for a board (lm2mcu targets lists them).',
  });
}

/** The names of all engines. */
export function listEngines(): readonly string[] {
  return listJson('engines');
}

export function loadEngine(name: string): EngineTarget {
  const engine = parseJson(packagePath('targets', 'engines', `${name}.json`), engineSchema);
  const { title, mostPages, verified, features, cost } = engine;
  return { kind: 'engine', name, title, mostPages, verified, core: { name, features, cost } };
}

/** Whose kernels a model calls: ours, or Arm's as far as there are any. */
export const kernelSets = ['native', 'cmsis-nn'] as const;
export type KernelSet = (typeof kernelSets)[number];

export function withKernels(target: Target, kernels: KernelSet): Target {
  if (kernels === 'native') return target;
  const { core } = target;
  return { ...target, core: { ...core, features: [...core.features, 'cmsis-nn'] } };
}

export function kernelSetOf({ core }: Pick<AnyTarget, 'core'>): KernelSet {
  const features: readonly string[] = core.features;
  return features.includes('cmsis-nn') ? 'cmsis-nn' : 'native';
}

/**
 * A shipped board by name, or a user's own board by the path of its JSON file. `others`: names that are
 * no boards, but would have done.
 */
export function loadTarget(nameOrPath: string, others: readonly string[] = []): Target {
  const board = nameOrPath.endsWith('.json')
    ? readBoard(nameOrPath)
    : loadBoard(nameOrPath, others);
  const core = loadCore(board.core, board.name);
  const { core: _core, twin: _twin, machine: _machine, ...rest } = board;
  return { ...rest, core, emulation: emulationOf(board) };
}

/** A region that the schema has checked to be there. */
export function regionOf({ regions }: Pick<Target, 'regions'>, name: string): MemoryRegion {
  const region = regions.find((candidate) => candidate.name === name);
  if (region === undefined) throw internalError(`there is no region ${name}`, 'board file');
  return region;
}

/** The names of all shipped boards. */
export function listTargets(): readonly string[] {
  return listJson('boards');
}

function emulationOf(board: Board): Emulation | undefined {
  if (board.machine !== undefined) {
    return { isItself: true, machine: board.machine, board, regions: board.regions };
  }
  const twin = board.twin;
  if (twin === undefined) return undefined;
  const emulated = loadBoard(twin.board);
  if (emulated.machine === undefined || emulated.core !== board.core) {
    throw badBoard(board.name, [
      `twin: ${twin.board} must be an emulated board with the same core`,
    ]);
  }
  const regions = board.regions.map((region) => ({
    ...region,
    origin: twin.origins[region.name] ?? region.origin,
  }));
  const problems = regions.filter((region) => !isInside(region, emulated.regions));
  if (problems.length > 0) {
    const list = problems.map((region) => region.name).join(', ');
    throw badBoard(board.name, [`twin: ${list} lies outside the memory of ${twin.board}`]);
  }
  if (findOverlap(regions) !== undefined) {
    throw badBoard(board.name, [`twin: ${findOverlap(regions)} overlap`]);
  }
  checkNpuOfTwin(board, emulated, regions);
  return { isItself: false, machine: emulated.machine, board: emulated, regions };
}

/** The simulator sees only the memory that it shares with the emulator. */
function checkNpuOfTwin(board: Board, twin: Board, regions: readonly MemoryRegion[]): void {
  if (board.npu === undefined) return;
  if (twin.npu?.driver !== 'emulated') {
    throw badBoard(board.name, [`twin: ${twin.name} has no emulated NPU`]);
  }
  const { reaches } = board.npu;
  const shared = [{ name: 'shared', ...twin.npu.shared }];
  const hidden = regions.filter(
    (region) => reaches.includes(region.name) && !isInside(region, shared),
  );
  if (hidden.length === 0) return;
  const list = hidden.map(({ name }) => name).join(', ');
  throw badBoard(board.name, [`twin: the NPU of ${twin.name} does not reach ${list}`]);
}

function loadBoard(name: string, others: readonly string[] = []): Board {
  const names = listTargets();
  if (!names.includes(name)) {
    throw userError({
      code: 'unknown-target',
      message: `there is no target "${name}"`,
      hint: `Use one of ${[...names, ...others].join(', ')}, or the path of a board file ending in .json.`,
    });
  }
  return readBoard(packagePath('targets', 'boards', `${name}.json`));
}

function readBoard(path: string): Board {
  return parseJson(path, boardSchema);
}

function loadCore(name: string, where: string): Core {
  const names = listJson('cores');
  if (!names.includes(name)) {
    throw badBoard(where, [`core: there is no "${name}"; use one of ${names.join(', ')}`]);
  }
  return parseJson(packagePath('targets', 'cores', `${name}.json`), coreSchema);
}

function listJson(folder: 'boards' | 'cores' | 'engines'): readonly string[] {
  return readdirSync(packagePath('targets', folder))
    .filter((file) => file.endsWith('.json'))
    .map((file) => basename(file, '.json'))
    .sort();
}

function parseJson<T>(path: string, schema: z.ZodType<T>): T {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw userError({
      code: 'bad-board-file',
      message: `the board file cannot be read: ${reason.replace(path, basename(path))}`,
      where: path,
      hint: `Boards are JSON files like those in ${join('targets', 'boards')}.`,
    });
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    throw badBoard(
      path,
      parsed.error.issues.map(
        (issue) => `${issue.path.join('.') || '(whole file)'}: ${issue.message}`,
      ),
    );
  }
  return parsed.data;
}

function badBoard(where: string, problems: readonly string[]): Error {
  return userError({
    code: 'bad-board-file',
    message: `the board file is wrong:\n${problems.map((problem) => `    ${problem}`).join('\n')}`,
    where,
    hint: 'targets/README.md describes every field.',
  });
}
