/**
 * All of it on an emulated board with the project's bootloader: built, flashed through a pseudo-terminal
 * by the command line, and asked over the same line; again, and over a disturbed line.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { flash } from '../../flasher/flash.ts';
import { parseImage } from '../../flasher/image.ts';
import { openSerialPort } from '../../flasher/serial-port.ts';
import { type EmulatedBoard, startBoard } from '../../toolchain/emulate/board.ts';
import { Lm2mcuError } from '../../toolchain/errors.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { loadTarget } from '../../toolchain/targets.ts';
import { lm2mcu, temporaryFolder } from '../cli/lm2mcu.ts';
import { hasCompiler, hasEmulator } from '../firmware/fake-firmware.ts';
import { faultyPort, noFaults } from './faulty-port.ts';

const folder = temporaryFolder();
const target = loadTarget('ast1030-evb');
const model = packagePath('test', 'fixtures', 'hf', 'seqcls-gelu');
let board: EmulatedBoard | undefined;
afterAll(async () => {
  await board?.kill();
  folder.remove();
});

const runJson = async (...args: readonly string[]) => {
  const { code, stdout, stderr } = await lm2mcu([...args, '--json'], folder.path);
  expect(code, stderr + stdout).toBe(0);
  return JSON.parse(stdout);
};

describe.skipIf(!hasCompiler || !hasEmulator)('a board under QEMU', () => {
  beforeAll(async () => {
    const options = ['--target', target.name, '--max-tokens', '24', '--out', 'out'];
    await runJson('build', model, ...options);
    const bootloaderPath = join(folder.path, 'out', 'bootloader.elf');
    const storagePath = join(folder.path, 'nor.bin');
    board = await startBoard({ target, bootloaderPath, storagePath });
  }, 300_000);

  test('flash, and the board answers as the interpreter does', async () => {
    const port = board!.port;
    const flashed = await runJson('flash', 'out', '--port', port);
    expect(flashed).toMatchObject({ board: target.name, protocol: 'stm32-uart', started: true });
    expect(flashed.bytesWritten).toBeGreaterThan(50_000);
    const text = ['--text', 'the lamp'];
    const here = await runJson('run', 'out', ...text, '--on', 'interpreter');
    const there = await runJson('run', 'out', ...text, '--on', port);
    expect(there).toMatchObject({ on: 'board', label: here.label, logits: here.logits });
  }, 300_000);

  test('again, from the running application: nothing to write', async () => {
    const flashed = await runJson('flash', 'out', '--port', board!.port);
    expect(flashed).toMatchObject({ bytesWritten: 0, started: true });
  }, 300_000);

  test('another model on the board is noticed', async () => {
    const options = ['--target', target.name, '--max-tokens', '16', '--out', 'other'];
    await runJson('build', model, ...options);
    const run = await lm2mcu(['run', 'other', '--text', 'x', '--on', board!.port], folder.path);
    expect(run.code).toBe(1);
    expect(run.stderr).toContain('the board runs another build: "seqcls-gelu" for ast1030-evb');
  }, 300_000);

  test('over a disturbed line: verified, or an error and then verified', async () => {
    const path = join(folder.path, 'other', 'firmware.hex');
    const image = parseImage(path, readFileSync(path), undefined);
    const loader = target.loaders.find(({ protocol }) => protocol === 'stm32-uart');
    if (loader?.protocol !== 'stm32-uart') throw new Error('no such loader');
    const flashOver = (drop: number) =>
      flash(
        {
          target,
          loader,
          image,
          port: board!.port,
          baud: undefined,
          wiring: undefined,
          rewriteAll: false,
          writer: undefined,
        },
        (name) => async (settings) => {
          const faults = { ...noFaults, seed: 3, drop, flip: drop, duplicate: drop };
          return faultyPort(await openSerialPort(name, settings), faults);
        },
        () => {},
      );
    try {
      expect((await flashOver(1e-4)).repeats).toBeGreaterThan(0);
    } catch (error) {
      if (!(error instanceof Lm2mcuError) || error.kind === 'internal') throw error;
    }
    await flashOver(0);
    const text = ['--text', 'the lamp'];
    const here = await runJson('run', 'other', ...text, '--on', 'interpreter');
    const there = await runJson('run', 'other', ...text, '--on', board!.port);
    expect(there.logits).toEqual(here.logits);
  }, 300_000);
});
