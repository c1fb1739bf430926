/** Compiles and links the bootloader of a board: bootloader.elf, .bin and .hex. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { internalError } from '../errors.ts';
import { packagePath } from '../package-root.ts';
import type { MemoryRegion, Target } from '../targets.ts';
import { commonFlags, cpuFlags, stackCanaryBytes } from './compile-flags.ts';
import { readElfFile } from './elf.ts';
import { runCompiler } from './gcc.ts';
import { intelHex, regionImages } from './image-files.ts';
import { linkerScript } from './linker-script.ts';
import { stackBound } from './stack-bound.ts';

/** Of firmware-templates/; what the application shares with the bootloader. */
export const bootloaderHeaders: readonly string[] = ['handover.h'];

const ownHeaders = ['image.h', 'protocol.h', 'crc32.h'].map((name) => `bootloader/${name}`);
const ownSources = ['main', 'protocol', 'image', 'crc32'].map((name) => `bootloader/${name}`);

export interface Bootloader {
  readonly elfPath: string;
  /** What the compiler said. */
  readonly talk: readonly string[];
}

/** Among the firmware's sources, which lie there already (board.h of the firmware, too). */
export async function buildBootloader(target: Target, outDir: string): Promise<Bootloader> {
  const { bootloader } = target;
  if (bootloader === undefined) throw internalError(`${target.name} has no bootloader`);
  const sources = [
    ...ownSources,
    `storage/${bootloader.storage.driver}`,
    'startup',
    'memory_functions',
    `core/${target.core.setup}`,
    `clock/${target.clockSetup}`,
    `uart/${target.uart.driver}`,
    'memory/none',
  ];
  copyTemplates(outDir, [
    ...ownHeaders,
    'storage/storage.h',
    ...sources.map((source) => `${source}.c`),
  ]);
  const objects = join(outDir, 'objects');
  mkdirSync(objects, { recursive: true });
  const objectOf = (source: string) => `objects/bootloader-${source.replaceAll('/', '-')}`;
  const talk = await runCompiler(
    outDir,
    sources.map((source) => [
      ...commonFlags(target, outDir),
      // memory_functions.c must not be compiled into calls of itself.
      ...['-Os', '-mgeneral-regs-only', '-fno-builtin', '-fno-tree-loop-distribute-patterns'],
      ...['firmware', 'firmware/firmware', 'firmware/bootloader', 'firmware/storage'].map(
        (folder) => `-Isources/${folder}`,
      ),
      ...['-c', `sources/firmware/${source}.c`, '-o', `${objectOf(source)}.o`],
    ]),
  );
  const graphs = sources.map((source) =>
    readFileSync(join(outDir, `${objectOf(source)}.ci`), 'utf8'),
  );
  const stack = stackBound(graphs, ['SysTick_Handler'], target.core.exceptionFrameBytes);
  const regions: readonly MemoryRegion[] = [
    region('boot', 'flash', bootloader.code),
    region('ram', 'sram', bootloader.ram),
  ];
  const script = linkerScript({
    regions,
    codeRegion: 'boot',
    dataRegion: 'ram',
    placement: {},
    stackBytes: stack.bytes + stackCanaryBytes,
  });
  writeFileSync(join(outDir, 'bootloader.ld'), script);
  await runCompiler(outDir, [
    [
      ...cpuFlags(target),
      ...['-nostdlib', '-Wl,--gc-sections', '-Wl,--build-id=none'],
      ...['-Wl,--orphan-handling=error', '-Wl,-T,bootloader.ld'],
      ...sources.map((source) => `${objectOf(source)}.o`),
      ...['-lgcc', '-o', 'bootloader.elf'],
    ],
  ]);
  rmSync(objects, { recursive: true });

  const elfPath = join(outDir, 'bootloader.elf');
  const elf = readElfFile(elfPath);
  const images = regionImages(elf.segments, regions);
  writeFileSync(join(outDir, 'bootloader.hex'), intelHex(images, elf.entry));
  writeFileSync(join(outDir, 'bootloader.bin'), images[0]?.bytes ?? new Uint8Array());
  return { elfPath, talk };
}

function region(
  name: string,
  kind: MemoryRegion['kind'],
  extent: Pick<MemoryRegion, 'origin' | 'sizeBytes'>,
): MemoryRegion {
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
