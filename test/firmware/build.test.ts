/** Images: placement, measures, formats, repeatability, and what is said when they do not fit. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { crc32Stm32 } from '../../flasher/checksums.ts';
import { readElfFile } from '../../toolchain/build/elf.ts';
import { buildFirmware } from '../../toolchain/build/firmware.ts';
import type { Placement } from '../../toolchain/build/linker-script.ts';
import { loadTarget, type Target } from '../../toolchain/targets.ts';
import {
  buildFake,
  fakeSources,
  hasCompiler,
  hasEmulator,
  openFake,
  targets,
  temporaryFolder,
} from './fake-firmware.ts';

const disco = loadTarget('stm32f746g-disco');
const nrf = loadTarget('nrf52840-dk');
const boards = targets.map((target) => [target.name, target] as const);

/** Constants in the last two regions of a board that keep their content. */
function spread(target: Target): Placement {
  const names = target.regions.filter(({ kind }) => kind === 'nor' || kind === 'flash');
  const [last, beforeLast] = names.toReversed();
  return {
    '.lm2mcu.encoder': last!.name,
    '.lm2mcu.embedding': (beforeLast ?? last!).name,
  };
}
const inNor = { '.lm2mcu.encoder': 'nor', '.lm2mcu.embedding': 'nor' };

describe.skipIf(!hasCompiler)('image', () => {
  test.each(boards)('%s compiles without a warning, and the stack holds', async (_name, target) => {
    const firmware = await buildFake(target, {}, spread(target));
    expect(firmware.warnings).toEqual([]);
    expect(firmware.image.arenaBytes).toBe(6144);
    expect(firmware.image.sections['.lm2mcu.encoder']).toEqual({
      region: spread(target)['.lm2mcu.encoder'],
      sizeBytes: 256,
    });
    expect(firmware.stack.path.map(({ name }) => name)).toEqual([
      'Reset_Handler',
      'main',
      'lm2mcu_run',
      'sources/fake_model.c:use_stack',
    ]);
    // The canary's 16 bytes lie below the bound.
    expect(firmware.image.stackBytes).toBe(firmware.stack.bytes + 16);
  });

  test('a board that is named like its twin gets an image for the twin', async () => {
    const { emulatorElfPath } = await buildFake({ ...nrf, name: nrf.emulation!.board.name });
    expect(emulatorElfPath).toMatch(/firmware-twin\.elf$/);
  });

  test('sections and sizes agree with binutils', async () => {
    const { elfPath, image } = await buildFake(disco, {}, inNor);
    const table = execFileSync('arm-none-eabi-readelf', ['-SW', elfPath], { encoding: 'utf8' });
    const rows = [
      ...table.matchAll(/\] (\S+) +\w+ +([0-9a-f]{8}) [0-9a-f]+ ([0-9a-f]+) \d\d +(\w*)/g),
    ];
    const theirs = rows.map(([, name, address, size, flags]) => ({
      name,
      address: Number.parseInt(address ?? '', 16),
      sizeBytes: Number.parseInt(size ?? '', 16),
      allocated: flags?.includes('A'),
    }));
    expect(
      readElfFile(elfPath).sections.map(({ name, address, sizeBytes, allocated }) => ({
        name,
        address,
        sizeBytes,
        allocated,
      })),
    ).toEqual(theirs);
    expect(image.sections['.lm2mcu.embedding']).toEqual({ region: 'nor', sizeBytes: 256 });
    expect(image.regions.find(({ name }) => name === 'nor')?.usedBytes).toBe(512);
  });

  test('.bin and .hex hold what objcopy makes of the ELF', async () => {
    const { elfPath, binPaths, hexPath } = await buildFake(nrf);
    const copy = (...args: string[]) => {
      const out = temporaryFolder('objcopy.bin');
      execFileSync('arm-none-eabi-objcopy', [...args, '-O', 'binary', out]);
      return readFileSync(out);
    };
    expect(Object.keys(binPaths)).toEqual(['flash']);
    const bin = readFileSync(binPaths['flash']!);
    expect(bin.equals(copy(elfPath))).toBe(true);
    expect(copy('-I', 'ihex', hexPath).equals(bin)).toBe(true);
  });

  test('external NOR gets a binary of its own, and the HEX covers both', async () => {
    const { binPaths, hexPath } = await buildFake(disco, {}, inNor);
    expect(Object.keys(binPaths)).toEqual(['flash', 'nor']);
    const nor = readFileSync(binPaths['nor']!);
    expect([nor.readInt32LE(0), nor.readInt32LE(256)].sort()).toEqual([2, 5]);
    const extended = readFileSync(hexPath, 'utf8').match(/^:02000004(....)/gm);
    expect(extended).toEqual([':020000040800', ':020000049000']);
  });

  test.each([
    ['stm32f746g-disco', []],
    ['ast1030-evb', ['bootloader.bin', 'bootloader.elf', 'bootloader.hex', 'bootloader.ld']],
  ])('%s: the same inputs give the same bytes in another folder', async (board, bootloader) => {
    const build = async (name: string) => {
      const outDir = temporaryFolder(`${name}/${board}`);
      await buildFirmware({
        target: loadTarget(board),
        sources: fakeSources(),
        placement: inNor,
        optimisation: 'O3',
        outDir,
      });
      const files = readdirSync(outDir, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name));
      return new Map(files.map((file) => [file.slice(outDir.length), readFileSync(file)]));
    };
    const [first, second] = [await build('a'), await build('some-where/else')];
    expect([...first.keys()].sort()).toEqual([...second.keys()].sort());
    for (const [name, bytes] of first)
      expect([name, bytes.equals(second.get(name)!)]).toEqual([name, true]);
    expect([...first.keys()].filter((name) => /^.[^/]+$/.test(name)).sort()).toEqual([
      ...bootloader.map((name) => `/${name}`),
      '/firmware-nor.bin',
      '/firmware-twin.elf',
      '/firmware-twin.ld',
      '/firmware.bin',
      '/firmware.elf',
      '/firmware.hex',
      '/firmware.ld',
      '/writer.bin',
      '/writer.elf',
      '/writer.hex',
      '/writer.ld',
    ]);
  });
});

describe.skipIf(!hasCompiler)('for a bootloader', () => {
  const evb = loadTarget('ast1030-evb');
  const words = (bytes: Buffer, at: number, count: number) =>
    Array.from({ length: count }, (_, i) => bytes.readUInt32LE(at + 4 * i));

  test('firmware.bin begins with the header, and the HEX has it too', async () => {
    const { binPaths, hexPath, elfPath } = await buildFake(evb, {}, inNor);
    const bin = readFileSync(binPaths['flash']!);
    const nor = readFileSync(binPaths['nor']!);
    expect(bin.toString('latin1', 0, 4)).toBe('lm2m');
    expect(words(bin, 4, 1)).toEqual([0x0100_0001]);
    expect(bin.toString('latin1', 8, 40).replace(/\0+$/, '')).toBe('ast1030-evb');
    const code = bin.subarray(512);
    const ends = readElfFile(elfPath).segments.flatMap(({ runAddress, bytes }) =>
      runAddress >= 0x8000 && runAddress < 0x20000 ? [runAddress + bytes.length - 0x8000] : [],
    );
    const [run, copy, count, ...segments] = words(bin, 0x2c, 9);
    expect([run, copy, count]).toEqual([0x8000, Math.ceil(Math.max(...ends) / 4) * 4, 2]);
    expect(segments).toEqual([
      ...[512, code.length, crc32Stm32(code)],
      ...[0x20000, nor.length, crc32Stm32(nor)],
    ]);
    expect(words(bin, 0xf8, 1)).toEqual([crc32Stm32(bin.subarray(0, 0xf8))]);
    expect(bin.toString('latin1', 0xfc, 256)).toBe('END!');
    expect(bin.subarray(0x68, 0xf8).every((byte) => byte === 0xff)).toBe(true);
    expect(bin.subarray(256, 512).every((byte) => byte === 0xff)).toBe(true);
    expect(readFileSync(hexPath, 'utf8').split('\n').slice(0, 2)).toEqual([
      ':020000048000' + '7A',
      expect.stringMatching(/^:100000006C6D326D/),
    ]);
  });

  test('the checksum is that of the STM32\u2019s CRC unit', () => {
    // RM0090 gives no example; this pair is the one commonly quoted for the unit's reset state.
    expect(crc32Stm32(Uint8Array.of(0x78, 0x56, 0x34, 0x12)).toString(16)).toBe('df8a8a2b');
  });

  test('the bootloader fits in 3 KB and is linked for every board that has one', async () => {
    for (const target of targets.filter(({ bootloader }) => bootloader !== undefined)) {
      const { bootloaderElfPath } = await buildFake(target, {}, inNor);
      const { segments } = readElfFile(bootloaderElfPath!);
      const bytes = segments.reduce((sum, segment) => sum + segment.bytes.length, 0);
      expect(bytes, target.name).toBeLessThan(3072);
    }
  });
});

describe.skipIf(!hasCompiler)('errors', () => {
  test('an overflowing region is named with its bytes', async () => {
    const build = buildFake(nrf, { LM2MCU_ARENA_BYTES: 300_000 });
    await expect(build).rejects.toMatchObject({
      kind: 'user',
      details: {
        code: 'does-not-fit',
        message: expect.stringMatching(
          /^the firmware does not fit: it exceeds sram by 38,\d\d\d B$/,
        ),
        where: 'sram',
        neededBytes: expect.any(Number),
        availableBytes: 262_144,
        hint: 'Fewer tokens (--max-tokens) save RAM; a smaller vocabulary or a --target with NOR flash saves flash.',
      },
    });
    const { neededBytes } = (await build.catch((error) => error)).details;
    const fitting = await buildFake(nrf);
    const others = fitting.image.stackBytes + fitting.image.staticBytes;
    expect(neededBytes - 300_000 - others).toBeLessThan(16); // alignment
  });

  test('several overflowing regions are told at once', async () => {
    const [model, header] = fakeSources({ LM2MCU_ARENA_BYTES: 300_000 });
    const content = `${model?.content}`.replace('encoder_weight[64]', 'encoder_weight[600000]');
    const build = buildFirmware({
      target: nrf,
      sources: [{ path: 'fake_model.c', content }, header!],
      placement: {},
      optimisation: 'O2',
      outDir: temporaryFolder('overflow'),
    });
    await expect(build).rejects.toMatchObject({
      details: {
        message: expect.stringMatching(
          /^the firmware does not fit: it exceeds flash by 1,3\d\d,\d\d\d B and sram by 38,\d\d\d B$/,
        ),
        where: 'flash',
        availableBytes: 1_048_576,
      },
    });
  });

  test('an unknown region lists the valid ones', async () => {
    await expect(buildFake(nrf, {}, { '.lm2mcu.encoder': 'nor' })).rejects.toMatchObject({
      details: {
        code: 'unknown-region',
        message: '.lm2mcu.encoder is placed in "nor", which the board does not have',
        hint: 'Regions of the board: flash, sram.',
      },
    });
  });

  test('a section nobody placed is our bug', async () => {
    const fast = { FAKE_FAST: '__attribute__((section(".lm2mcu.fast")))' };
    await expect(buildFake(nrf, fast)).rejects.toMatchObject({
      kind: 'internal',
      details: { message: 'section .lm2mcu.fast was not placed' },
    });
  });

  test('code needs memory that can be executed from', async () => {
    const fast = { FAKE_FAST: '__attribute__((section(".lm2mcu.fast")))' };
    await expect(buildFake(disco, fast, { '.lm2mcu.fast': 'sram' })).rejects.toMatchObject({
      kind: 'user',
      details: {
        code: 'not-executable',
        message: '.lm2mcu.fast holds code, and sram cannot be executed from',
        where: '.lm2mcu.fast',
        hint: 'Place it in flash or itcm.',
      },
    });
  });

  test('code that does not compile is our bug', async () => {
    await expect(buildFake(nrf, { FAKE_KIND: 'UNHEARD_OF' })).rejects.toMatchObject({
      kind: 'internal',
      details: {
        message: expect.stringContaining("'UNHEARD_OF' undeclared"),
        where: 'objects/shared-fake_model.o',
      },
    });
  });

  test('a missing compiler names the package', async () => {
    const path = process.env['PATH'];
    process.env['PATH'] = '';
    try {
      await expect(buildFake(nrf, { LM2MCU_ARENA_BYTES: 4096 })).rejects.toMatchObject({
        kind: 'environment',
        details: {
          code: 'missing-compiler',
          message: 'arm-none-eabi-gcc is not installed',
          hint: 'On Debian and Ubuntu: apt install gcc-arm-none-eabi',
        },
      });
    } finally {
      process.env['PATH'] = path;
    }
  });
});

describe.skipIf(!hasEmulator)('placement, run on the twin', () => {
  test.each(boards)(
    '%s reads constants from every region, and its RAM is whole',
    async (_name, target) => {
      const { ask } = await openFake(target, {}, spread(target));
      expect(JSON.parse(await ask('#ids 3 | 17')).logits).toEqual([6, 34, 12]);
      const ends = target
        .emulation!.regions.filter(({ kind }) => kind === 'sram' || kind === 'tcm')
        .flatMap(({ origin, sizeBytes }) => [origin, origin + sizeBytes - 4]);
      for (const address of ends) {
        const line = `#ids 1000006 ${Math.floor(address / 65536)} ${address % 65536}`;
        expect([address, JSON.parse(await ask(line)).logits[0]]).toEqual([address, 1]);
      }
    },
  );

  test('code and constants copied to RAM at start', async () => {
    const fast = { FAKE_FAST: '__attribute__((section(".lm2mcu.fast")))' };
    const placement = { '.lm2mcu.fast': 'itcm', '.lm2mcu.encoder': 'sram' };
    const { image } = await buildFake(disco, fast, placement);
    expect(image.sections['.lm2mcu.fast']?.region).toBe('itcm');
    const { ask } = await openFake(disco, fast, placement);
    expect(JSON.parse(await ask('#ids 3 | 17')).logits).toEqual([6, 34, 12]);
    expect(JSON.parse(await ask('#ids 1000000 1000')).instructions.inference).toBeGreaterThan(1e6);
  });

  test('Helium is on when the model runs', async () => {
    const sum = { FAKE_LAST: 'vaddvq_s32(vdupq_n_s32(id))' };
    const { ask } = await openFake(loadTarget('mps3-an547'), sum);
    expect(JSON.parse(await ask('#ids 3 17')).logits).toEqual([40, 0, 4 * 17 - 5]);
  });

  test('the measured stack stays below the bound', async () => {
    const { stack } = await buildFake(nrf);
    const { ask } = await openFake(nrf);
    const peak = async () => JSON.parse(await ask('?')).stack.peakBytes;
    expect(await peak()).toBeLessThan(stack.bytes - 400);
    await ask('#ids 1000003 512');
    const deep = await peak();
    // All of it but an interrupt in the deepest function, which is rare.
    expect(deep).toBeLessThanOrEqual(stack.bytes);
    expect(deep).toBeGreaterThan(stack.bytes - 128);
  });
});
