/**
 * From generated C to images: firmware.elf, .hex and .bin for the board, and firmware-twin.elf for
 * its emulated twin, in one folder together with the sources and linker scripts they came from. A
 * board with a bootloader also gets that, and images with the header that it looks for; one with a NOR
 * that its loaders do not reach gets the writer.
 *
 * The same inputs give the same bytes, wherever the folder is: paths are relative, there is no
 * build id and no time. Model, kernels, console and startup are compiled once for both images;
 * only UART, clock, memory set-up and counter are the machine's own.
 */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { internalError, userError } from '../errors.ts';
import { packagePath } from '../package-root.ts';
import type { MemoryRegion, Target } from '../targets.ts';
import { boardHeader, bootloaderDefinitions } from './board-header.ts';
import { storedImages } from './boot-image.ts';
import { bootloaderHeaders, buildBootloader, buildWriter } from './bootloader.ts';
import type { CmsisNn } from './cmsis-nn.ts';
import { commonFlags, cpuFlags, stackCanaryBytes } from './compile-flags.ts';
import { type ElfImage, type ImageMeasure, measureImage, readElfFile } from './elf.ts';
import { runCompiler } from './gcc.ts';
import { intelHex } from './image-files.ts';
import { linkerName, linkerScript, type Placement } from './linker-script.ts';
import { type StackBound, stackBound } from './stack-bound.ts';

/** A file of the generated program; `.c` files are compiled. */
export interface FirmwareSource {
  /** Relative, with forward slashes: `lm2mcu_model.c`, `kernels/linear_s8.c`. */
  readonly path: string;
  readonly content: string | Uint8Array;
  /** Instead of the request's, where another level was measured to be better. */
  readonly optimisation?: Optimisation;
}

export type Optimisation = 'O2' | 'O3' | 'Os';

export interface FirmwareRequest {
  readonly target: Target;
  readonly sources: readonly FirmwareSource[];
  /** Sections not named here stay with the code; `.lm2mcu.arena` goes to the data region. */
  readonly placement: Placement;
  readonly optimisation: Optimisation;
  /** The library that `sources` call, where they do. */
  readonly cmsisNn?: CmsisNn | undefined;
  /** Absolute; its `sources` and `objects` are replaced. */
  readonly outDir: string;
}

export interface Firmware {
  readonly elfPath: string;
  readonly hexPath: string;
  /** A raw binary per non-volatile region with content; the code region's is firmware.bin. */
  readonly binPaths: Readonly<Record<string, string>>;
  /** The image QEMU runs: the twin's, or firmware.elf itself on an emulated board. */
  readonly emulatorElfPath: string | undefined;
  readonly bootloaderElfPath: string | undefined;
  readonly writerElfPath: string | undefined;
  readonly image: ImageMeasure;
  readonly stack: StackBound;
  /** What the compiler said, a line each; nothing is expected. */
  readonly warnings: readonly string[];
}

export async function buildFirmware(request: FirmwareRequest): Promise<Firmware> {
  const { target, outDir } = request;
  const board = machineOfBoard(target);
  const twin = machineOfTwin(target);
  const machines = twin === undefined ? [board] : [board, twin];
  writeSources(request, machines);

  const jobs = [...sharedJobs(request), ...machines.flatMap((machine) => boardJobs(machine))];
  mkdirSync(join(outDir, 'objects'), { recursive: true });
  const talk = await runCompiler(
    outDir,
    jobs.map((job) => [...compileFlags(request), ...job.flags, '-c', job.source, '-o', job.object]),
  );
  const stacks = machines.map((machine) => boundOf(outDir, target, jobs, machine));
  const stack = stacks.reduce((deepest, bound) => (bound.bytes > deepest.bytes ? bound : deepest));
  for (const machine of machines) await link(request, machine, jobs, stack.bytes);
  rmSync(join(outDir, 'objects'), { recursive: true });

  const elfPath = join(outDir, `${board.name}.elf`);
  const elf = readElfFile(elfPath);
  checkExecutable(elf, target.regions);
  const images = storedImages(target, elf);
  const bootloader = target.bootloader && (await buildBootloader(target, outDir));
  const writer = target.writer && (await buildWriter(target, outDir));
  const hexPath = join(outDir, 'firmware.hex');
  writeFileSync(hexPath, intelHex(images, elf.entry));
  const binPaths: Record<string, string> = {};
  for (const { region, bytes } of images) {
    const name = region === target.codeRegion ? 'firmware.bin' : `firmware-${region}.bin`;
    binPaths[region] = join(outDir, name);
    writeFileSync(binPaths[region], bytes);
  }
  const emulated = target.emulation === undefined ? undefined : (twin ?? board);
  return {
    elfPath,
    hexPath,
    binPaths,
    emulatorElfPath: emulated && join(outDir, `${emulated.name}.elf`),
    bootloaderElfPath: bootloader?.elfPath,
    writerElfPath: writer?.elfPath,
    image: measureImage(elf, target.regions),
    stack,
    warnings: [...talk, ...(bootloader?.talk ?? []), ...(writer?.talk ?? [])]
      .flatMap((text) => text.split('\n'))
      .filter((line) => line.trim() !== ''),
  };
}

/** Copied code, too, must lie where the core can fetch it. */
function checkExecutable(elf: ElfImage, regions: readonly MemoryRegion[]): void {
  for (const { name, address, sizeBytes } of elf.sections.filter(({ executable }) => executable)) {
    const region = regions.find(
      ({ origin, sizeBytes }) => address >= origin && address < origin + sizeBytes,
    );
    if (sizeBytes === 0 || region === undefined || region.executable) continue;
    throw userError({
      code: 'not-executable',
      message: `${name} holds code, and ${region.name} cannot be executed from`,
      where: name,
      hint: `Place it in ${regions
        .filter(({ executable }) => executable)
        .map((candidate) => candidate.name)
        .join(' or ')}.`,
    });
  }
}

/** One of the images to link: what differs between the board and its twin. */
interface Machine {
  /** Of the image, and of the folder with its board.h. */
  readonly name: string;
  readonly regions: readonly MemoryRegion[];
  readonly codeRegion: string;
  /** Where it is copied from by the bootloader. */
  readonly codeRestsIn?: string | undefined;
  readonly header: string;
  /** Template files, without extension. */
  readonly parts: readonly string[];
}

function machineOfBoard(target: Target): Machine {
  const parts = [
    'counter',
    `uart/${target.uart.driver}`,
    `clock/${target.clockSetup}`,
    `memory/${target.memorySetup}`,
    `handover/${target.bootloader === undefined ? 'none' : 'bootloader'}`,
    `npu/${target.npu?.driver ?? 'none'}`,
  ];
  return {
    name: 'firmware',
    regions: target.regions,
    codeRegion: target.codeRunsIn ?? target.codeRegion,
    codeRestsIn: target.codeRunsIn === undefined ? undefined : target.codeRegion,
    header: boardHeader(target, bootloaderDefinitions(target)),
    parts,
  };
}

function machineOfTwin(target: Target): Machine | undefined {
  const emulation = target.emulation;
  if (emulation === undefined || emulation.isItself) return undefined;
  const { board, regions } = emulation;
  const parts = [
    'counter',
    `uart/${board.uart.driver}`,
    `clock/${board.clockSetup}`,
    `memory/${board.memorySetup}`,
    'handover/none',
    `npu/${target.npu === undefined ? 'none' : 'emulated'}`,
  ];
  const codeRegion = target.codeRunsIn ?? target.codeRegion;
  return { name: 'firmware-twin', regions, codeRegion, header: boardHeader(board), parts };
}

/** The console, and what it includes; it is compiled as one. */
export const consoleFiles = ['console.c', 'console_json.h', 'console_generation.h'] as const;

function writeSources(request: FirmwareRequest, machines: readonly Machine[]): void {
  const { outDir, target } = request;
  const templates = join(outDir, 'sources', 'firmware');
  rmSync(join(outDir, 'sources'), { recursive: true, force: true });
  const shared = ['startup.c', 'memory_functions.c', `core/${target.core.setup}.c`];
  const headers = [
    ...['lm2mcu.h', 'platform.h', 'sleep.h', 'stm32_pins.h', 'npu/npu.h'],
    ...(target.npu?.driver === 'ethos-u' ? ['npu/hardware.h'] : []),
    ...(target.bootloader === undefined ? [] : bootloaderHeaders),
  ];
  const parts = machines.flatMap((machine) => machine.parts.map((part) => `${part}.c`));
  for (const file of new Set([...shared, ...consoleFiles, ...headers, ...parts])) {
    mkdirSync(dirname(join(templates, file)), { recursive: true });
    cpSync(packagePath('firmware-templates', file), join(templates, file));
  }
  for (const machine of machines) {
    mkdirSync(join(templates, machine.name), { recursive: true });
    writeFileSync(join(templates, machine.name, 'board.h'), machine.header);
  }
  for (const { path, content } of request.sources) {
    const file = join(outDir, 'sources', path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
}

interface CompileJob {
  readonly source: string;
  readonly object: string;
  readonly flags: readonly string[];
  /** The only image this object belongs to; undefined: all. */
  readonly machine: string | undefined;
}

function sharedJobs(request: FirmwareRequest): readonly CompileJob[] {
  const generated = request.sources
    .filter(({ path }) => path.endsWith('.c'))
    .map((source) =>
      job(`sources/${source.path}`, [`-${source.optimisation ?? request.optimisation}`], undefined),
    );
  const template = (name: string, ...flags: readonly string[]) =>
    job(`sources/firmware/${name}.c`, flags, undefined);
  return [
    ...generated,
    ...libraryJobs(request),
    template('console', '-Os'),
    // Runs before the floating-point unit is on.
    template('startup', '-Os', '-mgeneral-regs-only', '-fno-tree-loop-distribute-patterns'),
    // Must not be compiled into calls of themselves.
    template('memory_functions', '-O2', '-fno-builtin', '-fno-tree-loop-distribute-patterns'),
    template(`core/${request.target.core.setup}`, '-Os', '-mgeneral-regs-only'),
  ];
}

/** As Arm's own build makes it, and without our warnings. */
function libraryJobs({ cmsisNn }: FirmwareRequest): readonly CompileJob[] {
  return (cmsisNn?.sources ?? []).map((source) => ({
    source,
    flags: ['-O3', '-w'],
    machine: undefined,
    object: `objects/cmsis-nn-${basename(source, '.c')}.o`,
  }));
}

function boardJobs(machine: Machine): readonly CompileJob[] {
  const include = `-Isources/firmware/${machine.name}`;
  return machine.parts.map((part) =>
    job(`sources/firmware/${part}.c`, ['-Os', include], machine.name),
  );
}

function job(source: string, flags: readonly string[], machine: string | undefined): CompileJob {
  const flat = source
    .replace(/^sources\//, '')
    .replaceAll('/', '-')
    .replace(/\.c$/, '.o');
  return { source, flags, machine, object: `objects/${machine ?? 'shared'}-${flat}` };
}

function compileFlags({ target, outDir, sources, cmsisNn }: FirmwareRequest): readonly string[] {
  const headers = sources.filter(({ path }) => path.endsWith('.h'));
  const folders = new Set(['sources', ...headers.map(({ path }) => dirname(`sources/${path}`))]);
  return [
    ...commonFlags(target, outDir),
    '-DLM2MCU_SECTIONS', // lm2mcu_model.h
    ...(cmsisNn === undefined
      ? []
      : [`-ffile-prefix-map=${cmsisNn.folder}=cmsis-nn`, '-isystem', cmsisNn.includeFolder]),
    ...[...folders, 'sources/firmware'].map((folder) => `-I${folder}`),
  ];
}

function boundOf(
  outDir: string,
  target: Target,
  jobs: readonly CompileJob[],
  machine: Machine,
): StackBound {
  const graphs = objectsOf(jobs, machine).map((object) =>
    readFileSync(join(outDir, object.replace(/\.o$/, '.ci')), 'utf8'),
  );
  return stackBound(graphs, ['SysTick_Handler'], target.core.exceptionFrameBytes);
}

function objectsOf(jobs: readonly CompileJob[], machine: Machine): readonly string[] {
  return jobs
    .filter((candidate) => candidate.machine === undefined || candidate.machine === machine.name)
    .map(({ object }) => object);
}

async function link(
  request: FirmwareRequest,
  machine: Machine,
  jobs: readonly CompileJob[],
  stackBytes: number,
): Promise<void> {
  const { target, outDir } = request;
  const script = linkerScript({
    regions: machine.regions,
    codeRegion: machine.codeRegion,
    codeRestsIn: machine.codeRestsIn,
    dataRegion: target.dataRegion,
    placement: {
      '.lm2mcu.arena': target.dataRegion,
      '.lm2mcu.tokenizer': target.codeRegion,
      '.lm2mcu.embedding': target.codeRegion,
      '.lm2mcu.encoder': target.codeRegion,
      ...request.placement,
    },
    stackBytes: stackBytes + stackCanaryBytes,
    isArenaAlone: target.npu !== undefined,
  });
  writeFileSync(join(outDir, `${machine.name}.ld`), script);
  const command = [
    ...cpuFlags(target),
    '-nostdlib',
    '-Wl,--gc-sections',
    '-Wl,--build-id=none',
    '-Wl,--orphan-handling=error',
    `-Wl,-T,${machine.name}.ld`,
    ...objectsOf(jobs, machine),
    '-lgcc',
    '-o',
    `${machine.name}.elf`,
  ];
  try {
    await runCompiler(outDir, [command]);
  } catch (error) {
    throw explainLinkError(error, machine.regions);
  }
}

/** ld says by how much each region overflows: that is the user's business, not ours. */
function explainLinkError(error: unknown, regions: readonly MemoryRegion[]): unknown {
  if (!(error instanceof Error)) return error;
  const overflows = regions.flatMap((region) => {
    const pattern = new RegExp(`region .${linkerName(region.name)}' overflowed by (\\d+) byte`);
    const bytes = pattern.exec(error.message)?.[1];
    return bytes === undefined ? [] : [{ region, needed: region.sizeBytes + Number(bytes) }];
  });
  const first = overflows[0];
  if (first === undefined) {
    const orphan = /unplaced orphan section `(.*?)' from/.exec(error.message)?.[1];
    return orphan === undefined ? error : internalError(`section ${orphan} was not placed`, orphan);
  }
  const list = overflows.map(
    ({ region, needed }) =>
      `${region.name} by ${(needed - region.sizeBytes).toLocaleString('en-US')} B`,
  );
  return userError({
    code: 'does-not-fit',
    message: `the firmware does not fit: it exceeds ${list.join(' and ')}`,
    where: first.region.name,
    neededBytes: first.needed,
    availableBytes: first.region.sizeBytes,
    hint: 'Fewer tokens (--max-tokens) save RAM; a smaller vocabulary or a --target with NOR flash saves flash.',
  });
}
