/** Jobs of an NPU in firmware under QEMU, run by the simulator on the emulator's memory. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { buildFirmware, type Firmware } from '../../../toolchain/build/firmware.ts';
import { openQemuConsole, type QemuConsole } from '../../../toolchain/emulate/qemu.ts';
import { loadTarget } from '../../../toolchain/targets.ts';
import { hasEmulator, temporaryFolder } from '../fake-firmware.ts';
import { goldenSources, goldensOf } from './golden-firmware.ts';

const corstone = loadTarget('corstone-300');

const opened = new Map<string, Promise<QemuConsole>>();
afterAll(async () => {
  for (const console of opened.values()) await (await console).close();
});

/** Firmware with every golden job of a set, in an emulator of its own. */
function openGoldens(set: string): Promise<QemuConsole> {
  const console = opened.get(set) ?? buildAndOpen(set);
  opened.set(set, console);
  return console;
}

async function buildAndOpen(set: string): Promise<QemuConsole> {
  const { emulatorElfPath } = await build(set);
  return openQemuConsole({ target: corstone, elfPath: emulatorElfPath! });
}

const built = new Map<string, Promise<Firmware>>();

function build(set: string): Promise<Firmware> {
  const firmware =
    built.get(set) ??
    buildFirmware({
      target: corstone,
      sources: goldenSources(goldensOf(set)),
      placement: { '.lm2mcu.encoder': 'ddr', '.lm2mcu.arena': 'sram' },
      optimisation: 'O2',
      outDir: temporaryFolder(set.replaceAll('/', '-')),
    });
  built.set(set, firmware);
  return firmware;
}

const sets = ['vela-3.12.0/ethos-u55-256', 'vela-5.1.0/ethos-u55-256'] as const;

describe.skipIf(!hasEmulator)('an emulated NPU', () => {
  test('leaves nothing behind, nor does an emulator that stops', async () => {
    const before = process.env['TMPDIR'];
    process.env['TMPDIR'] = mkdtempSync(join(tmpdir(), 'lm2mcu-npu-test-'));
    try {
      const { close } = await buildAndOpen(sets[0]);
      expect(readdirSync(tmpdir())).toEqual([expect.stringMatching(/^lm2mcu-npu-/)]);
      await close();
      expect(readdirSync(tmpdir())).toEqual([]);
      const noFirmware = openQemuConsole({ target: corstone, elfPath: '/dev/null' });
      await expect(noFirmware).rejects.toMatchObject({ details: { code: 'emulator-stopped' } });
      expect(readdirSync(tmpdir())).toEqual([]);
    } finally {
      rmSync(tmpdir(), { recursive: true });
      if (before === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = before;
    }
  });

  test.each(sets)('gives the golden outputs of %s in firmware', async (set) => {
    const goldens = goldensOf(set);
    const { ask } = await openGoldens(set);
    const answers: unknown[] = [];
    for (const [index, { model }] of goldens.entries()) {
      answers.push([model, JSON.parse(await ask(`#ids ${index}`)).embedding]);
    }
    expect(goldens.length).toBeGreaterThan(14);
    expect(answers).toEqual(
      goldens.map(({ model, outputs }) => [
        model,
        [0, outputs.reduce((sum, { bytes }) => sum + bytes!.length, 0)],
      ]),
    );
  });

  test('a job takes no time of the emulated core', async () => {
    const { ask } = await openGoldens(sets[0]);
    const instructions = async (golden: string) => {
      const index = goldensOf(sets[0]).findIndex(({ model }) => model === golden);
      return JSON.parse(await ask(`#ids ${index}`)).instructions.inference;
    };
    // What filling and comparing the arena takes; a millisecond would be a million.
    expect(await instructions('conv3x3_same_10x10x8_16')).toBeLessThan(100_000);
    expect(await instructions('fc_64x32')).toBeLessThan(10_000);
  });

  test('a stream that makes no sense is refused with its word, and the next job runs', async () => {
    const { ask } = await openGoldens(sets[0]);
    const index = goldensOf(sets[0]).findIndex(({ model }) => model === 'fc_64x32');
    expect(JSON.parse(await ask(`#ids ${index} 1`))).toEqual({
      error: {
        code: 'npu',
        message: '0xeeeeeeee is no command (word 70 of the command stream (byte 280))',
        npu: { status: '0x00000000', word: 0 },
      },
    });
    expect(JSON.parse(await ask(`#ids ${index}`)).embedding).toEqual([0, 32]);
  });

  test('so are a payload that ends too early, and a region between the lines', async () => {
    const { ask } = await openGoldens(sets[0]);
    const index = goldensOf(sets[0]).findIndex(({ model }) => model === 'fc_64x32');
    expect(JSON.parse(await ask(`#ids ${index} 4`)).error.message).toBe(
      'the command stream has 74 words, and 70 are there (the payload, word 7 (byte 28))',
    );
    expect(JSON.parse(await ask(`#ids ${index} 3`)).error.message).toBe(
      'a region is not aligned to 16 bytes',
    );
  });

  test('memory that the NPU of the board does not reach is refused', async () => {
    const { ask } = await openGoldens(sets[0]);
    expect(JSON.parse(await ask('#ids 0 2')).error.message).toMatch(
      /^a region of 16 bytes at 0x3100[0-9a-f]{4} is not in the memory that the NPU reaches$/,
    );
  });

  test('a job for another NPU is refused', async () => {
    const { ask } = await openGoldens('vela-5.1.0/ethos-u55-128');
    expect(JSON.parse(await ask('#ids 0')).error.message).toBe(
      'the job was compiled for ethos-u55-128, the NPU is ethos-u55-256',
    );
  });

  test("the board's own image runs where QEMU has no NPU, and says that", async () => {
    const { elfPath } = await build(sets[0]);
    const { ask, close } = await openQemuConsole({
      target: { ...corstone, npu: undefined },
      elfPath,
    });
    expect(JSON.parse(await ask('#ids 0'))).toEqual({
      error: {
        code: 'npu',
        message: 'the NPU does not work at the level secure and privileged',
        npu: { status: '0x00000000', word: 0 },
      },
    });
    await close();
  });
});
