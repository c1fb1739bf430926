/** Compiles the harness with the kernels for a machine, and runs cases through it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type CmsisNn, openCmsisNn } from '../../toolchain/build/cmsis-nn.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import type { Kernel, KernelTable } from '../../toolchain/schedule/kernels.ts';
import type { Case } from './cases/common.ts';

export interface Machine {
  readonly name: string;
  readonly compiler: string;
  readonly flags: readonly string[];
  readonly features: readonly string[];
  /** The CMSIS-NN that kernels call. */
  readonly cmsisNn: CmsisNn;
  /** Null: the host. */
  readonly emulator: {
    readonly machine: string;
    readonly codeOrigin: string;
    readonly dataOrigin: string;
    readonly instructionsPerTick: number;
  } | null;
}

/** Stands in for Arm's library, and does what its documentation says. */
export const contract = openCmsisNn(packagePath('test', 'cmsis-nn', 'contract'));

export const host: Machine = {
  name: 'host',
  compiler: 'gcc',
  flags: ['-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
  features: ['cmsis-nn'],
  cmsisNn: contract,
  emulator: null,
};

/** Kernels are compiled as firmware is: -O2. */
function cortexM(
  cpu: string,
  features: readonly string[],
  emulator: NonNullable<Machine['emulator']>,
): Machine {
  return {
    name: cpu,
    compiler: 'arm-none-eabi-gcc',
    flags: [`-mcpu=${cpu}`, '-mthumb', '-mfloat-abi=hard', '-O2'],
    features: [...features, 'cmsis-nn', 'spare-flash'],
    cmsisNn: contract,
    emulator,
  };
}

/** Memory maps and ticks as QEMU 7.2 models them. */
export const emulated: readonly Machine[] = [
  cortexM('cortex-m4', ['dsp'], {
    machine: 'mps2-an386',
    codeOrigin: '0x00000000',
    dataOrigin: '0x21000000',
    instructionsPerTick: 40,
  }),
  cortexM('cortex-m7', ['dsp'], {
    machine: 'mps2-an500',
    codeOrigin: '0x00000000',
    dataOrigin: '0x20000000',
    instructionsPerTick: 40,
  }),
  cortexM('cortex-m33', ['dsp'], {
    machine: 'mps2-an505',
    codeOrigin: '0x10000000',
    dataOrigin: '0x38000000',
    instructionsPerTick: 50,
  }),
  cortexM('cortex-m55', ['dsp', 'mve'], {
    machine: 'mps3-an547',
    codeOrigin: '0x00000000',
    dataOrigin: '0x31000000',
    instructionsPerTick: 31.25,
  }),
];

/** The kernels a machine can run, in the order of their numbers in a case. */
export function kernelsOf(table: KernelTable, { features }: Machine): readonly Kernel[] {
  return table.kernels.filter(({ needs }) => needs.every((need) => features.includes(need)));
}

/** The programs a machine needs and this host lacks. */
export function missingPrograms({ compiler, emulator }: Machine): readonly string[] {
  return [compiler, ...(emulator === null ? [] : ['qemu-system-arm'])].filter(
    (program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).error !== undefined,
  );
}

export interface Answer {
  readonly instructions: number;
  readonly repeatable: boolean;
  readonly after: Uint8Array;
}

/** What the machine computes, an answer a case. */
export function runCases(
  table: KernelTable,
  machine: Machine,
  cases: readonly Case[],
): readonly Answer[] {
  const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-kernels-'));
  try {
    build(table, machine, folder);
    const numbers = new Map(kernelsOf(table, machine).map(({ name }, index) => [name, index]));
    const stream = Buffer.concat(cases.map((one) => encodeCase(numbers.get(one.kernel.name), one)));
    return decodeAnswers(machine, execute(machine, folder, stream), cases);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const warnings = ['-Wall', '-Wextra', '-Wconversion', '-Wsign-conversion', '-Werror'];

function build(table: KernelTable, machine: Machine, folder: string): void {
  const kernels = kernelsOf(table, machine);
  const rows = kernels.map(
    ({ family, name, input, output }) => `ROW(${family}, ${name}, ${input}_t, ${output}_t)\n`,
  );
  writeFileSync(join(folder, 'kernel_rows.h'), rows.join(''));
  const harness = (file: string) => packagePath('test', 'kernels', 'harness', file);
  const sources = [
    ...new Set(kernels.map(({ file }) => packagePath('kernels', file))),
    harness('harness.c'),
    harness(machine.emulator === null ? 'host.c' : 'emulated.c'),
  ];
  const link = [];
  if (machine.emulator !== null) {
    writeFileSync(join(folder, 'harness.ld'), linkerScript(machine.emulator));
    link.push('-nostartfiles', '--specs=nosys.specs', '-T', 'harness.ld');
  }
  const includes = [`-I${packagePath('kernels', 'c')}`, `-I${harness('.')}`, '-I.'];
  const { cmsisNn } = machine;
  const library = ['-std=gnu11', ...machine.flags, '-w', `-I${cmsisNn.includeFolder}`, '-c'];
  run(machine.compiler, [...library, ...cmsisNn.sources], folder);
  const objects = cmsisNn.sources.map((path) => `${basename(path, '.c')}.o`);
  const system = ['-isystem', cmsisNn.includeFolder];
  const flags = ['-std=c99', ...machine.flags, ...warnings, ...includes, ...system];
  run(machine.compiler, [...flags, ...sources, ...objects, ...link, '-o', 'harness'], folder);
}

function linkerScript({
  codeOrigin,
  dataOrigin,
}: {
  readonly codeOrigin: string;
  readonly dataOrigin: string;
}): string {
  return `MEMORY {
  code (rx) : ORIGIN = ${codeOrigin}, LENGTH = 256K
  data (rw) : ORIGIN = ${dataOrigin}, LENGTH = 4M
}
SECTIONS {
  .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) } > code
  .ARM.exidx : { *(.ARM.exidx*) } > code
  .data : { *(.data*) } > data
  .bss (NOLOAD) : { *(.bss*) *(COMMON) } > data
  stack_top = ORIGIN(data) + LENGTH(data);
}
ENTRY(vectors)
`;
}

function execute(machine: Machine, folder: string, cases: Buffer): Buffer {
  if (machine.emulator === null) return run('./harness', [], folder, cases);
  writeFileSync(join(folder, 'cases.bin'), cases);
  run(
    'qemu-system-arm',
    [
      ...['-M', machine.emulator.machine, '-kernel', 'harness', '-icount', 'shift=0'],
      ...['-semihosting-config', 'enable=on,target=native'],
      ...['-display', 'none', '-monitor', 'none', '-serial', 'none', '-net', 'none'],
    ],
    folder,
  );
  return readFileSync(join(folder, 'answers.bin'));
}

function run(program: string, args: readonly string[], folder: string, input?: Buffer): Buffer {
  const result = spawnSync(program, args, {
    cwd: folder,
    maxBuffer: 2 ** 30,
    ...(input === undefined ? {} : { input }),
  });
  if (result.error !== undefined) throw result.error;
  if (result.status !== 0) {
    throw new Error(`${program} ended with ${result.status ?? result.signal}:\n${result.stderr}`);
  }
  return result.stdout;
}

function encodeCase(number: number | undefined, { kernel, args, regions, before }: Case): Buffer {
  if (number === undefined) throw new RangeError(`${kernel.name} does not run on this machine`);
  const words = [
    ...[number, args.length, regions.length, before.length],
    ...args,
    ...regions.flatMap(({ offset, size }) => [offset, size]),
  ];
  return Buffer.concat([Buffer.from(Int32Array.from(words).buffer), before]);
}

function decodeAnswers(
  { emulator }: Machine,
  answers: Buffer,
  cases: readonly Case[],
): readonly Answer[] {
  let offset = 0;
  return cases.map(({ before }) => {
    const ticks = answers.readUInt32LE(offset);
    const repeatable = answers.readUInt32LE(offset + 4) === 1;
    const after = answers.subarray(offset + 8, offset + 8 + before.length);
    offset += 8 + before.length;
    return { instructions: ticks * (emulator?.instructionsPerTick ?? 0), repeatable, after };
  });
}
