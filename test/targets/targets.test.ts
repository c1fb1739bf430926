/** Every shipped core and board file, and what is said about wrong ones. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type ErrorDetails, Lm2mcuError } from '../../toolchain/errors.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { listTargets, loadTarget } from '../../toolchain/targets.ts';

const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-targets-'));
afterAll(() => rmSync(folder, { recursive: true }));

const names = listTargets();
const usedCores = new Set<string>();

describe('shipped boards', () => {
  test.each(names)('%s', (name) => {
    const target = loadTarget(name);
    usedCores.add(target.core.name);
    expect(target.name).toBe(name);
    expect(target.verified.how).not.toBe('');
    // Each runs in the emulator, itself or as its twin, on the same core and with the same sizes.
    const emulation = target.emulation!;
    expect(emulation.board.core).toBe(target.core.name);
    expect(emulation.regions.map(({ name, sizeBytes }) => [name, sizeBytes])).toEqual(
      target.regions.map(({ name, sizeBytes }) => [name, sizeBytes]),
    );
    expect(target.counter.unit).toBe(
      target.verified.status === 'emulated' ? 'instructions' : 'cycles',
    );
  });

  test('use every core', () => {
    const cores = readdirSync(packagePath('targets', 'cores')).map((file) =>
      file.replace('.json', ''),
    );
    expect([...usedCores].sort()).toEqual(cores.sort());
  });
});

/** The nRF52840 DK's file, changed. */
function changedBoard(change: (board: Record<string, unknown>) => void): string {
  const { core, emulation: _emulation, ...board } = loadTarget('nrf52840-dk');
  const hex = (address: number) => `0x${address.toString(16)}`;
  const json: Record<string, unknown> = {
    ...board,
    core: core.name,
    regions: board.regions.map((region) => ({ ...region, origin: hex(region.origin) })),
    uart: { ...board.uart, base: hex(board.uart.base) },
  };
  change(json);
  const path = join(folder, 'my-board.json');
  writeFileSync(path, JSON.stringify(json));
  return path;
}

function errorOf(nameOrPath: string): ErrorDetails {
  try {
    loadTarget(nameOrPath);
  } catch (error) {
    if (error instanceof Lm2mcuError) return error.details;
    throw error;
  }
  throw new Error('no error');
}

describe('boards of the user', () => {
  test('load by path', () => {
    const target = loadTarget(changedBoard((board) => (board['name'] = 'my-board')));
    expect(target).toMatchObject({ name: 'my-board', emulation: undefined });
  });

  test('a twin must have the memory', () => {
    const path = changedBoard((board) => {
      board['twin'] = { board: 'mps2-an386', origins: { flash: '0x00300001', sram: '0x20000000' } };
    });
    expect(errorOf(path).message).toBe(
      'the board file is wrong:\n    twin: flash lies outside the memory of mps2-an386',
    );
  });
});

describe('errors', () => {
  test('an unknown name lists the valid ones', () => {
    expect(errorOf('nucleo-f746')).toEqual({
      code: 'unknown-target',
      message: 'there is no target "nucleo-f746"',
      hint:
        'Use one of alif-ensemble-e7, alif-ensemble-e7-he, ast1030-evb, corstone-300, ' +
        'grove-vision-ai-v2, mps2-an386, mps2-an386-boot, mps2-an500, mps2-an500-boot, ' +
        'mps2-an505, mps2-an505-boot, mps3-an547, mps3-an547-boot, mps3-an547-npu, netduinoplus2, ' +
        'nrf52840-dk, nucleo-f446re, nucleo-f746zg, stm32f746g-disco, or the path of a board file ending in .json.',
    });
  });

  test('all mistakes of a file are told at once', () => {
    const path = changedBoard((board) => {
      board['clokHz'] = board['clockHz'];
      delete board['clockHz'];
      board['clockSetup'] = 'sundial';
      board['uart'] = { ...(board['uart'] as object), base: 1073750016, tx: 'PD8' };
    });
    expect(errorOf(path)).toEqual({
      code: 'bad-board-file',
      message: [
        'the board file is wrong:',
        '    clockHz: Invalid input: expected number, received undefined',
        '    clockSetup: no such file in firmware-templates/clock/',
        '    uart.base: Invalid input: expected string, received number',
        '    uart.tx: an nRF pin is written like "P0.06"',
        '    (whole file): Unrecognized key: "clokHz"',
      ].join('\n'),
      where: path,
      hint: 'targets/README.md describes every field.',
    });
  });

  test('rules between fields', () => {
    const path = changedBoard((board) => {
      board['codeRegion'] = 'sram';
      board['dataRegion'] = 'flash';
      const [flash, sram] = board['regions'] as Record<string, unknown>[];
      board['regions'] = [
        { ...flash, sizeBytes: 1000, needsSetup: true },
        { ...sram, origin: '0x00000100' },
      ];
      board['machine'] = 'mps2-an386';
      board['twin'] = { board: 'mps2-an386', origins: {} };
    });
    expect(errorOf(path).message).toBe(
      [
        'the board file is wrong:',
        '    codeRegion: names a region that keeps its content, and is executable unless there is codeRunsIn',
        '    dataRegion: names a region of kind sram or tcm',
        '    regions: regions do not overlap',
        '    regions: eraseBlocks add up to sizeBytes',
        '    memorySetup: a region that needsSetup needs a memorySetup',
        '    twin: a board is emulated itself (machine) or has a twin, not both',
      ].join('\n'),
    );
  });

  test('rules of an NPU', () => {
    const npu = {
      driver: 'ethos-u',
      accelerator: 'ethos-u55-256',
      base: '0x48102000',
      interrupt: 56,
    };
    const withNpu = (change: object) =>
      errorOf(changedBoard((board) => (board['npu'] = { ...npu, ...change }))).message;
    const ofReaches = '    npu: reaches names regions, RAM and one for constants among them';
    expect(withNpu({ reaches: ['sram', 'ram'] })).toBe(`the board file is wrong:\n${ofReaches}`);
    expect(withNpu({ reaches: ['flash'] })).toBe(`the board file is wrong:\n${ofReaches}`);
    expect(withNpu({ reaches: ['sram', 'flash'], accelerator: 'ethos-u85' })).toContain(
      'npu.accelerator: Invalid option: expected one of "ethos-u55-32"|"ethos-u55-64"',
    );
    const shared = { origin: '0x20000000', sizeBytes: 262144 };
    const { base: _, interrupt: __, ...emulated } = { ...npu, driver: 'emulated', shared };
    const onThis = changedBoard((board) => {
      board['npu'] = { ...emulated, reaches: ['sram', 'flash'] };
    });
    expect(errorOf(onThis).message).toBe(
      'the board file is wrong:\n    npu: driver emulated is for boards that QEMU starts (machine), all they reach being shared',
    );
  });

  test('the twin of a board with an NPU has one too, and shares what the NPU reaches', () => {
    const npu = {
      driver: 'ethos-u',
      accelerator: 'ethos-u55-64',
      base: '0x48102000',
      interrupt: 56,
    };
    const withTwin = (twin: object) =>
      errorOf(
        changedBoard((board) => {
          board['core'] = 'cortex-m55';
          board['npu'] = { ...npu, reaches: ['sram', 'flash'] };
          board['twin'] = twin;
        }),
      ).message;
    const origins = { flash: '0x11000000', sram: '0x31000000' };
    expect(withTwin({ board: 'mps3-an547', origins })).toBe(
      'the board file is wrong:\n    twin: mps3-an547 has no emulated NPU',
    );
    const inDdr = { flash: '0x70000000', sram: '0x31000000' };
    expect(withTwin({ board: 'mps3-an547-npu', origins: inDdr })).toBe(
      'the board file is wrong:\n    twin: the NPU of mps3-an547-npu does not reach sram',
    );
  });

  test('rules of a bootloader', () => {
    const path = changedBoard((board) => {
      const { bootloader } = loadTarget('mps2-an386-boot');
      const extent = (one: { origin: number; sizeBytes: number }) => ({
        ...one,
        origin: `0x${one.origin.toString(16)}`,
      });
      board['bootloader'] = {
        ...bootloader,
        storage: extent(bootloader!.storage),
        code: extent(bootloader!.code),
        ram: extent(bootloader!.ram),
        wireOrigin: '0x08000000',
        handover: '0x20000000',
      };
      board['codeRunsIn'] = 'flash';
    });
    expect(errorOf(path).message).toBe(
      [
        'the board file is wrong:',
        '    codeRunsIn: names executable RAM, and needs a bootloader',
        '    bootloader: the storage holds the non-volatile regions, codeRegion 512 bytes behind its start',
        '    loaders: a bootloader needs a loader with protocol stm32-uart',
      ].join('\n'),
    );
  });

  test('a missing or broken file', () => {
    expect(errorOf(join(folder, 'none.json'))).toMatchObject({
      code: 'bad-board-file',
      message: "the board file cannot be read: ENOENT: no such file or directory, open 'none.json'",
    });
    writeFileSync(join(folder, 'broken.json'), '{');
    expect(errorOf(join(folder, 'broken.json')).message).toMatch(
      /^the board file cannot be read: /,
    );
  });

  test('an unknown core lists the valid ones', () => {
    expect(errorOf(changedBoard((board) => (board['core'] = 'cortex-m3'))).message).toBe(
      'the board file is wrong:\n    core: there is no "cortex-m3"; ' +
        'use one of cortex-m33, cortex-m4f, cortex-m55, cortex-m7',
    );
  });
});
