/** Compiles and links a board's bootloader and its writer: .elf, .bin and .hex of each. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { internalError } from '../errors.ts';
import { packagePath } from '../package-root.ts';
import type { MemoryRegion, Target } from '../targets.ts';
import { writerHeader } from './board-header.ts';
import { commonFlags, cpuFlags, stackCanaryBytes } from './compile-flags.ts';
import { readElfFile } from './elf.ts';
import { runCompiler } from './gcc.ts';
import { intelHex, regionImages } from './image-files.ts';
import { linkerScript } from './linker-script.ts';
import { stackBound } from './stack-bound.ts';

/** Of firmware-templates/; what the application shares with the bootloader. */
export const bootloaderHeaders: readonly string[] = ['handover.h', 'reset.h'];

export interface Resident {
  readonly elfPath: string;
  /** What the compiler said. */
  readonly talk: readonly string[];
}

export async function buildBootloader(target: Target, outDir: string): Promise<Resident> {
  const { bootloader } = target;
  if (bootloader === undefined) throw internalError(`${target.name} has no bootloader`);
  return buildResident(target, outDir, {
    name: 'bootloader',
    header: 'firmware',
    parts: [
      ...['bootloader/main', 'bootloader/image', `storage/${bootloader.storage.driver}`],
      ...[`core/${target.core.setup}`, `clock/${target.clockSetup}`],
      ...[`uart/${target.uart.driver}`, 'memory/none'],
    ],
    headers: ['bootloader/image.h', ...bootloaderHeaders],
    ...bootloader,
  });
}

/** For RAM; without caches, which would keep what the NOR held before. */
export async function buildWriter(target: Target, outDir: string): Promise<Resident> {
  const { writer } = target;
  if (writer === undefined) throw internalError(`${target.name} has no writer`);
  const folder = join(outDir, 'sources', 'firmware', 'writer');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'board.h'), writerHeader(target, writer));
  return buildResident(target, outDir, {
    name: 'writer',
    header: 'writer',
    parts: [
      ...['bootloader/writer', `storage/${writer.storage.driver}`, 'core/none'],
      ...[`clock/${writer.clockSetup}`, `uart/${writer.uart.driver}`],
      `memory/${target.memorySetup}`,
    ],
    headers: ['reset.h'],
    ...writer,
  });
}

/** A program that stays beside the application, or comes before it. */
interface ResidentParts {
  readonly name: string;
  /** The folder of its board.h. */
  readonly header: string;
  /** Template files, without extension: those that differ. */
  readonly parts: readonly string[];
  readonly headers: readonly string[];
  readonly code: Extent;
  readonly ram: Extent;
}

type Extent = Pick<MemoryRegion, 'origin' | 'sizeBytes'>;

const sharedHeaders = ['protocol.h', 'line.h', 'crc32.h'].map((name) => `bootloader/${name}`);
const sharedSources = ['protocol', 'line', 'crc32'].map((name) => `bootloader/${name}`);

/** Among the firmware's sources, which lie there already. */
async function buildResident(
  target: Target,
  outDir: string,
  { name, header, parts, headers, code, ram }: ResidentParts,
): Promise<Resident> {
  const sources = [...sharedSources, ...parts, 'startup', 'memory_functions'];
  copyTemplates(outDir, [
    ...sharedHeaders,
    ...headers,
    'storage/storage.h',
    ...sources.map((source) => `${source}.c`),
  ]);
  const objects = join(outDir, 'objects');
  mkdirSync(objects, { recursive: true });
  const objectOf = (source: string) => `objects/${name}-${source.replaceAll('/', '-')}`;
  const talk = await runCompiler(
    outDir,
    sources.map((source) => [
      ...commonFlags(target, outDir),
      // memory_functions.c must not be compiled into calls of itself.
      ...['-Os', '-mgeneral-regs-only', '-fno-builtin', '-fno-tree-loop-distribute-patterns'],
      ...['', `/${header}`, '/bootloader', '/storage'].map(
        (folder) => `-Isources/firmware${folder}`,
      ),
      ...['-c', `sources/firmware/${source}.c`, '-o', `${objectOf(source)}.o`],
    ]),
  );
  const graphs = sources.map((source) =>
    readFileSync(join(outDir, `${objectOf(source)}.ci`), 'utf8'),
  );
  const stack = stackBound(graphs, ['SysTick_Handler'], target.core.exceptionFrameBytes);
  const regions: readonly MemoryRegion[] = [
    region('code', 'flash', code),
    region('ram', 'sram', ram),
  ];
  const script = linkerScript({
    regions,
    codeRegion: 'code',
    dataRegion: 'ram',
    placement: {},
    stackBytes: stack.bytes + stackCanaryBytes,
    isArenaAlone: false, // it has none
  });
  writeFileSync(join(outDir, `${name}.ld`), script);
  await runCompiler(outDir, [
    [
      ...cpuFlags(target),
      ...['-nostdlib', '-Wl,--gc-sections', '-Wl,--build-id=none'],
      ...['-Wl,--orphan-handling=error', `-Wl,-T,${name}.ld`],
      ...sources.map((source) => `${objectOf(source)}.o`),
      ...['-lgcc', '-o', `${name}.elf`],
    ],
  ]);
  rmSync(objects, { recursive: true });

  const elfPath = join(outDir, `${name}.elf`);
  const elf = readElfFile(elfPath);
  const images = regionImages(elf.segments, regions);
  writeFileSync(join(outDir, `${name}.hex`), intelHex(images, elf.entry));
  writeFileSync(join(outDir, `${name}.bin`), images[0]?.bytes ?? new Uint8Array());
  return { elfPath, talk };
}

function region(name: string, kind: MemoryRegion['kind'], extent: Extent): MemoryRegion {
  const executable = kind === 'flash';
  return {
    ...extent,
    ...{ name, kind, executable, readCyclesPerWord: 1, needsSetup: false, codeOnly: false },
  };
}

function copyTemplates(outDir: string, files: readonly string[]): void {
  for (const file of files) {
    const to = join(outDir, 'sources', 'firmware', file);
    mkdirSync(dirname(to), { recursive: true });
    cpSync(packagePath('firmware-templates', file), to);
  }
}
