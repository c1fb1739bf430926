/** `lm2mcu targets`: the boards, or all about one of them. */
import { assertExhaustive, formatBytes } from '../errors.ts';
import { hexWord } from '../integers.ts';
import {
  type EngineTarget,
  listEngines,
  listTargets,
  loadEngine,
  loadTarget,
  type MemoryRegion,
  type Npu,
  type Target,
} from '../targets.ts';
import { findTarget } from './build.ts';
import { defineCommand } from './command.ts';

export const targetsCommand = defineCommand({
  usage: 'targets [name]',
  summary: 'List the boards, or show one',
  positionals: {
    name: { type: 'string', describe: 'A board, or the path of a board file ending in .json' },
  },
  options: {},
  examples: [
    ['lm2mcu targets', 'Every board with its memory, and whether it can be emulated'],
    ['lm2mcu targets stm32f746g-disco', 'One board: regions, console, how to load it'],
  ],
  async run({ name }) {
    if (name === undefined) {
      const targets = listTargets().map((one) => loadTarget(one));
      const engines = listEngines().map(loadEngine);
      const lines = engines.map((engine) => `${engine.name}: ${engine.title}`);
      return {
        json: { targets: targets.map(summaryOf), engines },
        text: [table(targets), '', 'Not boards:', ...lines].join('\n'),
      };
    }
    if (listEngines().includes(name)) {
      const engine = loadEngine(name);
      return { json: engine, text: describeEngine(engine) };
    }
    const target = findTarget(name, listEngines());
    return { json: target, text: describe(target) };
  },
});

function summaryOf(target: Target) {
  return {
    name: target.name,
    title: target.title,
    core: target.core.name,
    npu: target.npu?.accelerator ?? null,
    clockHz: target.clockHz,
    flashBytes: sizeOf(target, isFlash),
    sramBytes: sizeOf(target, (region) => !isFlash(region)),
    emulator: target.emulation?.machine ?? null,
    verified: target.verified.status,
  };
}

function isFlash({ kind }: MemoryRegion): boolean {
  switch (kind) {
    case 'flash':
    case 'nor':
      return true;
    case 'sram':
    case 'tcm':
      return false;
    default:
      return assertExhaustive(kind);
  }
}

function sizeOf({ regions }: Target, isCounted: (region: MemoryRegion) => boolean): number {
  return regions.filter(isCounted).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

function table(targets: readonly Target[]): string {
  const kib = (bytes: number) => `${(bytes / 1024).toLocaleString('en-US')} KiB`;
  const rows = targets.map((target) => {
    const { name, core, npu, clockHz, flashBytes, sramBytes, emulator, verified } =
      summaryOf(target);
    const mhz = `${clockHz / 1e6} MHz`;
    const memory = [kib(flashBytes), kib(sramBytes)];
    return [name, core, npu ?? '-', mhz, ...memory, emulator ?? '-', verified];
  });
  return alignColumns([
    ['board', 'core', 'NPU', 'clock', 'flash', 'RAM', 'emulator', 'verified'],
    ...rows,
  ]);
}

/** Columns as wide as their widest cell, two spaces between them. */
export function alignColumns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]!.length)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function describe(target: Target): string {
  const {
    name,
    title,
    chip,
    core,
    clockHz,
    regions,
    npu,
    uart,
    emulation,
    bootloader,
    writer,
    loaders,
  } = target;
  const { verified } = target;
  const memory = regions.map((region) => [
    `  ${region.name}`,
    region.kind,
    hexWord(region.origin),
    formatBytes(region.sizeBytes),
    region.note ?? '',
  ]);
  return [
    `${name}: ${title}`,
    `chip      ${chip}, ${core.title}, ${clockHz / 1e6} MHz`,
    'memory',
    alignColumns(memory),
    ...(npu === undefined ? [] : [`NPU       ${describeNpu(npu)}`]),
    `console   ${uart.driver} at 0x${uart.base.toString(16)}, ${uart.baud} baud`,
    `emulator  ${emulation === undefined ? 'none' : `${emulation.machine} under qemu-system-arm${npu === undefined ? '' : ', the NPU simulated'}`}`,
    ...(bootloader === undefined
      ? []
      : [`start by  our bootloader; lm2mcu emulate runs it on ${bootloader.machine}`]),
    ...(writer === undefined
      ? []
      : [
          `writer    for the NOR at 0x${writer.storage.origin.toString(16)}, from RAM at ${hexWord(writer.code.origin)}`,
        ]),
    ...loaders.map((loader) => `load by   ${describeLoader(loader)}`),
    `verified  ${verified.status}: ${verified.how}`,
  ].join('\n');
}

function describeNpu(npu: Npu): string {
  const { accelerator, reaches, runTimeWeights, driver } = npu;
  const place =
    driver === 'emulated' ? 'simulated' : `at ${hexWord(npu.base)}, interrupt ${npu.interrupt}`;
  const weights =
    runTimeWeights === undefined
      ? ''
      : '; keys and values as weights, which only simulators ran yet';
  return `${accelerator} ${place}, reaches ${reaches.join(', ')}${weights}`;
}

function describeEngine({ name, title, verified }: EngineTarget): string {
  return [
    `${name}: ${title}`,
    'memory    one, that grows by pages of 64 KiB, up to 4 GiB',
    `verified  ${verified.how}`,
  ].join('\n');
}

function describeLoader(loader: Target['loaders'][number]): string {
  switch (loader.protocol) {
    case 'stm32-uart':
    case 'sam-ba':
    case 'mcuboot-smp':
    case 'ymodem':
      return `${loader.protocol}: ${loader.serial}; ${loader.enter}`;
    case 'drive':
    case 'probe-rs':
    case 'openocd':
      return `${loader.protocol}: ${loader.how}`;
    case 'by-hand':
      return loader.how;
    case 'emulator':
      return 'the emulator';
    default:
      return assertExhaustive(loader);
  }
}
